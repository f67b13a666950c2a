//! The first bytes of a TLS connection.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin_tls::inspect::client_hello;

// As the bytes arrive: every prefix is looked at.
fuzz_target!(|data: &[u8]| {
    for end in (0..data.len()).step_by(7).chain([data.len()]) {
        let _ = client_hello(&data[..end]);
    }
});
