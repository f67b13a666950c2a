//! SM2 ciphertexts: nothing a peer sends decrypts by chance or panics.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use palanquin_sm::sm2::PrivateKey;

static KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::from_bytes(&[0x39; 32]).expect("in range"));

fuzz_target!(|data: &[u8]| {
    assert!(KEY.decrypt(data).is_err());
    if (1..1024).contains(&data.len()) {
        let ciphertext = KEY.public_key().encrypt(data).expect("a length that fits");
        assert_eq!(KEY.decrypt(&ciphertext).as_deref().map(Vec::as_slice), Ok(data));
    }
});
