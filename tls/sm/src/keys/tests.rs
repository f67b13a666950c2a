//! Round trips, files of other tools, and what is refused.

use super::*;

#[test]
fn every_form_that_is_written_is_read_back() {
    let key = PrivateKey::generate().unwrap();
    for pem in [to_sec1_pem(&key), to_pkcs8_pem(&key)] {
        assert_eq!(kind_of_pem(pem.as_bytes()).unwrap(), Kind::Sm2);
        assert_eq!(from_pem(pem.as_bytes()).unwrap().to_bytes(), key.to_bytes());
    }
}

#[test]
fn encrypted_keys_of_every_cipher_and_function_open_with_their_passphrase_only() {
    let key = PrivateKey::generate().unwrap();
    let unlock = |phrase| Unlock { passphrase: Some(Passphrase(phrase)), sign_key: None };
    for cipher in [Cipher::Aes128Cbc, Cipher::Aes256Cbc, Cipher::Sm4Cbc] {
        for prf in [Prf::HmacSha1, Prf::HmacSha256, Prf::HmacSha384, Prf::HmacSha512, Prf::HmacSm3]
        {
            let protection = Protection { cipher, prf, iterations: 100 };
            let pem = to_encrypted_pem(&key, b"open sesame", &protection).unwrap();
            assert_eq!(kind_of_pem(pem.as_bytes()).unwrap(), Kind::Encrypted);
            let read = from_pem_with(pem.as_bytes(), &unlock(b"open sesame")).unwrap();
            assert_eq!(read.to_bytes(), key.to_bytes());
            let pkcs8 = decrypt_pem(pem.as_bytes(), b"open sesame").unwrap();
            assert_eq!(*pkcs8, *to_pkcs8_der(&key));
            assert!(matches!(from_pem(pem.as_bytes()), Err(KeyFileError::PassphraseMissing)));
            assert!(matches!(
                from_pem_with(pem.as_bytes(), &unlock(b"no")),
                Err(KeyFileError::Passphrase)
            ));
        }
    }
}

#[test]
fn only_an_encrypted_key_is_decrypted() {
    let pem = to_pkcs8_pem(&PrivateKey::generate().unwrap());
    assert!(matches!(decrypt_pem(pem.as_bytes(), b"x"), Err(KeyFileError::NotEncrypted)));
}

#[test]
fn an_enveloped_key_opens_with_the_sign_key_of_its_pair_only() {
    let (sign, enc) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let pem = to_enveloped_pem(&enc, sign.public_key()).unwrap();
    assert_eq!(kind_of_pem(pem.as_bytes()).unwrap(), Kind::Sm2Enveloped);
    let unlock = |sign_key| Unlock { passphrase: None, sign_key: Some(sign_key) };
    assert_eq!(from_pem_with(pem.as_bytes(), &unlock(&sign)).unwrap().to_bytes(), enc.to_bytes());
    assert!(matches!(from_pem_with(pem.as_bytes(), &unlock(&enc)), Err(KeyFileError::Envelope(_))));
    assert!(matches!(from_pem(pem.as_bytes()), Err(KeyFileError::SignKeyMissing)));
}

#[test]
fn too_many_rounds_are_refused_before_they_are_run() {
    let key = PrivateKey::generate().unwrap();
    let protection = |iterations| Protection { iterations, ..Protection::default() };
    for iterations in [0, MAX_ITERATIONS + 1] {
        assert!(matches!(
            to_encrypted_pem(&key, b"x", &protection(iterations)),
            Err(KeyFileError::Iterations { .. })
        ));
    }
}

#[test]
fn white_space_other_blocks_and_long_lines_do_not_matter() {
    let key = PrivateKey::generate().unwrap();
    let pem = to_sec1_pem(&key);
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    for text in [
        format!(
            "-----BEGIN EC PARAMETERS-----\nBggqgRzPVQGCLQ==\n-----END EC PARAMETERS-----\n{}",
            *pem
        ),
        pem.replace('\n', "\r\n"),
        pem.replace('\n', " \n"),
        format!("-----BEGIN EC PRIVATE KEY-----\n{body}\n-----END EC PRIVATE KEY-----"),
    ] {
        assert_eq!(from_pem(text.as_bytes()).unwrap().to_bytes(), key.to_bytes(), "{text}");
    }
}

#[test]
fn the_public_half_must_fit() {
    let (key, other) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let mut der = to_sec1_der(&key);
    let at = der.len() - 65;
    der[at..].copy_from_slice(&other.public_key().to_uncompressed());
    assert!(matches!(from_sec1_der(&der), Err(KeyFileError::Mismatch)));
}

#[test]
fn what_is_no_sm2_key_is_named() {
    assert!(matches!(from_pem(b""), Err(KeyFileError::NoKey)));
    assert!(matches!(
        from_pem(b"-----BEGIN PRIVATE KEY-----\nAAAA\n"),
        Err(KeyFileError::Pem { .. })
    ));
    let legacy = b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n";
    assert!(matches!(from_pem(legacy), Err(KeyFileError::LegacyEncryption)));
    // The curve P-256 instead.
    let key = PrivateKey::generate().unwrap();
    let mut der = to_sec1_der(&key);
    let at = der.windows(sec1::CURVE.len()).position(|w| w == sec1::CURVE).unwrap();
    der[at + 9] ^= 1;
    assert!(matches!(from_sec1_der(&der), Err(KeyFileError::NotSm2)));
    assert_eq!(kind_of_pem(pem::write("EC PRIVATE KEY", &der).as_bytes()).unwrap(), Kind::Other);
}

#[test]
fn passphrases_do_not_show() {
    let unlock = Unlock { passphrase: Some(Passphrase(b"open sesame")), sign_key: None };
    assert!(!format!("{unlock:?}").contains("sesame"));
}

#[test]
fn files_of_openssl_and_gmssl_are_read() {
    let unlock = Unlock { passphrase: Some(Passphrase(b"palanquin")), sign_key: None };
    let read = |text: &[u8]| from_pem_with(text, &unlock);
    let first = read(include_bytes!("testdata/openssl-pkcs8.pem")).unwrap();
    for text in [
        &include_bytes!("testdata/openssl-sec1.pem")[..],
        include_bytes!("testdata/openssl-aes256.pem"),
        include_bytes!("testdata/openssl-aes128-sha1.pem"),
        include_bytes!("testdata/openssl-sm4.pem"),
    ] {
        assert_eq!(read(text).unwrap().to_bytes(), first.to_bytes());
    }
    assert!(read(include_bytes!("testdata/openssl-ecparam.pem")).is_ok());
    // SM4-CBC under HMAC-SM3 with 65,536 rounds.
    let gmssl = read(include_bytes!("testdata/gmssl.pem")).unwrap();
    assert_eq!(gmssl.public_key().to_uncompressed()[1..5], GMSSL_X);
}

#[test]
fn what_cannot_be_read_of_others_says_why() {
    let unlock = Unlock { passphrase: Some(Passphrase(b"palanquin")), sign_key: None };
    let scrypt = from_pem_with(include_bytes!("testdata/openssl-scrypt.pem"), &unlock);
    assert!(matches!(scrypt, Err(KeyFileError::Encryption { what: "a key derivation" })));
    let legacy = from_pem_with(include_bytes!("testdata/tongsuo-legacy.pem"), &unlock);
    assert!(matches!(legacy, Err(KeyFileError::LegacyEncryption)));
    let explicit = from_pem(include_bytes!("testdata/openssl-explicit.pem"));
    assert!(matches!(explicit, Err(KeyFileError::NotSm2)), "curves are named, not spelt out");
}

/// From the public key that gmssl wrote beside it.
const GMSSL_X: [u8; 4] = [0xcf, 0xae, 0x69, 0xb6];
