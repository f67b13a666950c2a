//! RFC 8998 and curveSM2MLKEM768 as a provider of cryptography for rustls.
//!
//! [`provider`] gives a [`CryptoProvider`] with the two SM suites of TLS 1.3, the key exchanges curveSM2 and
//! curveSM2MLKEM768, and the signature scheme sm2sig_sm3, and with nothing else: a configuration built of it
//! cannot pair an SM suite with a group, a certificate or a signature of another world, which RFC 8998 §2
//! forbids. A server of both worlds keeps two configurations and asks [`offer`] which of them a client means.
//!
//! | what | code point | source |
//! |---|---|---|
//! | [`TLS_SM4_GCM_SM3`], [`TLS_SM4_CCM_SM3`] | 0x00C6, 0x00C7 | RFC 8998 §2 |
//! | [`CURVE_SM2`] | 41 | RFC 8998 §2 |
//! | [`CURVE_SM2_MLKEM768`] | 0x11EE | draft-yang-tls-hybrid-sm2-mlkem |
//! | [`SM2SIG_SM3`] | 0x0708 | RFC 8998 §2 |
//!
//! SM2 signatures are made and verified with an identifier. Certificates use the default one; the
//! CertificateVerify message of TLS 1.3 uses `TLSv1.3+GM+Cipher+Suite` (RFC 8998 §3.2.1). webpki and rustls
//! verify both with the same list of algorithms, so a verifier has to be wrapped: see [`verify`].
//!
//! TLS 1.3 over TCP only: no header protection is defined for QUIC, and no suite for TLS 1.2.
//!
//! This software is not a certified cryptographic module.

pub mod offer;
pub mod sign;
pub mod tickets;
pub mod verify;

mod hash;
mod kx;
mod record;
mod suites;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::LazyLock;

use rustls::CipherSuite;
use rustls::NamedGroup;
use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::crypto::GetRandomFailed;
use rustls::crypto::SecureRandom;
use rustls::crypto::SupportedKxGroup;

pub use offer::offers_sm;
pub use sign::Sm2SigningKey;
pub use suites::TLS13_SM4_CCM_SM3;
pub use suites::TLS13_SM4_GCM_SM3;
pub use tickets::Ticketer;

/// The suite TLS_SM4_GCM_SM3.
pub const TLS_SM4_GCM_SM3: CipherSuite = CipherSuite::Unknown(0x00c6);
/// The suite TLS_SM4_CCM_SM3.
pub const TLS_SM4_CCM_SM3: CipherSuite = CipherSuite::Unknown(0x00c7);
/// The group curveSM2.
pub const CURVE_SM2: NamedGroup = NamedGroup::Unknown(41);
/// The hybrid post-quantum group curveSM2MLKEM768.
pub const CURVE_SM2_MLKEM768: NamedGroup = NamedGroup::Unknown(0x11ee);
/// The signature scheme sm2sig_sm3.
pub const SM2SIG_SM3: SignatureScheme = SignatureScheme::Unknown(0x0708);

/// The key exchanges, the hybrid one first.
pub const GROUPS: [&dyn SupportedKxGroup; 2] = [&kx::CurveSm2MlKem768, &kx::CurveSm2];

/// The provider with everything: GCM before CCM, the hybrid group before the plain one. Made once.
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        Arc::new(CryptoProvider {
            cipher_suites: vec![
                rustls::SupportedCipherSuite::Tls13(&TLS13_SM4_GCM_SM3),
                rustls::SupportedCipherSuite::Tls13(&TLS13_SM4_CCM_SM3),
            ],
            kx_groups: GROUPS.to_vec(),
            signature_verification_algorithms: verify::CERTIFICATES,
            secure_random: &Random,
            key_provider: &sign::Keys,
        })
    });
    &PROVIDER
}

/// The system's randomness, by aws-lc.
#[derive(Debug)]
struct Random;

impl SecureRandom for Random {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        aws_lc_rs::rand::fill(buffer).map_err(|_| GetRandomFailed)
    }
}
