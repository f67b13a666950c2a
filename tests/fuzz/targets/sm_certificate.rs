//! The reader of certificates that classifies dual certificates.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin_sm::x509;

fuzz_target!(|data: &[u8]| {
    let read = x509::Certificate::from_der(data);
    assert_eq!(x509::is_sm2(data), read.as_ref().is_some_and(x509::Certificate::is_sm2));
    assert_eq!(x509::key_usage(data), read.as_ref().and_then(|read| read.key_usage));
    if let Some(key) = x509::public_key(data) {
        assert!(x509::is_sm2(data));
        assert_eq!(read.map(|read| read.key), Some(&key.to_uncompressed()[..]));
    }
    let _ = x509::is_sm2_spki(data);
});
