//! The server side of RFC 8998.

use std::sync::Arc;

use palanquin_config::ir::tls::DownstreamTls;
use palanquin_config::ir::tls::TicketSource;
use palanquin_config::ir::tls::TlsVersion;
use palanquin_rfc8998 as rfc8998;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::ClientHello;
use rustls::server::NoServerSessionStorage;
use rustls::server::ProducesTickets;

use super::choice;
use super::pairs::SmPair;
use super::params;
use crate::certificates::Certificates;
use crate::certificates::Loaded;
use crate::error::TlsConfigError;
use crate::error::TlsConfigFault;
use crate::server;
use crate::verify::Peer;
use crate::verify::PeerVerifier;

/// What a listener needs for clients of RFC 8998.
#[derive(Debug)]
pub(crate) struct SmServer {
    crypto: Arc<CryptoProvider>,
    plain: Arc<ServerConfig>,
    /// With ALPN, for clients that offer one of our protocols.
    alpn: Arc<ServerConfig>,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) verifier: Option<Arc<PeerVerifier>>,
}

impl SmServer {
    /// `None` when there is no SM certificate that signs handshakes, or no suite of TLS 1.3 for it.
    ///
    /// # Errors
    /// Certificates and trust that cannot be used.
    pub(crate) fn build(
        tls: &DownstreamTls,
        pairs: &[SmPair],
    ) -> Result<Option<Self>, TlsConfigError> {
        let common = &tls.common;
        let loaded = pairs.iter().filter_map(|pair| load(pair).transpose());
        let loaded = loaded.collect::<Result<Vec<_>, _>>()?;
        let crypto = params::narrowed(&common.params.sm);
        let is_on = !loaded.is_empty() && common.params.max_version >= TlsVersion::Tls13;
        let Some(crypto) = crypto.filter(|_| is_on) else { return Ok(None) };
        let certificates = Arc::new(Certificates::of(loaded, tls.full_scan_on_sni_mismatch));
        let context = common.validation.as_ref().map(server::validation_context).transpose()?;
        let verifier = context
            .map(|context| {
                PeerVerifier::build(context, rfc8998::verify::CERTIFICATES, Peer::Client)
            })
            .transpose()?
            .map(Arc::new);
        let signatures = rfc8998::verify::HANDSHAKE;
        let clients = server::client_verifier(tls, context, verifier.as_ref(), signatures);
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&crypto))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| {
                let fault = TlsConfigFault::Nothing(error);
                TlsConfigError::new("common_tls_context.tls_params", fault)
            })?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::clone(&certificates) as _);
        config.ignore_client_order = !tls.prefer_client_ciphers;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        set_tickets(&mut config, tls, &certificates)?;
        let plain = Arc::new(config.clone());
        config.alpn_protocols = common.alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Some(Self { crypto, plain, alpn: Arc::new(config), certificates, verifier }))
    }

    /// Whether a client's hello can be answered here.
    pub(crate) fn is_offered(&self, hello: &ClientHello<'_>) -> bool {
        choice::offers_sm(&self.crypto, hello)
    }

    /// The configuration for a client.
    pub(crate) fn config(&self, agrees_on_alpn: bool) -> &Arc<ServerConfig> {
        if agrees_on_alpn { &self.alpn } else { &self.plain }
    }
}

/// The certificate that signs, unless its KeyUsage keeps it from signing a handshake of TLS 1.3.
fn load(pair: &SmPair) -> Result<Option<Loaded>, TlsConfigError> {
    let sign = &pair.sign;
    let signs = |leaf| rfc8998::verify::check_key_usage(leaf).is_ok();
    if !sign.source.chain.first().is_some_and(signs) {
        return Ok(None);
    }
    let key = Arc::new(rfc8998::Sm2SigningKey::new(Arc::clone(&sign.key)));
    Loaded::of(sign.index, &sign.source, key, &[]).map(Some)
}

/// Tickets of this stack: under SM4, and of other keys than the standard ones.
fn set_tickets(
    config: &mut ServerConfig,
    tls: &DownstreamTls,
    certificates: &Certificates,
) -> Result<(), TlsConfigError> {
    let lifetime = server::TLS13_SESSIONS;
    let ticketer: Option<Arc<dyn ProducesTickets>> = match &tls.resumption.tickets {
        None => None,
        Some(TicketSource::Generated) => {
            rfc8998::Ticketer::generated(lifetime).map(|ticketer| Arc::new(ticketer) as _)
        }
        Some(TicketSource::Keys(source)) => {
            let keys = server::ticket_keys(source)?;
            let secrets = keys.keys.iter().map(|key| &key[..]);
            let context = server::context_digest(tls, certificates);
            Some(Arc::new(rfc8998::Ticketer::configured(secrets, &context, lifetime)))
        }
    };
    config.send_tls13_tickets = usize::from(ticketer.is_some());
    if let Some(ticketer) = ticketer {
        config.ticketer = ticketer;
    }
    Ok(())
}
