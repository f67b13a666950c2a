//! TLCP (GB/T 38636-2020) beside TLS: the same contexts, identities and verification for another engine.
//!
//! A context serves TLCP when it holds an SM pair, a certificate for signing and one for encryption, and allows a
//! suite of TLCP. [`server`] takes a connection over from `crate::server` when its first bytes are a record of
//! TLCP. An upstream context speaks TLCP when its `cipher_suites` are TLCP's ([`client`]). Both certificates
//! of a peer are verified, with `crate::verify`; who the peer is, is what its certificate for signing says.
//!
//! What differs from TLS: sessions are taken up by their id, never by a ticket; there is no OCSP response; a key
//! log has no lines of TLCP.

pub(crate) mod client;
pub(crate) mod pairs;
pub(crate) mod server;
pub(crate) mod verify;

use std::sync::Arc;

use palanquin_config::ir::tls::CipherSuite as SuiteNumber;
use palanquin_filter_api::FindIssuer;
use palanquin_filter_api::PeerIdentity;
use palanquin_filter_api::TlsInfo;
use palanquin_filter_api::VerifiedBy;
use palanquin_tlcp::CipherSuite;
use palanquin_tlcp::Established;
use palanquin_tlcp::KeyExchange;
use palanquin_tlcp::PeerCertificates;
use palanquin_tlcp::stream::HandshakeError;
use rustls::pki_types::CertificateDer;

use crate::error::TlsError;
use crate::identity;
use crate::verify::PeerVerifier;
use crate::verify::VerifyError;

/// As `%DOWNSTREAM_TLS_VERSION%` and `ssl.versions` name it.
const VERSION: &str = "TLCPv1.1";

/// The suites of a configuration, in its order.
fn suites(numbers: &[SuiteNumber]) -> Vec<CipherSuite> {
    numbers.iter().filter_map(|number| CipherSuite::from_wire(number.0)).collect()
}

/// What a handshake agreed on and proved, in the words of Envoy.
fn info(
    established: &Established,
    peer: Option<Arc<PeerIdentity>>,
    local: Option<Arc<PeerIdentity>>,
    forgiven: Option<&'static str>,
    verifier: Option<Arc<PeerVerifier>>,
) -> Arc<TlsInfo> {
    let is_signed = peer.is_some() && !established.resumed;
    let is_agreed = established.suite.key_exchange() == KeyExchange::Ecdhe && !established.resumed;
    Arc::new(TlsInfo {
        version: VERSION,
        cipher: established.suite.name(),
        sni: established.server_name.as_deref().map(|name| name.to_ascii_lowercase().into()),
        alpn: established.protocol.as_deref().map(Arc::from),
        peer,
        local,
        resumed: established.resumed,
        group: if is_agreed { "curveSM2" } else { "" },
        peer_signature: if is_signed { "sm2sig_sm3" } else { "" },
        stapled: &[],
        forgiven,
        verified_by: VerifiedBy::new(verifier.map(|verifier| verifier as Arc<dyn FindIssuer>)),
    })
}

/// The identity in a peer's certificates: that of the one for signing.
fn identity(peer: &PeerCertificates, validated: bool) -> Option<Arc<PeerIdentity>> {
    let chain: Vec<CertificateDer<'_>> =
        std::iter::once(&peer.sign).chain(&peer.intermediates).cloned().collect();
    identity::of(&chain, validated)
}

/// A failed handshake as one of TLS.
fn failure(error: HandshakeError) -> TlsError {
    use palanquin_tlcp::Error;
    match error {
        HandshakeError::Closed => TlsError::Closed,
        HandshakeError::Io(error) => TlsError::Io(error),
        HandshakeError::Protocol(Error::AlertReceived(alert)) => TlsError::Alert(alert.0.into()),
        HandshakeError::Protocol(Error::NoPeerCertificate) => TlsError::NoPeerCertificate,
        HandshakeError::Protocol(Error::Verify(refused)) => {
            match refused.reason.downcast::<VerifyError>() {
                Ok(error) => TlsError::Verify(*error),
                Err(_) => TlsError::Verify(VerifyError::Malformed),
            }
        }
        HandshakeError::Protocol(error) => TlsError::Tlcp(error),
    }
}
