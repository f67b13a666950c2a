//! What handshakes agreed on, counted by name: `ssl.ciphers.*`, `ssl.curves.*`, `ssl.sigalgs.*`, `ssl.versions.*`.
//!
//! The names are a fixed list, so a peer cannot make statistics; what is not in it is not counted. As in Envoy a
//! name is shown once it was counted.

use super::Scope;
use crate::identity::TlsInfo;

/// A counter of [`super::Scope::agreed`], found by [`place`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed(pub(super) usize);

/// What a name is about: the part before it, and Envoy's Prometheus label for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A cipher suite.
    Cipher,
    /// A key exchange.
    Curve,
    /// A signature scheme of the peer.
    Signature,
    /// A version of the protocol.
    Version,
}

impl About {
    /// `ssl.ciphers`.
    pub fn family(self) -> &'static str {
        match self {
            Self::Cipher => "ssl.ciphers",
            Self::Curve => "ssl.curves",
            Self::Signature => "ssl.sigalgs",
            Self::Version => "ssl.versions",
        }
    }

    /// `envoy_ssl_cipher`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Cipher => "envoy_ssl_cipher",
            Self::Curve => "envoy_ssl_curve",
            Self::Signature => "envoy_ssl_sigalg",
            Self::Version => "envoy_ssl_version",
        }
    }
}

/// The counter of a name; `None` for a name that is not known.
pub fn place(about: About, name: &str) -> Option<Agreed> {
    NAMES.iter().position(|(kind, known)| *kind == about && *known == name).map(Agreed)
}

/// Every name that is counted.
pub(super) const NAMES: &[(About, &str)] = &[
    (About::Version, "TLSv1.3"),
    (About::Version, "TLSv1.2"),
    (About::Version, "TLCPv1.1"),
    (About::Cipher, "TLS_AES_128_GCM_SHA256"),
    (About::Cipher, "TLS_AES_256_GCM_SHA384"),
    (About::Cipher, "TLS_CHACHA20_POLY1305_SHA256"),
    (About::Cipher, "TLS_SM4_GCM_SM3"),
    (About::Cipher, "TLS_SM4_CCM_SM3"),
    (About::Cipher, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (About::Cipher, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (About::Cipher, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    (About::Cipher, "ECDHE-RSA-AES128-GCM-SHA256"),
    (About::Cipher, "ECDHE-RSA-AES256-GCM-SHA384"),
    (About::Cipher, "ECDHE-RSA-CHACHA20-POLY1305"),
    (About::Cipher, "ECDHE-ECDSA-AES128-SHA"),
    (About::Cipher, "ECDHE-ECDSA-AES256-SHA"),
    (About::Cipher, "ECDHE-RSA-AES128-SHA"),
    (About::Cipher, "ECDHE-RSA-AES256-SHA"),
    (About::Cipher, "ECDHE_SM4_CBC_SM3"),
    (About::Cipher, "ECDHE_SM4_GCM_SM3"),
    (About::Cipher, "ECC_SM4_CBC_SM3"),
    (About::Cipher, "ECC_SM4_GCM_SM3"),
    (About::Curve, "X25519"),
    (About::Curve, "X25519MLKEM768"),
    (About::Curve, "P-256"),
    (About::Curve, "P-384"),
    (About::Curve, "P-521"),
    (About::Curve, "curveSM2"),
    (About::Curve, "curveSM2MLKEM768"),
    (About::Signature, "ecdsa_secp256r1_sha256"),
    (About::Signature, "ecdsa_secp384r1_sha384"),
    (About::Signature, "ecdsa_secp521r1_sha512"),
    (About::Signature, "ed25519"),
    (About::Signature, "rsa_pss_rsae_sha256"),
    (About::Signature, "rsa_pss_rsae_sha384"),
    (About::Signature, "rsa_pss_rsae_sha512"),
    (About::Signature, "rsa_pkcs1_sha256"),
    (About::Signature, "rsa_pkcs1_sha384"),
    (About::Signature, "rsa_pkcs1_sha512"),
    (About::Signature, "sm2sig_sm3"),
];

/// Counts what a finished handshake agreed on.
pub fn count(info: &TlsInfo, scope: &Scope) {
    for (about, name) in [
        (About::Version, info.version),
        (About::Cipher, info.cipher),
        (About::Curve, info.group),
        (About::Signature, info.peer_signature),
    ] {
        if let Some(place) = place(about, name) {
            scope.agreed(place);
        }
    }
}
