//! Key shares of RFC 8998 and its hybrid group, as a server and as a client get them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin_rfc8998::GROUPS;

fuzz_target!(|data: &[u8]| {
    for group in GROUPS {
        if let Ok(completed) = group.start_and_complete(data) {
            // Whatever is accepted gives a secret of the group's length.
            let expected = if completed.group == palanquin_rfc8998::CURVE_SM2 { 32 } else { 64 };
            assert_eq!(completed.secret.secret_bytes().len(), expected);
        }
        if let Ok(exchange) = group.start() {
            let _ = exchange.complete(data);
        }
    }
    if let Ok(exchange) = GROUPS[0].start() {
        let _ = exchange.complete_hybrid_component(data);
    }
});
