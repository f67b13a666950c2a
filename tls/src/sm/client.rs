//! The client side of RFC 8998.

use std::sync::Arc;

use palanquin_config::ir::tls::UpstreamTls;
use palanquin_rfc8998 as rfc8998;
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::crypto::WebPkiSupportedAlgorithms;

use super::error::SmFault;
use super::pairs::Sorted;
use super::params;
use crate::certificates::Loaded;
use crate::error::TlsConfigError;
use crate::error::TlsConfigFault;

/// The algorithms and the certificate of a client, of either world.
#[derive(Debug)]
pub(crate) struct ClientStack {
    pub(crate) crypto: Arc<CryptoProvider>,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    /// For chains of certificates.
    pub(crate) chains: WebPkiSupportedAlgorithms,
    /// For the server's proof that it has the key.
    pub(crate) signatures: WebPkiSupportedAlgorithms,
    /// Our certificate, if we have one.
    pub(crate) own: Option<Loaded>,
}

/// The stack of RFC 8998; `None` for a client of standard TLS: neither its certificate nor any name in its
/// parameters is of SM. Envoy's default of TLS 1.2 for clients does not count, as the suites exist in TLS 1.3
/// only.
///
/// # Errors
/// SM together with a standard certificate, or without a suite.
pub(crate) fn stack(
    tls: &UpstreamTls,
    sorted: &Sorted<'_>,
) -> Result<Option<ClientStack>, TlsConfigError> {
    let sm = &tls.common.params.sm;
    if !sm.is_named && sorted.sm.is_empty() {
        return Ok(None);
    }
    let fault = |field: &str, fault| {
        TlsConfigError::new(format!("common_tls_context.{field}"), TlsConfigFault::Sm(fault))
    };
    if !sorted.standard.is_empty() {
        return Err(fault("tls_certificates", SmFault::StandardCertificate));
    }
    let crypto =
        params::narrowed(sm).ok_or_else(|| fault("tls_params.cipher_suites", SmFault::NoSuite))?;
    let own = match sorted.sm.first() {
        Some(pair) => {
            let key = Arc::new(rfc8998::Sm2SigningKey::new(Arc::clone(&pair.sign.key)));
            Some(Loaded::of(pair.sign.index, &pair.sign.source, key, &[])?)
        }
        None => None,
    };
    Ok(Some(ClientStack {
        crypto,
        versions: vec![&rustls::version::TLS13],
        chains: rfc8998::verify::CERTIFICATES,
        signatures: rfc8998::verify::HANDSHAKE,
        own,
    }))
}
