//! TLS towards downstream clients.

use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::digest;
use palanquin_config::ir::tls::DownstreamTls;
use palanquin_config::ir::tls::KeyLog;
use palanquin_config::ir::tls::PeerValidation;
use palanquin_config::ir::tls::TicketSource;
use palanquin_config::ir::tls::TlsVersion;
use palanquin_config::ir::tls::ValidationContext;
use palanquin_filter_api::PeerIdentity;
use rustls::CommonState;
use rustls::DistinguishedName;
use rustls::HandshakeKind;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::UnixTime;
use rustls::server::Acceptor;
use rustls::server::ClientHello;
use rustls::server::NoServerSessionStorage;
use rustls::server::ServerSessionMemoryCache;
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::LazyConfigAcceptor;

use crate::certificates::Certificates;
use crate::certificates::Loaded;
use crate::describe;
use crate::error::TlsConfigError;
use crate::error::TlsConfigFault;
use crate::error::TlsError;
use crate::handshake::Accept;
use crate::handshake::HandshakeCx;
use crate::handshake::LocalBoxFuture;
use crate::handshake::Secured;
use crate::identity;
use crate::key_log;
use crate::key_log::KeyLogFile;
use crate::params;
use crate::provider;
use crate::provider::Provider;
use crate::tickets::Tickets;
use crate::transport::Peeked;
use crate::transport::Transport;
use crate::verify::ClientVerifier;
use crate::verify::Peer;
use crate::verify::PeerVerifier;

/// The server side of one TLS context; shared by all workers.
#[derive(Debug)]
pub struct ServerTls {
    /// By [`Variant`]; they share everything but the settings that depend on the client.
    configs: [Arc<ServerConfig>; 4],
    certificates: Arc<Certificates>,
    verifier: Option<Arc<PeerVerifier>>,
    alpn: Vec<Box<[u8]>>,
    prefer_client_ciphers: bool,
    has_tls13: bool,
    require_client_certificate: bool,
    key_log: Option<(KeyLog, Arc<KeyLogFile>)>,
}

impl ServerTls {
    /// Loads certificates, keys and trust of a context, with the standard provider.
    ///
    /// # Errors
    /// Whatever would make handshakes fail later, or succeed that should not: see
    /// [`TlsConfigFault`].
    pub fn build(tls: &DownstreamTls) -> Result<Arc<Self>, TlsConfigError> {
        Self::build_with(provider::standard(), tls)
    }

    /// The same with another provider.
    pub fn build_with(
        provider: &Provider,
        tls: &DownstreamTls,
    ) -> Result<Arc<Self>, TlsConfigError> {
        let common = &tls.common;
        let crypto = params::narrowed(provider, &common.params);
        let certificates = Arc::new(Certificates::load(
            &common.certificates,
            &common.params.signature_schemes,
            &crypto,
            tls.full_scan_on_sni_mismatch,
        )?);
        if certificates.all().is_empty() {
            let fault = TlsConfigFault::NoCertificate;
            return Err(TlsConfigError::new("common_tls_context.tls_certificates", fault));
        }
        let context = common.validation.as_ref().map(validation_context).transpose()?;
        let algorithms = crypto.signature_verification_algorithms;
        let verifier = context
            .map(|context| PeerVerifier::build(context, algorithms, Peer::Client).map(Arc::new))
            .transpose()?;

        let builder = ServerConfig::builder_with_provider(crypto)
            .with_protocol_versions(&params::versions(&common.params))
            .map_err(|error| {
                let fault = TlsConfigFault::Nothing(error);
                TlsConfigError::new("common_tls_context.tls_params", fault)
            })?;
        let asks = tls.require_client_certificate || context.is_some_and(|c| asks_for_one(c));
        let client_verifier = if asks {
            let hints = context.filter(|c| !c.suppress_client_ca_list).map(|c| hints(c));
            Arc::new(ClientVerifier {
                peer: verifier.clone(),
                mandatory: tls.require_client_certificate,
                hints: hints.unwrap_or_default(),
                algorithms,
            })
        } else {
            WebPkiClientVerifier::no_client_auth()
        };
        let resolver = Arc::clone(&certificates);
        let mut config =
            builder.with_client_cert_verifier(client_verifier).with_cert_resolver(resolver);
        set_resumption(&mut config, tls, &certificates)?;

        let key_log = match &common.key_log {
            Some(settings) => Some((settings.clone(), Arc::new(KeyLogFile::open(settings)?))),
            None => None,
        };
        Ok(Arc::new(Self {
            configs: variants(&config, &common.alpn),
            certificates,
            verifier,
            alpn: common.alpn.clone(),
            prefer_client_ciphers: tls.prefer_client_ciphers,
            has_tls13: common.params.max_version >= TlsVersion::Tls13,
            require_client_certificate: tls.require_client_certificate,
            key_log,
        }))
    }

    /// Our own certificates, for statistics about their expiry.
    pub fn identities(&self) -> impl Iterator<Item = &Arc<PeerIdentity>> {
        self.certificates.all().iter().map(|loaded| &loaded.identity)
    }

    /// Shakes hands with a client. The future is large; box it. Dropping it drops the connection.
    ///
    /// # Errors
    /// The handshake failed, and the client was told by an alert where TLS has one.
    pub async fn handshake(&self, io: Peeked, cx: HandshakeCx) -> Result<Secured, TlsError> {
        let start =
            LazyConfigAcceptor::new(Acceptor::default(), io).await.map_err(TlsError::from_io)?;
        let hello = start.client_hello();
        let sni = hello.server_name().map(lower_name);
        let local = self
            .certificates
            .select(hello.server_name(), hello.signature_schemes())
            .map(|loaded| Arc::clone(&loaded.identity));
        let config = self.config_for(&hello, cx);
        let stream = start.into_stream(config).await.map_err(TlsError::from_io)?;

        let (_, session) = stream.get_ref();
        let peer = self.peer(session)?;
        let info = describe::info(session, sni, peer, local);
        Ok(Secured { transport: Transport::Rustls(Box::new(stream.into())), info })
    }

    fn config_for(&self, hello: &ClientHello<'_>, cx: HandshakeCx) -> Arc<ServerConfig> {
        let offered = hello.alpn();
        let variant = Variant {
            alpn: offered.is_some_and(|mut offered| {
                offered.any(|o| self.alpn.iter().any(|ours| **ours == *o))
            }),
            // BoringSSL takes the client's order for TLS 1.3, where the suites differ little.
            client_order: self.prefer_client_ciphers
                || self.has_tls13
                    && hello.cipher_suites().iter().any(|suite| u16::from(*suite) >> 8 == 0x13),
        };
        let config = &self.configs[variant.index()];
        match &self.key_log {
            Some((settings, file)) if key_log::covers(settings, cx.local, cx.remote) => {
                let mut config = ServerConfig::clone(config);
                config.key_log = Arc::clone(file) as Arc<dyn rustls::KeyLog>;
                Arc::new(config)
            }
            _ => Arc::clone(config),
        }
    }

    /// The client's identity. A resumed session brings the certificates of its first handshake; they are
    /// verified again, as in Envoy, because they may have expired meanwhile.
    fn peer(&self, session: &CommonState) -> Result<Option<Arc<PeerIdentity>>, TlsError> {
        let Some(chain) = session.peer_certificates().filter(|chain| !chain.is_empty()) else {
            if self.require_client_certificate {
                return Err(TlsError::NoPeerCertificate);
            }
            return Ok(None);
        };
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let validated = validated(self.verifier.as_deref(), chain, resumed, None)?;
        Ok(identity::of(chain, validated))
    }
}

impl Accept for ServerTls {
    fn accept(&self, io: Peeked, cx: HandshakeCx) -> LocalBoxFuture<'_, Result<Secured, TlsError>> {
        Box::pin(self.handshake(io, cx))
    }
}

/// Whether an accepted certificate was also verified.
///
/// # Errors
/// With `again`: it is not accepted any more.
pub(crate) fn validated(
    verifier: Option<&PeerVerifier>,
    chain: &[CertificateDer<'_>],
    again: bool,
    name: Option<&str>,
) -> Result<bool, TlsError> {
    let Some(verifier) = verifier else { return Ok(false) };
    if !verifier.accepts_untrusted() && !again {
        return Ok(verifier.authenticates());
    }
    let Some((leaf, rest)) = chain.split_first() else { return Ok(false) };
    match verifier.check(leaf, rest, UnixTime::now(), name) {
        Ok(()) => Ok(verifier.authenticates()),
        Err(_) if verifier.accepts_untrusted() => Ok(false),
        Err(error) => Err(TlsError::Verify(error)),
    }
}

/// The settings of a validation that has arrived.
pub(crate) fn validation_context(
    validation: &PeerValidation,
) -> Result<&Arc<ValidationContext>, TlsConfigError> {
    let missing = |name: &str| {
        let fault = TlsConfigFault::SecretMissing(name.to_owned());
        TlsConfigError::new("common_tls_context.validation_context_sds_secret_config", fault)
    };
    if let Some(name) = &validation.sds_overlay {
        return Err(missing(name));
    }
    let name = || validation.context.sds_name().map_or("", |name| name);
    validation.context.value().ok_or_else(|| missing(name()))
}

/// What depends on the client's hello.
#[derive(Clone, Copy)]
struct Variant {
    /// A protocol is agreed by ALPN. When none is shared the handshake goes on without ALPN, as in Envoy;
    /// rustls would end it.
    alpn: bool,
    /// The client's order of suites counts.
    client_order: bool,
}

impl Variant {
    const ALL: [Self; 4] = [
        Self { alpn: false, client_order: false },
        Self { alpn: false, client_order: true },
        Self { alpn: true, client_order: false },
        Self { alpn: true, client_order: true },
    ];

    fn index(self) -> usize {
        usize::from(self.alpn) * 2 + usize::from(self.client_order)
    }
}

fn variants(config: &ServerConfig, alpn: &[Box<[u8]>]) -> [Arc<ServerConfig>; 4] {
    Variant::ALL.map(|variant| {
        let mut config = config.clone();
        config.ignore_client_order = !variant.client_order;
        if variant.alpn {
            config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        }
        Arc::new(config)
    })
}

/// Whether clients are asked for a certificate at all.
fn asks_for_one(context: &ValidationContext) -> bool {
    context.trusted_ca.is_some()
        || context.accept_untrusted
        || !context.certificate_hashes.is_empty()
        || !context.spki_pins.is_empty()
}

/// The subjects of the trusted certificates; those that cannot be read were refused before.
fn hints(context: &ValidationContext) -> Vec<DistinguishedName> {
    let trusted = context.trusted_ca.iter().flatten();
    trusted
        .filter_map(|der| webpki::anchor_from_trusted_cert(der).ok())
        .map(|anchor| DistinguishedName::in_sequence(anchor.subject.as_ref()))
        .collect()
}

fn set_resumption(
    config: &mut ServerConfig,
    tls: &DownstreamTls,
    certificates: &Certificates,
) -> Result<(), TlsConfigError> {
    config.session_storage = if tls.resumption.stateful {
        ServerSessionMemoryCache::new(STATEFUL_SESSIONS)
    } else {
        Arc::new(NoServerSessionStorage {})
    };
    let timeout = tls.resumption.timeout;
    let tickets = match &tls.resumption.tickets {
        None => {
            config.send_tls13_tickets = 0;
            return Ok(());
        }
        Some(TicketSource::Generated) => Tickets::generated(timeout),
        Some(TicketSource::Keys(source)) => {
            let missing = || {
                let name = source.sds_name().map_or_else(String::new, ToString::to_string);
                let fault = TlsConfigFault::SecretMissing(name);
                TlsConfigError::new("session_ticket_keys_sds_secret_config", fault)
            };
            let keys = source.value().ok_or_else(missing)?;
            Tickets::configured(keys, &context_digest(tls, certificates), timeout)
        }
    };
    // One is enough: it may be used more than once, and each costs a sealing and bytes per handshake.
    config.send_tls13_tickets = 1;
    match tickets {
        Some(tickets) => config.ticketer = Arc::new(tickets),
        // The system has no randomness to give. Sessions are not resumed then.
        None => config.send_tls13_tickets = 0,
    }
    Ok(())
}

/// What a session depends on: a ticket of a context with another digest does not open.
fn context_digest(tls: &DownstreamTls, certificates: &Certificates) -> Vec<u8> {
    let mut hash = digest::Context::new(&digest::SHA256);
    for Loaded { certified, .. } in certificates.all() {
        for der in &certified.cert {
            hash.update(digest::digest(&digest::SHA256, der).as_ref());
        }
    }
    let mut policy = String::new();
    let validation = tls.common.validation.as_ref().and_then(|v| v.context.value());
    let _ = write!(policy, "{} {validation:?}", tls.require_client_certificate);
    hash.update(policy.as_bytes());
    hash.finish().as_ref().to_vec()
}

fn lower_name(name: &str) -> Arc<str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return name.to_ascii_lowercase().into();
    }
    name.into()
}

/// Clients of TLS 1.2 that know no tickets are rare.
const STATEFUL_SESSIONS: usize = 256;
