//! The normaliser of paths.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::path(data));
