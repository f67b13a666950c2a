//! The facts of a finished handshake in the words of Envoy and OpenSSL.

use std::sync::Arc;

use palanquin_filter_api::PeerIdentity;
use palanquin_filter_api::TlsInfo;
use rustls::CipherSuite;
use rustls::CommonState;
use rustls::HandshakeKind;
use rustls::ProtocolVersion;

/// Collects what was agreed.
pub(crate) fn info(
    session: &CommonState,
    sni: Option<Arc<str>>,
    peer: Option<Arc<PeerIdentity>>,
    local: Option<Arc<PeerIdentity>>,
) -> Arc<TlsInfo> {
    Arc::new(TlsInfo {
        version: version(session.protocol_version()),
        cipher: session.negotiated_cipher_suite().map_or("", |suite| cipher(suite.suite())),
        sni,
        alpn: session.alpn_protocol().map(Arc::from),
        peer,
        local,
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
    })
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
        other => other.as_str().unwrap_or("unknown"),
    }
}
