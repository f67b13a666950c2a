//! The headers `traceparent` and `tracestate`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::trace_context(data));
