//! The server side of RFC 8998.

use std::sync::Arc;

use palanquin_config::ir::tls::DownstreamTls;
use palanquin_config::ir::tls::TicketSource;
use palanquin_config::ir::tls::TlsVersion;
use palanquin_rfc8998 as rfc8998;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::server::ProducesTickets;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;

use super::pairs::SmPair;
use super::params;
use crate::certificates::Certificates;
use crate::certificates::Loaded;
use crate::error::TlsConfigError;
use crate::error::TlsConfigFault;
use crate::server;
use crate::verify::ClientVerifier;
use crate::verify::Peer;
use crate::verify::PeerVerifier;

/// What a listener needs for clients of RFC 8998.
#[derive(Debug)]
pub(crate) struct SmServer {
    pub(crate) crypto: Arc<CryptoProvider>,
    /// By the standard stack's variants.
    pub(crate) configs: [Arc<ServerConfig>; 4],
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) verifier: Option<Arc<PeerVerifier>>,
}

impl SmServer {
    /// `None` when there is no SM certificate, or no suite of TLS 1.3 for it.
    pub(crate) fn build(
        tls: &DownstreamTls,
        pairs: &[SmPair],
    ) -> Result<Option<Self>, TlsConfigError> {
        let common = &tls.common;
        let loaded: Vec<_> = pairs.iter().filter_map(loaded).collect();
        let crypto = params::narrowed(&common.params.sm);
        let Some(crypto) = crypto.filter(|_| {
            !loaded.is_empty() && common.params.max_version >= TlsVersion::Tls13
        }) else {
            return Ok(None);
        };
        let certificates = Arc::new(Certificates::of(loaded, tls.full_scan_on_sni_mismatch));
        let context = common.validation.as_ref().map(server::validation_context).transpose()?;
        let verifier = context
            .map(|context| PeerVerifier::build(context, rfc8998::verify::CERTIFICATES, Peer::Client))
            .transpose()?
            .map(Arc::new);
        let asks = tls.require_client_certificate || context.is_some_and(|c| server::asks_for_one(c));
        let client_verifier = if asks {
            let hints = context.filter(|c| !c.suppress_client_ca_list).map(|c| server::hints(c));
            Arc::new(ClientVerifier {
                peer: verifier.clone(),
                mandatory: tls.require_client_certificate,
                hints: hints.unwrap_or_default(),
                algorithms: rfc8998::verify::HANDSHAKE,
                is_sm: true,
            })
        } else {
            WebPkiClientVerifier::no_client_auth()
        };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&crypto))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| {
                let fault = TlsConfigFault::Nothing(error);
                TlsConfigError::new("common_tls_context.tls_params", fault)
            })?
            .with_client_cert_verifier(client_verifier)
            .with_cert_resolver(Arc::clone(&certificates) as _);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        set_tickets(&mut config, tls, &certificates)?;
        let configs = server::variants(&config, &common.alpn);
        Ok(Some(Self { crypto, configs, certificates, verifier }))
    }
}

/// The certificate that signs, unless its KeyUsage keeps it from signing a handshake of TLS 1.3.
fn loaded(pair: &SmPair) -> Option<Loaded> {
    let sign = &pair.sign;
    rfc8998::verify::check_key_usage(sign.chain.first()?).ok()?;
    let key = Arc::new(rfc8998::Sm2SigningKey::new(Arc::clone(&sign.key)));
    let mut certified = CertifiedKey::new(sign.chain.clone(), key);
    certified.ocsp.clone_from(&sign.ocsp_staple);
    Some(Loaded { certified: Arc::new(certified), identity: Arc::clone(&sign.identity) })
}

/// Tickets of this stack: under SM4, and of other keys than the standard ones.
fn set_tickets(
    config: &mut ServerConfig,
    tls: &DownstreamTls,
    certificates: &Certificates,
) -> Result<(), TlsConfigError> {
    let timeout = tls.resumption.timeout;
    let ticketer: Option<Arc<dyn ProducesTickets>> = match &tls.resumption.tickets {
        None => None,
        Some(TicketSource::Generated) => {
            rfc8998::Ticketer::generated(timeout).map(|ticketer| Arc::new(ticketer) as _)
        }
        Some(TicketSource::Keys(source)) => {
            let keys = server::ticket_keys(source)?;
            let secrets = keys.keys.iter().map(|key| &key[..]);
            let context = server::context_digest(tls, certificates);
            Some(Arc::new(rfc8998::Ticketer::configured(secrets, &context, timeout)))
        }
    };
    config.send_tls13_tickets = usize::from(ticketer.is_some());
    if let Some(ticketer) = ticketer {
        config.ticketer = ticketer;
    }
    Ok(())
}
