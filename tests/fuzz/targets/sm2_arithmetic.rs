//! SM2's arithmetic against RustCrypto's: 32 bytes of one scalar, 32 of another.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin_sm::sm2::PrivateKey;
use palanquin_sm::sm2::PublicKey;
use palanquin_sm::sm2::Signature;
use sm2::elliptic_curve::PrimeField;
use sm2::elliptic_curve::ops::Reduce;
use sm2::elliptic_curve::sec1::ToSec1Point;

fuzz_target!(|input: ([u8; 32], [u8; 32], [u8; 32])| {
    let (a, b, digest) = input;
    let (theirs_a, theirs_b) = (scalar(&a), scalar(&b));
    let (Ok(key), Ok(peer)) = (PrivateKey::from_bytes(&a), PrivateKey::from_bytes(&b)) else { return };
    let generator = sm2::ProjectivePoint::GENERATOR;
    let (theirs_a, theirs_b) = (theirs_a.expect("in range"), theirs_b.expect("in range"));
    assert_eq!(key.public_key().to_uncompressed(), encode(generator * theirs_a));
    assert_eq!(peer.public_key().to_uncompressed(), encode(generator * theirs_b));
    assert_eq!(PublicKey::from_uncompressed(&encode(generator * theirs_a)).as_ref(), Ok(key.public_key()));
    let shared = encode(generator * theirs_b * theirs_a);
    assert_eq!(key.agree(peer.public_key())[..], shared[1..33]);

    // Verification of a signature that is made from the other end: any r and s fit some digest.
    let signature = key.sign_digest(&digest).expect("randomness");
    assert!(key.public_key().verify_digest(&digest, &signature).is_ok());
    let mut pair = [0; 64];
    pair[..32].copy_from_slice(&a);
    pair[32..].copy_from_slice(&b);
    let Ok(signature) = Signature::from_bytes(&pair) else { return };
    let t = theirs_a + theirs_b;
    let x = encode(generator * theirs_b + generator * theirs_a * t);
    let x = <sm2::Scalar as Reduce<sm2::FieldBytes>>::reduce(
        &<[u8; 32]>::try_from(&x[1..33]).expect("32 bytes").into(),
    );
    let fits: [u8; 32] = (theirs_a - x).to_repr().into();
    let verified = key.public_key().verify_digest(&fits, &signature).is_ok();
    assert_eq!(verified, !bool::from(sm2::elliptic_curve::Field::is_zero(&t)));
});

fn scalar(bytes: &[u8; 32]) -> Option<sm2::Scalar> {
    Option::from(sm2::Scalar::from_repr((*bytes).into()))
}

/// `04 || x || y`; only zeros at infinity, which has no such form.
fn encode(point: sm2::ProjectivePoint) -> [u8; 65] {
    point.to_affine().to_sec1_point(false).as_bytes().try_into().unwrap_or([0; 65])
}
