//! The PROXY header, versions 1 and 2.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::proxy_header(data));
