//! The head of an HTTP/1 response.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin::codec::h1::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::response_head(data));
