//! The facts of a finished handshake in the words of Envoy and OpenSSL.

use std::cell::Cell;
use std::sync::Arc;

use palanquin_config::ir::Digest;
use palanquin_filter_api::FindIssuer;
use palanquin_filter_api::PeerIdentity;
use palanquin_filter_api::TlsInfo;
use palanquin_filter_api::VerifiedBy;
use palanquin_rfc8998 as rfc8998;
use rustls::CipherSuite;
use rustls::CommonState;
use rustls::HandshakeKind;
use rustls::NamedGroup;
use rustls::ProtocolVersion;
use rustls::SignatureScheme;

use crate::verify::PeerVerifier;

/// Who is on both ends of a finished handshake.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// The name that the client asked for.
    pub(crate) sni: Option<Arc<str>>,
    /// The peer's certificate.
    pub(crate) peer: Option<Arc<PeerIdentity>>,
    /// Ours.
    pub(crate) local: Option<Arc<PeerIdentity>>,
    /// Why the peer's would have been refused.
    pub(crate) forgiven: Option<&'static str>,
    /// The counters for our OCSP response.
    pub(crate) stapled: &'static [&'static str],
    /// What the peer's certificate was verified with.
    pub(crate) verifier: Option<Arc<PeerVerifier>>,
}

/// Collects what was agreed.
pub(crate) fn info(session: &CommonState, ends: Ends) -> Arc<TlsInfo> {
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    Arc::new(TlsInfo {
        version: version(session.protocol_version()),
        cipher: session.negotiated_cipher_suite().map_or("", |suite| cipher(suite.suite())),
        sni: ends.sni,
        alpn: session.alpn_protocol().map(Arc::from),
        peer: ends.peer,
        local: ends.local,
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        group: session.negotiated_key_exchange_group().map_or("", |group| curve(group.name())),
        peer_signature: leaf.map_or("", |leaf| signature(leaf)),
        forgiven: ends.forgiven,
        stapled: ends.stapled,
        verified_by: VerifiedBy::new(ends.verifier.map(|verifier| verifier as Arc<dyn FindIssuer>)),
    })
}

/// Remembers by which scheme the holder of a certificate signed, for statistics: rustls tells it to verifiers
/// only. A certificate that is not among the last few has no scheme then.
pub(crate) fn remember_signature(leaf: &[u8], scheme: SignatureScheme) {
    SIGNATURES.with(|slots| slots[slot(leaf)].set((Digest::of(leaf).0, u16::from(scheme))));
}

fn signature(leaf: &[u8]) -> &'static str {
    let (known, scheme) = SIGNATURES.with(|slots| slots[slot(leaf)].get());
    if known == Digest::of(leaf).0 { scheme_name(scheme) } else { "" }
}

fn slot(leaf: &[u8]) -> usize {
    usize::try_from(Digest::of(leaf).0 % SLOTS as u64).unwrap_or_default()
}

const SLOTS: usize = 128;

thread_local! {
    static SIGNATURES: [Cell<(u64, u16)>; SLOTS] = const { [const { Cell::new((0, 0)) }; SLOTS] };
}

fn version(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "",
    }
}

fn cipher(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            "ECDHE-ECDSA-CHACHA20-POLY1305"
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        rfc8998::TLS_SM4_GCM_SM3 => "TLS_SM4_GCM_SM3",
        rfc8998::TLS_SM4_CCM_SM3 => "TLS_SM4_CCM_SM3",
        other => other.as_str().unwrap_or("unknown"),
    }
}

fn curve(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::X25519 => "X25519",
        NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        NamedGroup::secp256r1 => "P-256",
        NamedGroup::secp384r1 => "P-384",
        NamedGroup::secp521r1 => "P-521",
        rfc8998::CURVE_SM2 => "curveSM2",
        rfc8998::CURVE_SM2_MLKEM768 => "curveSM2MLKEM768",
        _ => "",
    }
}

fn scheme_name(scheme: u16) -> &'static str {
    match scheme {
        0x0401 => "rsa_pkcs1_sha256",
        0x0501 => "rsa_pkcs1_sha384",
        0x0601 => "rsa_pkcs1_sha512",
        0x0403 => "ecdsa_secp256r1_sha256",
        0x0503 => "ecdsa_secp384r1_sha384",
        0x0603 => "ecdsa_secp521r1_sha512",
        0x0804 => "rsa_pss_rsae_sha256",
        0x0805 => "rsa_pss_rsae_sha384",
        0x0806 => "rsa_pss_rsae_sha512",
        0x0807 => "ed25519",
        0x0708 => "sm2sig_sm3",
        _ => "",
    }
}
