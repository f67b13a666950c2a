//! Certificates that OpenSSL 4.0.3 made: an authority, a sign and an encryption leaf, one without KeyUsage, one of P-256.

use rustls_pki_types::AlgorithmIdentifier;

use super::*;
use crate::asn1;
use crate::asn1::Reader;

const CA: &[u8] = include_bytes!("testdata/ca.der");
const SIGN: &[u8] = include_bytes!("testdata/sign.der");
const ENC: &[u8] = include_bytes!("testdata/enc.der");
const NONE: &[u8] = include_bytes!("testdata/none.der");
const P256: &[u8] = include_bytes!("testdata/p256.der");

/// The signed part, the algorithm and the signature.
fn signed(der: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let mut certificate = Reader::whole(der, asn1::SEQUENCE).unwrap();
    let tbs = certificate.value(asn1::SEQUENCE).unwrap();
    let algorithm = certificate.value(asn1::SEQUENCE).unwrap();
    // The outer header is 4 bytes and the inner one 3 in all of these.
    (&der[4..4 + 3 + tbs.len()], algorithm, certificate.bit_string().unwrap())
}

#[test]
fn certificates_of_openssl_verify_with_the_default_id_only() {
    let authority = Certificate::from_der(CA).unwrap();
    for leaf in [CA, SIGN, ENC, NONE] {
        let (message, algorithm, signature) = signed(leaf);
        let verify = |with: &dyn rustls_pki_types::SignatureVerificationAlgorithm| {
            with.verify_signature(authority.key, message, signature)
        };
        assert_eq!(AlgorithmIdentifier::from_slice(SM2_SM3_SIGNATURE).as_ref(), algorithm);
        assert!(verify(SM2_SM3).is_ok());
        assert!(verify(SM2_SM3_NULL).is_ok());
        assert!(verify(SM2_SM3_TLS13).is_err());
        let mut changed = signature.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        assert!(SM2_SM3.verify_signature(authority.key, message, &changed).is_err());
    }
}

#[test]
fn the_algorithms_name_themselves_as_webpki_compares_them() {
    for algorithm in ALL.iter().chain([&SM2_SM3_TLS13]) {
        assert_eq!(algorithm.public_key_alg_id().as_ref(), SM2_KEY);
    }
    assert_eq!(SM2_SM3.signature_alg_id().as_ref(), SM2_SM3_SIGNATURE);
    assert_eq!(SM2_SM3_NULL.signature_alg_id().as_ref(), [SM2_SM3_SIGNATURE, &[5, 0]].concat());
}

#[test]
fn key_usage_tells_dual_certificates_apart() {
    let (sign, enc) = (key_usage(SIGN).unwrap(), key_usage(ENC).unwrap());
    assert!(sign.is_for_signing() && !sign.is_for_encryption());
    assert!(enc.is_for_encryption() && !enc.is_for_signing());
    assert_eq!(format!("{enc:?}"), r#"{"keyEncipherment", "dataEncipherment", "keyAgreement"}"#);
    let ca = key_usage(CA).unwrap();
    assert!(ca.key_cert_sign() && ca.crl_sign() && !ca.is_for_signing() && !ca.is_for_encryption());
    assert_eq!(key_usage(NONE), None);
}

#[test]
fn keys_of_sm2_and_of_other_curves_are_told_apart() {
    for der in [CA, SIGN, ENC, NONE] {
        assert!(is_sm2(der));
        assert!(public_key(der).is_some());
    }
    assert!(Certificate::from_der(P256).is_some());
    assert!(!is_sm2(P256));
    assert_eq!(public_key(P256), None);
}

#[test]
fn what_is_no_certificate_is_not_known() {
    assert!(Certificate::from_der(&[]).is_none());
    assert!(Certificate::from_der(&SIGN[..SIGN.len() - 1]).is_none());
    assert!(Certificate::from_der(&[SIGN, &[0]].concat()).is_none());
    // Cut short anywhere, or with any byte changed, reading ends well.
    for at in 0..SIGN.len() {
        let mut changed = SIGN.to_vec();
        changed[at] ^= 0x80;
        let _ = Certificate::from_der(&changed);
        let _ = Certificate::from_der(&SIGN[..at]);
    }
}

#[test]
fn a_key_usage_given_twice_makes_a_certificate_unreadable() {
    let usage = [
        0x30, 0x0e, 0x06, 0x03, 0x55, 0x1d, 0x0f, 0x01, 0x01, 0xff, 0x04, 0x04, 0x03, 0x02, 0x07,
        0x80,
    ];
    let at = SIGN.windows(usage.len()).position(|window| window == usage).unwrap();
    let (outer, list) = (at - 2, at - 4);
    // Doubled, with the lengths of the two wrappers, the signed part and the certificate made longer.
    let mut doubled = [&SIGN[..at], &usage, &SIGN[at..]].concat();
    let by = u8::try_from(usage.len()).unwrap();
    doubled[outer + 1] += by;
    doubled[list + 1] += by;
    doubled[6] += by;
    let whole = u16::from_be_bytes([doubled[2], doubled[3]]) + u16::from(by);
    doubled[2..4].copy_from_slice(&whole.to_be_bytes());
    assert!(Certificate::from_der(&doubled).is_none());
    // The lengths are right: with another extension's name the same bytes are a certificate.
    doubled[at + 6] = 0x7f;
    assert!(Certificate::from_der(&doubled).is_some());
}
