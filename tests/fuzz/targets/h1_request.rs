//! The head of an HTTP/1 request.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin::codec::h1::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::request_head(data));
