//! Private key files: PEM and DER of every form. What is read can be written and read again.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use palanquin_sm::keys;
use palanquin_sm::keys::Passphrase;
use palanquin_sm::keys::Unlock;
use palanquin_sm::sm2::PrivateKey;

static SIGN_KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::from_bytes(&[0x39; 32]).expect("in range"));

fuzz_target!(|data: &[u8]| {
    let unlock = Unlock { passphrase: Some(Passphrase(b"x")), sign_key: Some(&*SIGN_KEY) };
    let _ = keys::kind_of_pem(data);
    let read = [
        keys::from_pem_with(data, &unlock),
        keys::from_sec1_der(data),
        keys::from_pkcs8_der(data),
        keys::from_enveloped_der(data, &*SIGN_KEY),
    ];
    let _ = keys::decrypt_pkcs8(data, b"x");
    for key in read.into_iter().flatten() {
        let pem = keys::to_sec1_pem(&key);
        let again = keys::from_pem(pem.as_bytes()).expect("what we write we read");
        assert_eq!(again.to_bytes(), key.to_bytes());
    }
});
