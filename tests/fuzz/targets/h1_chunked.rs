//! A chunked body, whole and in single bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin::codec::h1::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::chunked_body(data));
