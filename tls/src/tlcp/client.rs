//! The client side of TLCP.

use std::sync::Arc;
use std::time::Duration;

use palanquin_config::ir::tls::UpstreamTls;
use palanquin_filter_api::PeerIdentity;
use palanquin_rfc8998 as rfc8998;
use palanquin_tlcp::ClientConfig;
use palanquin_tlcp::ClientSessions;
use palanquin_tlcp::Target;
use palanquin_tlcp::stream;
use rustls::pki_types::DnsName;

use super::pairs::Pair;
use super::verify;
use super::verify::PairVerifier;
use crate::error::TlsConfigError;
use crate::error::TlsConfigFault;
use crate::error::TlsError;
use crate::handshake::Secured;
use crate::server;
use crate::sm::error::SmFault;
use crate::sm::pairs::Sorted;
use crate::transport::Peeked;
use crate::transport::Transport;
use crate::verify::Peer;
use crate::verify::PeerVerifier;

/// What makes a client one of TLCP.
#[derive(Debug)]
pub(crate) struct TlcpClient {
    /// Checks what the context says.
    config: ClientConfig,
    /// Checks the server's name instead of the SAN matchers.
    name_checked: Arc<PairVerifier>,
    verifier: Option<Arc<PeerVerifier>>,
    local: Option<Arc<PeerIdentity>>,
}

impl TlcpClient {
    /// `None` unless the suites of the context are TLCP's. Should suites of TLS 1.3 be among them, RFC 8998 it is:
    /// one hello cannot offer both.
    ///
    /// # Errors
    /// Certificates that are not a pair of SM, and trust that cannot be used.
    pub(crate) fn build(
        tls: &UpstreamTls,
        sorted: &Sorted<'_>,
    ) -> Result<Option<Self>, TlsConfigError> {
        let common = &tls.common;
        let sm = &common.params.sm;
        if !sm.is_named || !sm.tls13_suites.is_empty() || sm.tlcp_suites.is_empty() {
            return Ok(None);
        }
        if !sorted.standard.is_empty() {
            let fault = TlsConfigFault::Sm(SmFault::StandardCertificate);
            return Err(TlsConfigError::new("common_tls_context.tls_certificates", fault));
        }
        let own = sorted.sm.first().map(Pair::load).transpose()?;
        let context = common.validation.as_ref().map(server::validation_context).transpose()?;
        let verifier = context
            .map(|context| {
                PeerVerifier::build(context, rfc8998::verify::CERTIFICATES, Peer::Server)
            })
            .transpose()?
            .map(Arc::new);
        let judge = |check_name| {
            let peer = verifier.clone();
            Arc::new(PairVerifier { peer, check_name, hints: Vec::new() })
        };
        let sessions = match tls.max_session_keys {
            0 => None,
            servers => Some(Arc::new(ClientSessions::new(servers, SESSION_LIFETIME))),
        };
        let config = ClientConfig {
            certificate: own.as_ref().map(|pair| Arc::clone(&pair.dual)),
            protocols: Vec::new(),
            sessions,
            suites: super::suites(&sm.tlcp_suites),
            verifier: judge(false),
        };
        if !config.can_offer() {
            let fault = TlsConfigFault::Sm(SmFault::NoPairForEcdhe);
            return Err(TlsConfigError::new("common_tls_context.tls_certificates", fault));
        }
        let local = own.map(|pair| pair.identity);
        Ok(Some(Self { config, name_checked: judge(true), verifier, local }))
    }

    /// Our own certificate for signing.
    pub(crate) fn identity(&self) -> Option<&Arc<PeerIdentity>> {
        self.local.as_ref()
    }

    /// Shakes hands with a server. `sni` is asked for if it is a host name, and checked if so wished. The future is
    /// large; box it.
    ///
    /// # Errors
    /// The handshake failed, and the server was told by an alert.
    pub(crate) async fn handshake(
        &self,
        io: Peeked,
        sni: Option<&str>,
        check_name: bool,
        protocols: Vec<Vec<u8>>,
    ) -> Result<Secured, TlsError> {
        // An address is not sent as a server name (RFC 6066 §3).
        let sni = sni.filter(|name| DnsName::try_from(*name).is_ok());
        let mut config = self.config.clone();
        config.protocols = protocols;
        if check_name {
            config.verifier = Arc::clone(&self.name_checked) as _;
        }
        // Endpoints that are asked for no name share their sessions, as with TLS.
        let server_name: Option<Box<str>> = sni.map(Into::into);
        let session_key = Some(server_name.clone().unwrap_or_default());
        let target = Target { server_name, session_key };
        let stream = stream::connect(io, Arc::new(config), target).await.map_err(super::failure)?;
        let established = Arc::clone(stream.established());
        let (peer, forgiven) = match &established.peer {
            Some(pair) => {
                let name = sni.filter(|_| check_name);
                let verifier = self.verifier.as_deref();
                let (validated, forgiven) =
                    verify::validated(verifier, pair, established.resumed, name)?;
                (super::identity(pair, validated), forgiven)
            }
            None => (None, None),
        };
        let info =
            super::info(&established, peer, self.local.clone(), forgiven, self.verifier.clone());
        Ok(Secured { transport: Transport::Tlcp(Box::new(stream)), info })
    }
}

/// As long as BoringSSL keeps sessions of TLS 1.2.
const SESSION_LIFETIME: Duration = Duration::from_hours(2);
