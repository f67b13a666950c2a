//! TLS towards upstream endpoints.

use std::net::Ipv4Addr;
use std::sync::Arc;

use palanquin_config::ir::tls::UpstreamTls;
use palanquin_filter_api::PeerIdentity;
use rustls::AlertDescription;
use rustls::ClientConfig;
use rustls::CommonState;
use rustls::HandshakeKind;
use rustls::client::Resumption;
use rustls::pki_types::DnsName;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::certificates::Certificates;
use crate::describe;
use crate::describe::Ends;
use crate::error::TlsConfigError;
use crate::error::TlsConfigFault;
use crate::error::TlsError;
use crate::handshake::Connect;
use crate::handshake::LocalBoxFuture;
use crate::handshake::Secured;
use crate::identity;
use crate::key_log::KeyLogFile;
use crate::params;
use crate::provider;
use crate::provider::Provider;
use crate::server::validated;
use crate::server::validation_context;
use crate::sm;
use crate::sm::client::ClientStack;
use crate::sm::pairs;
use crate::sm::pairs::Sorted;
use crate::tlcp::client::TlcpClient;
use crate::transport::Peeked;
use crate::transport::Transport;
use crate::verify::Peer;
use crate::verify::PeerVerifier;
use crate::verify::ServerVerifier;

/// The client side of one TLS context, such as a cluster's; shared by all workers.
#[derive(Debug)]
pub struct ClientTls {
    engine: Engine,
    local: Option<Arc<PeerIdentity>>,
    sni: Option<Arc<str>>,
    auto_host_sni: bool,
    auto_sni_san_validation: bool,
    alpn: Vec<Vec<u8>>,
}

#[derive(Debug)]
enum Engine {
    Rustls(Rustls),
    Tlcp(Box<TlcpClient>),
}

/// TLS, with standard algorithms or those of RFC 8998.
#[derive(Debug)]
struct Rustls {
    /// Checks what the context says.
    config: Arc<ClientConfig>,
    /// Checks the server's name instead of the SAN matchers.
    name_checked: Arc<ClientConfig>,
    verifier: Option<Arc<PeerVerifier>>,
}

/// Which endpoint is meant, and what the caller wants of it beyond the context.
#[derive(Debug, Clone, Copy, Default)]
pub struct TlsTarget<'a> {
    /// The endpoint's host name, for `auto_host_sni`; empty when it has none.
    pub hostname: &'a str,
    /// The name to ask for in place of the configured one (`auto_sni`).
    pub sni: Option<&'a str>,
    /// The certificate must carry the name asked for (`auto_san_validation`).
    pub check_name: bool,
    /// The protocols to offer when the context says none.
    pub alpn: &'a [&'a [u8]],
}

impl ClientTls {
    /// Loads certificate, key and trust of a context, with the standard provider.
    ///
    /// # Errors
    /// Whatever would make handshakes fail later, or succeed that should not.
    pub fn build(tls: &UpstreamTls) -> Result<Arc<Self>, TlsConfigError> {
        Self::build_with(provider::standard(), tls)
    }

    /// The same with another provider.
    pub fn build_with(provider: &Provider, tls: &UpstreamTls) -> Result<Arc<Self>, TlsConfigError> {
        let common = &tls.common;
        let sorted = pairs::sort(&common.certificates)?;
        if let Some(tlcp) = TlcpClient::build(tls, &sorted)? {
            check_server_name(tls)?;
            let local = tlcp.identity().cloned();
            return Ok(Self::of(tls, Engine::Tlcp(Box::new(tlcp)), local));
        }
        let stack = match sm::client::stack(tls, &sorted)? {
            Some(stack) => stack,
            None => standard(provider, tls, &sorted)?,
        };
        let context = common.validation.as_ref().map(validation_context).transpose()?;
        let verifier = context
            .map(|context| PeerVerifier::build(context, stack.chains, Peer::Server).map(Arc::new))
            .transpose()?;
        if let Some(sni) = &tls.sni {
            // An address is not sent as a server name (RFC 6066 §3), but may stand there.
            ServerName::try_from(&**sni).map_err(|_| {
                TlsConfigError::new("sni", TlsConfigFault::ServerName(sni.to_string()))
            })?;
        }
        let key_log = match &common.key_log {
            Some(settings) => Some(Arc::new(KeyLogFile::open(settings)?)),
            None => None,
        };
        let own = stack.own.as_ref();
        let make = |check_name| {
            let builder = ClientConfig::builder_with_provider(Arc::clone(&stack.crypto))
                .with_protocol_versions(&stack.versions)
                .map_err(|error| {
                    let fault = TlsConfigFault::Nothing(error);
                    TlsConfigError::new("common_tls_context.tls_params", fault)
                })?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(ServerVerifier {
                    peer: verifier.clone(),
                    check_name,
                    algorithms: stack.signatures,
                }));
            let mut config = match own {
                Some(own) => {
                    let single = rustls::sign::SingleCertAndKey::from(Arc::clone(&own.certified));
                    builder.with_client_cert_resolver(Arc::new(single))
                }
                None => builder.with_no_client_auth(),
            };
            config.resumption = match tls.max_session_keys {
                0 => Resumption::disabled(),
                // rustls counts server names, not sessions, and keeps eight tickets of each.
                names => Resumption::in_memory_sessions(names.max(1)),
            };
            if let Some(file) = &key_log {
                config.key_log = Arc::clone(file) as Arc<dyn rustls::KeyLog>;
            }
            Ok(Arc::new(config))
        };
        let local = own.map(|own| Arc::clone(&own.identity));
        let config = make(tls.auto_sni_san_validation)?;
        let engine = Engine::Rustls(Rustls { config, name_checked: make(true)?, verifier });
        Ok(Self::of(tls, engine, local))
    }

    fn of(tls: &UpstreamTls, engine: Engine, local: Option<Arc<PeerIdentity>>) -> Arc<Self> {
        Arc::new(Self {
            engine,
            local,
            sni: tls.sni.clone(),
            auto_host_sni: tls.auto_host_sni,
            auto_sni_san_validation: tls.auto_sni_san_validation,
            alpn: tls.common.alpn.iter().map(|protocol| protocol.to_vec()).collect(),
        })
    }

    /// Our own certificate, for statistics about its expiry.
    pub fn identity(&self) -> Option<&Arc<PeerIdentity>> {
        self.local.as_ref()
    }

    /// Shakes hands with an endpoint. The future is large; box it. Dropping it drops the connection.
    ///
    /// # Errors
    /// The handshake failed, and the endpoint was told by an alert where TLS has one.
    pub async fn handshake(&self, io: Peeked, target: TlsTarget<'_>) -> Result<Secured, TlsError> {
        let sni = self.server_name(&target);
        let check_name = target.check_name || self.auto_sni_san_validation;
        let rustls = match &self.engine {
            Engine::Rustls(rustls) => rustls,
            Engine::Tlcp(tlcp) => {
                let alpn = self.tlcp_alpn(&target);
                return Box::pin(tlcp.handshake(io, sni, check_name, alpn)).await;
            }
        };
        let name = match sni.and_then(|sni| DnsName::try_from(sni).ok()) {
            Some(name) => ServerName::DnsName(name.to_owned()),
            // rustls sends no name for an address. It is also the key of sessions: all endpoints that are
            // asked for no name share them, as in Envoy.
            None => ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into()),
        };
        let config = if target.check_name { &rustls.name_checked } else { &rustls.config };
        let alpn = if self.alpn.is_empty() {
            target.alpn.iter().map(|protocol| protocol.to_vec()).collect()
        } else {
            self.alpn.clone()
        };
        let stream = TlsConnector::from(Arc::clone(config))
            .with_alpn(alpn)
            .connect(name, io)
            .into_fallible()
            .await
            .map_err(|(error, io)| match TlsError::from_io(error) {
                TlsError::Alert(alert @ AlertDescription::HandshakeFailure)
                    if io.received() == ALERT_RECORD =>
                {
                    TlsError::Refused(alert)
                }
                error => error,
            })?;

        let (_, session) = stream.get_ref();
        let (peer, forgiven) = rustls.peer(session, sni.filter(|_| check_name))?;
        let ends = Ends {
            sni: sni.map(Arc::from),
            peer,
            local: self.local.clone(),
            forgiven,
            stapled: &[],
            verifier: rustls.verifier.clone(),
        };
        let info = describe::info(session, ends);
        Ok(Secured { transport: Transport::Rustls(Box::new(stream.into())), info })
    }

    fn server_name<'a>(&'a self, target: &TlsTarget<'a>) -> Option<&'a str> {
        let hostname = Some(target.hostname).filter(|name| self.auto_host_sni && !name.is_empty());
        target.sni.or(hostname).or(self.sni.as_deref())
    }

    /// The protocols to offer. HTTP/1.1 alone is not worth an extension: GmSSL's server drops a hello that has any.
    fn tlcp_alpn(&self, target: &TlsTarget<'_>) -> Vec<Vec<u8>> {
        match (self.alpn.is_empty(), target.alpn) {
            (false, _) => self.alpn.clone(),
            (true, [only]) if *only == b"http/1.1" => Vec::new(),
            (true, all) => all.iter().map(|protocol| protocol.to_vec()).collect(),
        }
    }
}

impl Rustls {
    fn peer(
        &self,
        session: &CommonState,
        name: Option<&str>,
    ) -> Result<(Option<Arc<PeerIdentity>>, Option<&'static str>), TlsError> {
        let Some(chain) = session.peer_certificates() else { return Ok((None, None)) };
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let (validated, forgiven) = validated(self.verifier.as_deref(), chain, resumed, name)?;
        Ok((identity::of(chain, validated), forgiven))
    }
}

/// An address is not sent as a server name (RFC 6066 §3), but may stand there.
fn check_server_name(tls: &UpstreamTls) -> Result<(), TlsConfigError> {
    let Some(sni) = &tls.sni else { return Ok(()) };
    let fault = || TlsConfigFault::ServerName(sni.to_string());
    ServerName::try_from(&**sni).map_err(|_| TlsConfigError::new("sni", fault())).map(drop)
}

/// The algorithms and the certificate of a client of standard TLS.
fn standard(
    provider: &Provider,
    tls: &UpstreamTls,
    sorted: &Sorted<'_>,
) -> Result<ClientStack, TlsConfigError> {
    let params = &tls.common.params;
    let crypto = params::narrowed(provider, params);
    let schemes = &params.signature_schemes;
    let certificates = Certificates::load(&sorted.standard, schemes, &crypto, false)?;
    let algorithms = crypto.signature_verification_algorithms;
    Ok(ClientStack {
        crypto,
        versions: params::versions(params),
        chains: algorithms,
        signatures: algorithms,
        own: certificates.into_first(),
    })
}

impl Connect for ClientTls {
    fn connect<'a>(
        &'a self,
        io: Peeked,
        target: TlsTarget<'a>,
    ) -> LocalBoxFuture<'a, Result<Secured, TlsError>> {
        Box::pin(self.handshake(io, target))
    }
}

/// The length of an alert in its record, when nothing is encrypted yet (RFC 8446 §5.1, §6).
const ALERT_RECORD: u64 = 7;
