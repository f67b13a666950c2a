//! SM2 signatures in DER: what is read is the only form of its value, and verifying it neither panics nor succeeds.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use palanquin_sm::sm2::DEFAULT_ID;
use palanquin_sm::sm2::PrivateKey;
use palanquin_sm::sm2::Signature;

static KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::from_bytes(&[0x39; 32]).expect("in range"));

fuzz_target!(|data: &[u8]| {
    let Ok(signature) = Signature::from_der(data) else { return };
    assert_eq!(signature.to_der(), data);
    assert_eq!(Signature::from_bytes(&signature.to_bytes()), Ok(signature));
    assert!(KEY.public_key().verify(DEFAULT_ID, &[b"a message"], &signature).is_err());
});
