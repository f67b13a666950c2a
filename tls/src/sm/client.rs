//! The client side of RFC 8998.

use std::sync::Arc;

use palanquin_config::ir::tls::UpstreamTls;
use palanquin_rfc8998 as rfc8998;
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::sign::CertifiedKey;

use super::error::SmFault;
use super::pairs::Sorted;
use super::params;
use crate::certificates::Loaded;
use crate::error::TlsConfigError;
use crate::error::TlsConfigFault;

/// What makes a client one of RFC 8998.
#[derive(Debug)]
pub(crate) struct SmClient {
    pub(crate) crypto: Arc<CryptoProvider>,
    /// Our certificate, if we have one.
    pub(crate) own: Option<Loaded>,
}

impl SmClient {
    /// `None` for a client of standard TLS: neither its certificate nor any name in its parameters is of SM.
    /// Envoy's default of TLS 1.2 for clients does not count, as the suites exist in TLS 1.3 only.
    ///
    /// # Errors
    /// SM certificates together with standard ones, or without a suite.
    pub(crate) fn build(
        tls: &UpstreamTls,
        sorted: &Sorted<'_>,
    ) -> Result<Option<Self>, TlsConfigError> {
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
        let crypto = params::narrowed(sm)
            .ok_or_else(|| fault("tls_params.cipher_suites", SmFault::NoSuite))?;
        let own = sorted.sm.first().map(|pair| {
            let key = Arc::new(rfc8998::Sm2SigningKey::new(Arc::clone(&pair.sign.key)));
            let certified = CertifiedKey::new(pair.sign.chain.clone(), key);
            let identity = Arc::clone(&pair.sign.identity);
            Loaded { certified: Arc::new(certified), identity }
        });
        Ok(Some(Self { crypto, own }))
    }
}

/// The only version.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
/// For chains.
pub(crate) const CHAINS: WebPkiSupportedAlgorithms = rfc8998::verify::CERTIFICATES;
/// For CertificateVerify.
pub(crate) const HANDSHAKE: WebPkiSupportedAlgorithms = rfc8998::verify::HANDSHAKE;
