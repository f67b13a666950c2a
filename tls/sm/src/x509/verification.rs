//! The signature algorithms in the form that webpki takes.

use rustls_pki_types::AlgorithmIdentifier;
use rustls_pki_types::InvalidSignature;
use rustls_pki_types::SignatureVerificationAlgorithm;

use super::recent;
use crate::sm2::DEFAULT_ID;
use crate::sm2::Signature;
use crate::sm2::TLS13_ID;

/// Certificates and CRLs: SM2 with SM3 and the default identifier, no parameters in the AlgorithmIdentifier (GM/T 0015 asks for that).
pub static SM2_SM3: &dyn SignatureVerificationAlgorithm =
    &Sm2Sm3 { id: DEFAULT_ID, signature: SIGNATURE };

/// The same where the issuer wrote NULL as parameters, as several do.
pub static SM2_SM3_NULL: &dyn SignatureVerificationAlgorithm =
    &Sm2Sm3 { id: DEFAULT_ID, signature: SIGNATURE_NULL };

/// CertificateVerify of TLS 1.3: SM2 with SM3 and the identifier of RFC 8998 §3.2.1. Never for certificates.
pub static SM2_SM3_TLS13: &dyn SignatureVerificationAlgorithm =
    &Sm2Sm3 { id: TLS13_ID, signature: SIGNATURE };

/// Both algorithms of certificates.
pub static ALL: &[&dyn SignatureVerificationAlgorithm] = &[
    &Sm2Sm3 { id: DEFAULT_ID, signature: SIGNATURE },
    &Sm2Sm3 { id: DEFAULT_ID, signature: SIGNATURE_NULL },
];

const KEY: AlgorithmIdentifier = AlgorithmIdentifier::from_slice(super::SM2_KEY);
const SIGNATURE: AlgorithmIdentifier = AlgorithmIdentifier::from_slice(super::SM2_SM3_SIGNATURE);
const SIGNATURE_NULL: AlgorithmIdentifier = AlgorithmIdentifier::from_slice(&[
    0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75, 0x05, 0x00,
]);

/// SM2 with SM3 under one identifier.
#[derive(Debug)]
struct Sm2Sm3 {
    id: &'static [u8],
    signature: AlgorithmIdentifier,
}

impl SignatureVerificationAlgorithm for Sm2Sm3 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let signature = Signature::from_der(signature).map_err(|_error| InvalidSignature)?;
        recent::verify(public_key, self.id, message, &signature).map_err(|_error| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        KEY
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}
