//! Both ends of an HTTP/2 connection.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin::codec::h2::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::connection(data));
