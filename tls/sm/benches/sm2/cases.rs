//! What is measured.

use std::hint::black_box;

use palanquin_sm::sm2::DEFAULT_ID;
use palanquin_sm::sm2::PreparedKey;
use palanquin_sm::sm2::PrivateKey;
use palanquin_sm::sm2::PublicKey;
use palanquin_sm::sm2::exchange;
use palanquin_sm::sm2::exchange::Role;

/// The columns' order; peers follow.
pub(crate) const COLUMNS: &[&str] = &["ours", "RustCrypto"];

/// The rows' order.
pub(crate) const ROWS: &[&str] = &[
    "sign",
    "verify",
    "verify, prepared",
    "prepare",
    "ecdh",
    "encrypt",
    "decrypt",
    "exchange",
    "generate",
    "read point",
];

pub(crate) struct Case {
    pub(crate) row: &'static str,
    pub(crate) column: &'static str,
    pub(crate) run: Box<dyn FnMut()>,
}

/// As long as what TLS 1.3 signs.
const MESSAGE: [u8; 130] = [7; 130];

fn case(row: &'static str, column: &'static str, run: impl FnMut() + 'static) -> Case {
    Case { row, column, run: Box::new(run) }
}

pub(crate) fn all() -> Vec<Case> {
    let mut cases = ours();
    cases.extend(rustcrypto());
    cases
}

fn ours() -> Vec<Case> {
    let key = PrivateKey::generate().expect("randomness");
    let peer = PrivateKey::generate().expect("randomness").public_key().clone();
    let signature = key.sign(DEFAULT_ID, &[&MESSAGE]).expect("randomness");
    let ciphertext = key.public_key().encrypt(&[3; 48]).expect("randomness");
    let own = || (key.clone(), peer.clone());
    let mut cases = Vec::new();
    let (signer, _) = own();
    cases.push(case("sign", "ours", move || {
        black_box(signer.sign(DEFAULT_ID, &[&MESSAGE]).expect("randomness"));
    }));
    let verifier = key.public_key().clone();
    cases.push(case("verify", "ours", move || {
        assert!(verifier.verify(DEFAULT_ID, &[&MESSAGE], &signature).is_ok());
    }));
    let prepared = PreparedKey::new(key.public_key());
    cases.push(case("verify, prepared", "ours", move || {
        assert!(prepared.verify(DEFAULT_ID, &[&MESSAGE], &signature).is_ok());
    }));
    let (_, b) = own();
    cases.push(case("prepare", "ours", move || {
        black_box(PreparedKey::new(&b));
    }));
    let (a, b) = own();
    cases.push(case("ecdh", "ours", move || {
        black_box(a.agree(&b));
    }));
    let (_, b) = own();
    cases.push(case("encrypt", "ours", move || {
        black_box(b.encrypt(&[3; 48]).expect("randomness"));
    }));
    let (a, _) = own();
    cases.push(case("decrypt", "ours", move || {
        black_box(a.decrypt(&ciphertext).expect("it is ours"));
    }));
    let (a, b) = own();
    let ephemeral = PrivateKey::generate().expect("randomness");
    cases.push(case("exchange", "ours", move || {
        let mut out = [0; 48];
        let id = DEFAULT_ID;
        exchange::agree(Role::Initiator, &a, &ephemeral, id, &b, &b, id, &mut out).expect("honest");
        black_box(out);
    }));
    cases.push(case("generate", "ours", || {
        black_box(PrivateKey::generate().expect("randomness"));
    }));
    let encoded = peer.to_uncompressed();
    cases.push(case("read point", "ours", move || {
        black_box(PublicKey::from_uncompressed(&encoded).expect("a point"));
    }));
    cases
}

fn rustcrypto() -> Vec<Case> {
    use ::sm2::dsa::SigningKey;
    use ::sm2::dsa::signature::Signer as _;
    use ::sm2::dsa::signature::Verifier as _;
    use ::sm2::pke::DecryptingKey;
    use ::sm2::pke::Mode;

    let own = PrivateKey::generate().expect("randomness");
    let secret = ::sm2::SecretKey::from_slice(&*own.to_bytes()).expect("a key");
    let signer = SigningKey::new("1234567812345678", &secret).expect("a key");
    let verifier = *signer.verifying_key().as_affine();
    let verifier =
        ::sm2::dsa::VerifyingKey::from_affine("1234567812345678", verifier).expect("a key");
    let signature = signer.sign(&MESSAGE);
    let mut cases = Vec::new();
    cases.push(case("sign", "RustCrypto", move || {
        black_box(signer.sign(&MESSAGE));
    }));
    cases.push(case("verify", "RustCrypto", move || {
        assert!(verifier.verify(&MESSAGE, &signature).is_ok());
    }));
    let public = secret.public_key().to_projective();
    let scalar = *secret.to_nonzero_scalar();
    cases.push(case("ecdh", "RustCrypto", move || {
        black_box((public * scalar).to_affine());
    }));
    let decrypter = DecryptingKey::new_with_mode(secret.to_nonzero_scalar(), Mode::C1C3C2);
    let ciphertext = own.public_key().encrypt(&[3; 48]).expect("randomness");
    cases.push(case("decrypt", "RustCrypto", move || {
        black_box(decrypter.decrypt_der(&ciphertext).expect("it is ours"));
    }));
    cases
}
