//! TLS towards downstream clients.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use palanquin_config::ir::sm::SmPolicy;
use palanquin_config::ir::tls::DownstreamTls;
use palanquin_config::ir::tls::KeyLog;
use palanquin_config::ir::tls::OcspPolicy;
use palanquin_config::ir::tls::PeerValidation;
use palanquin_config::ir::tls::SecretSource;
use palanquin_config::ir::tls::TicketKeys;
use palanquin_config::ir::tls::TicketSource;
use palanquin_config::ir::tls::TlsVersion;
use palanquin_config::ir::tls::ValidationContext;
use palanquin_filter_api::PeerIdentity;
use rustls::CommonState;
use rustls::DistinguishedName;
use rustls::HandshakeKind;
use rustls::PeerIncompatible;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::UnixTime;
use rustls::server::Acceptor;
use rustls::server::ClientHello;
use rustls::server::NoServerSessionStorage;
use rustls::server::ServerSessionMemoryCache;
use rustls::server::StoresServerSessions;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::io::AsyncWriteExt;
use tokio_rustls::LazyConfigAcceptor;

use crate::certificates::Certificates;
use crate::certificates::Loaded;
use crate::certificates::Stapling;
use crate::certificates::usable;
use crate::describe;
use crate::describe::Ends;
use crate::error::Cleartext;
use crate::error::TlsConfigError;
use crate::error::TlsConfigFault;
use crate::error::TlsError;
use crate::handshake::Accept;
use crate::handshake::HandshakeCx;
use crate::handshake::LocalBoxFuture;
use crate::handshake::Secured;
use crate::identity;
use crate::inspect;
use crate::key_log;
use crate::key_log::KeyLogFile;
use crate::params;
use crate::provider;
use crate::provider::Provider;
use crate::sm::choice;
use crate::sm::choice::Offer;
use crate::sm::choice::World;
use crate::sm::error::SmFault;
use crate::sm::pairs;
use crate::sm::server::SmServer;
use crate::tickets::Tickets;
use crate::tlcp;
use crate::tlcp::server::TlcpServer;
use crate::transport::Peeked;
use crate::transport::Transport;
use crate::verify::ClientVerifier;
use crate::verify::Peer;
use crate::verify::PeerVerifier;

/// The server side of one TLS context; shared by all workers.
#[derive(Debug)]
pub struct ServerTls {
    /// By [`Variant`]; they share everything but the settings that depend on the client.
    configs: [Arc<ServerConfig>; 8],
    /// Suites among which the client's order decides.
    equals: Vec<[u16; 2]>,
    ocsp: OcspPolicy,
    certificates: Arc<Certificates>,
    verifier: Option<Arc<PeerVerifier>>,
    alpn: Vec<Box<[u8]>>,
    prefer_client_ciphers: bool,
    has_tls13: bool,
    require_client_certificate: bool,
    key_log: Option<(KeyLog, Arc<KeyLogFile>)>,
    /// For clients of RFC 8998, when there are SM certificates.
    sm: Option<SmServer>,
    sm_policy: SmPolicy,
    /// For clients of TLCP, when there is an SM pair.
    tlcp: Option<TlcpServer>,
    /// There are standard certificates, and the policy lets them serve.
    serves_standard: bool,
    /// The SM certificates, those for encryption included.
    sm_identities: Vec<Arc<PeerIdentity>>,
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
        let sorted = pairs::sort(&common.certificates)?;
        let certificates = Arc::new(
            Certificates::load(
                &sorted.standard,
                &common.params.signature_schemes,
                &crypto,
                tls.full_scan_on_sni_mismatch,
            )?
            .with_policy(tls.ocsp),
        );
        if common.certificates.is_empty() {
            let fault = TlsConfigFault::NoCertificate;
            return Err(TlsConfigError::new("common_tls_context.tls_certificates", fault));
        }
        if tls.sm_policy == SmPolicy::SmOnly && sorted.sm.is_empty() {
            let fault = SmFault::NothingForPolicy;
            return Err(TlsConfigError::new("common_tls_context.tls_certificates", fault));
        }
        let context = common.validation.as_ref().map(validation_context).transpose()?;
        let algorithms = crypto.signature_verification_algorithms;
        let verifier = context
            .map(|context| PeerVerifier::build(context, algorithms, Peer::Client).map(Arc::new))
            .transpose()?;

        let demands_one = tls.require_client_certificate
            || verifier.as_ref().is_some_and(|verifier| verifier.demands_one());
        let client_verifier = client_verifier(tls, context, verifier.as_ref(), algorithms);
        let resumption = Resumption::of(tls, &certificates)?;
        let build = |crypto: Arc<CryptoProvider>| {
            let mut config = ServerConfig::builder_with_provider(crypto)
                .with_protocol_versions(&params::versions(&common.params))
                .map_err(|error| {
                    let fault = TlsConfigFault::Nothing(error);
                    TlsConfigError::new("common_tls_context.tls_params", fault)
                })?
                .with_client_cert_verifier(Arc::clone(&client_verifier))
                .with_cert_resolver(Arc::clone(&certificates) as _);
            resumption.put_into(&mut config);
            Ok(config)
        };
        let ours = build(crypto)?;
        let equals = params::equals(&common.params);
        let swapped = match params::swapped(&common.params) {
            Cow::Borrowed(_) => ours.clone(),
            Cow::Owned(params) => build(params::narrowed(provider, &params))?,
        };
        let key_log = match &common.key_log {
            Some(settings) => Some((settings.clone(), Arc::new(KeyLogFile::open(settings)?))),
            None => None,
        };
        let sm = SmServer::build(tls, &sorted.sm)?;
        let tlcp = TlcpServer::build(tls, &sorted.sm)?;
        if !sorted.sm.is_empty() && sm.is_none() && tlcp.is_none() {
            return Err(TlsConfigError::new("common_tls_context.tls_params", SmFault::NoSuite));
        }
        Ok(Arc::new(Self {
            configs: variants(&ours, &swapped, resumption.tickets_tls13.as_ref(), &common.alpn),
            equals,
            ocsp: tls.ocsp,
            certificates,
            verifier,
            alpn: common.alpn.clone(),
            prefer_client_ciphers: tls.prefer_client_ciphers,
            has_tls13: common.params.max_version >= TlsVersion::Tls13,
            require_client_certificate: demands_one,
            key_log,
            sm,
            sm_policy: tls.sm_policy,
            serves_standard: !sorted.standard.is_empty() && tls.sm_policy != SmPolicy::SmOnly,
            tlcp,
            sm_identities: sorted.identities().collect(),
        }))
    }

    /// Our own certificates, for statistics about their expiry.
    pub fn identities(&self) -> impl Iterator<Item = &Arc<PeerIdentity>> {
        let standard = self.certificates.all().iter().map(|loaded| &loaded.identity);
        standard.chain(&self.sm_identities)
    }

    /// Shakes hands with a client. The future is large; box it. Dropping it drops the connection.
    ///
    /// # Errors
    /// The handshake failed, and the client was told by an alert where TLS has one.
    pub async fn handshake(&self, mut io: Peeked, cx: HandshakeCx) -> Result<Secured, TlsError> {
        let outline = loop {
            match palanquin_tlcp::is_tlcp(io.peeked()) {
                Some(true) => return Box::pin(self.tlcp_handshake(io)).await,
                Some(false) => {
                    if let Some(outline) = inspect::outline(io.peeked()) {
                        break outline;
                    }
                }
                None => {}
            }
            let room = inspect::MAX_HELLO.saturating_sub(io.peeked().len()).max(1);
            if io.peek_more(room).await.map_err(TlsError::Io)? == 0 {
                return Err(TlsError::Closed);
            }
        };
        if let Some(cleartext) = Cleartext::of(io.peeked()) {
            refuse(io, PeerIncompatible::Tls12NotOffered, UNEXPECTED_MESSAGE).await;
            return Err(TlsError::Cleartext(cleartext));
        }
        if outline.version < TLS12 {
            return Err(refuse(io, PeerIncompatible::Tls12NotOffered, PROTOCOL_VERSION).await);
        }
        let start =
            LazyConfigAcceptor::new(Acceptor::default(), io).await.map_err(TlsError::from_io)?;
        let hello = start.client_hello();
        let sni = hello.server_name().map(lower_name);
        let variant = self.variant(&hello);
        let world = self.world(&hello);
        let (config, certificates, verifier) = match &self.sm {
            Some(sm) if world == World::Sm => {
                (sm.config(variant.alpn), &sm.certificates, &sm.verifier)
            }
            _ if world == World::Neither => {
                let fault = PeerIncompatible::NoCipherSuitesInCommon;
                return Err(refuse(start.io, fault, HANDSHAKE_FAILURE).await);
            }
            _ => (&self.configs[variant.index()], &self.certificates, &self.verifier),
        };
        let config = self.with_key_log(config, cx);
        let is_tls13 = world == World::Sm || variant.order == Order::Tls13;
        let schemes = usable(&hello, config.crypto_provider(), is_tls13);
        let chosen = certificates.select(hello.server_name(), &schemes);
        let mut stapled: &'static [&'static str] = &[];
        if let Some(chosen) = chosen {
            // rustls would find out only after its ServerHello, and staples without asking for the policy.
            if is_tls13 && !chosen.signs_tls13(&schemes) {
                let fault = PeerIncompatible::NoSignatureSchemesInCommon;
                return Err(refuse(start.io, fault, HANDSHAKE_FAILURE).await);
            }
            let now = UnixTime::now().as_secs();
            let stapling = chosen.stapling(self.ocsp, outline.asks_for_status, now);
            stapled = stapling.counters();
            if stapling == Stapling::Refused {
                let fault = PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon;
                refuse(start.io, fault, HANDSHAKE_FAILURE).await;
                return Err(TlsError::NoStaple);
            }
        }
        let local = chosen.map(|loaded| Arc::clone(&loaded.identity));
        let stream = start.into_stream(config).await.map_err(TlsError::from_io)?;

        let (_, session) = stream.get_ref();
        let (peer, forgiven) = self.peer(verifier.as_deref(), session)?;
        let verifier = verifier.clone();
        let info = describe::info(session, Ends { sni, peer, local, forgiven, stapled, verifier });
        Ok(Secured { transport: Transport::Rustls(Box::new(stream.into())), info })
    }

    async fn tlcp_handshake(&self, io: Peeked) -> Result<Secured, TlsError> {
        match &self.tlcp {
            Some(tlcp) => tlcp.handshake(io).await,
            None => Err(tlcp::server::refuse(io).await),
        }
    }

    fn variant(&self, hello: &ClientHello<'_>) -> Variant {
        let suites = hello.cipher_suites();
        let position = |number: u16| suites.iter().position(|suite| u16::from(*suite) == number);
        let prefers_second =
            |[first, second]: &[u16; 2]| match (position(*first), position(*second)) {
                (Some(first), Some(second)) => Some(second < first),
                _ => None,
            };
        let order = if self.has_tls13 && suites.iter().any(|suite| u16::from(*suite) >> 8 == 0x13) {
            Order::Tls13
        } else if self.prefer_client_ciphers {
            Order::Clients
        } else if self.equals.iter().find_map(prefers_second) == Some(true) {
            Order::Swapped
        } else {
            Order::Ours
        };
        let offered = hello.alpn();
        let alpn = offered
            .is_some_and(|mut offered| offered.any(|o| self.alpn.iter().any(|ours| **ours == *o)));
        Variant { alpn, order }
    }

    /// Standard TLS or SM, by the whole hello and before rustls looks at it.
    fn world(&self, hello: &ClientHello<'_>) -> World {
        let crypto = self.configs[0].crypto_provider();
        let offer = Offer {
            sm: self.sm.as_ref().is_some_and(|sm| sm.is_offered(hello)),
            standard: self.sm_policy == SmPolicy::PreferStandard
                && self.serves_standard
                && choice::offers_standard(crypto, &self.certificates, hello),
            serves_standard: self.serves_standard,
        };
        offer.choose(self.sm_policy)
    }

    fn with_key_log(&self, config: &Arc<ServerConfig>, cx: HandshakeCx) -> Arc<ServerConfig> {
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
    fn peer(
        &self,
        verifier: Option<&PeerVerifier>,
        session: &CommonState,
    ) -> Result<(Option<Arc<PeerIdentity>>, Option<&'static str>), TlsError> {
        let Some(chain) = session.peer_certificates().filter(|chain| !chain.is_empty()) else {
            if self.require_client_certificate {
                return Err(TlsError::NoPeerCertificate);
            }
            return Ok((None, None));
        };
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let (validated, forgiven) = validated(verifier, chain, resumed, None)?;
        Ok((identity::of(chain, validated), forgiven))
    }
}

impl Accept for ServerTls {
    fn accept(&self, io: Peeked, cx: HandshakeCx) -> LocalBoxFuture<'_, Result<Secured, TlsError>> {
        Box::pin(self.handshake(io, cx))
    }
}

/// Whether an accepted certificate was also verified, and if not, the counter for the reason.
///
/// # Errors
/// With `again`: it is not accepted any more.
pub(crate) fn validated(
    verifier: Option<&PeerVerifier>,
    chain: &[CertificateDer<'_>],
    again: bool,
    name: Option<&str>,
) -> Result<(bool, Option<&'static str>), TlsError> {
    let Some(verifier) = verifier else { return Ok((false, None)) };
    if !verifier.accepts_untrusted() && !again {
        return Ok((verifier.authenticates(), None));
    }
    let Some((leaf, rest)) = chain.split_first() else { return Ok((false, None)) };
    match verifier.check(leaf, rest, UnixTime::now(), name) {
        Ok(()) => Ok((verifier.authenticates(), None)),
        Err(error) if verifier.accepts_untrusted() => Ok((false, Some(error.stat()))),
        Err(error) => Err(TlsError::Verify(error)),
    }
}

/// Ends a handshake before rustls has answered.
async fn refuse(mut io: Peeked, fault: PeerIncompatible, alert: u8) -> TlsError {
    // RFC 8446 §6: type, version, length, fatal, description.
    let record = [21, 3, 3, 0, 2, 2, alert];
    // The client may be gone already; it is refused in either case.
    drop(io.write_all(&record).await);
    drop(io.shutdown().await);
    TlsError::Protocol(rustls::Error::PeerIncompatible(fault))
}

/// The settings of a validation that has arrived.
pub(crate) fn validation_context(
    validation: &PeerValidation,
) -> Result<&Arc<ValidationContext>, TlsConfigError> {
    let missing = |name: &str| {
        let fault = TlsConfigFault::SecretMissing(name.to_owned());
        TlsConfigError::new("common_tls_context.validation_context_sds_secret_config", fault)
    };
    if let Some(secret) = &validation.sds_overlay {
        return Err(missing(&secret.name));
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
    order: Order,
}

/// Whose order of suites counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Ours.
    Ours,
    /// Ours, but with the second of equal suites first.
    Swapped,
    /// The client's, by configuration.
    Clients,
    /// The client's as well: BoringSSL does so in TLS 1.3, where the suites differ little.
    Tls13,
}

impl Variant {
    const ALL: [Self; 8] = [
        Self { alpn: false, order: Order::Ours },
        Self { alpn: false, order: Order::Swapped },
        Self { alpn: false, order: Order::Clients },
        Self { alpn: false, order: Order::Tls13 },
        Self { alpn: true, order: Order::Ours },
        Self { alpn: true, order: Order::Swapped },
        Self { alpn: true, order: Order::Clients },
        Self { alpn: true, order: Order::Tls13 },
    ];

    fn index(self) -> usize {
        usize::from(self.alpn) * 4 + self.order as usize
    }
}

fn variants(
    ours: &ServerConfig,
    swapped: &ServerConfig,
    tickets_tls13: Option<&Arc<Tickets>>,
    alpn: &[Box<[u8]>],
) -> [Arc<ServerConfig>; 8] {
    Variant::ALL.map(|variant| {
        let base = if variant.order == Order::Swapped { swapped } else { ours };
        let mut config = base.clone();
        config.ignore_client_order = matches!(variant.order, Order::Ours | Order::Swapped);
        if let Some(tickets) = tickets_tls13.filter(|_| variant.order == Order::Tls13) {
            config.ticketer = Arc::clone(tickets) as _;
        }
        if variant.alpn {
            config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        }
        Arc::new(config)
    })
}

/// Asks clients for a certificate, if the context cares for one, and verifies their signatures by `algorithms`.
pub(crate) fn client_verifier(
    tls: &DownstreamTls,
    context: Option<&Arc<ValidationContext>>,
    verifier: Option<&Arc<PeerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
) -> Arc<dyn ClientCertVerifier> {
    if !tls.require_client_certificate && !context.is_some_and(|context| asks_for_one(context)) {
        return WebPkiClientVerifier::no_client_auth();
    }
    let hints = context.filter(|c| !c.suppress_client_ca_list).map(|context| hints(context));
    Arc::new(ClientVerifier {
        peer: verifier.cloned(),
        mandatory: tls.require_client_certificate
            || verifier.is_some_and(|verifier| verifier.demands_one()),
        hints: hints.unwrap_or_default(),
        algorithms,
    })
}

/// Whether clients are asked for a certificate at all.
fn asks_for_one(context: &ValidationContext) -> bool {
    context.authenticates() || context.accept_untrusted
}

/// The subjects of the trusted certificates; those that cannot be read were refused before.
fn hints(context: &ValidationContext) -> Vec<DistinguishedName> {
    let trusted = context.trusted_ca.iter().flatten();
    let domains = context.spiffe.iter().flat_map(|domains| domains.iter());
    trusted
        .chain(domains.flat_map(|domain| &domain.roots))
        .filter_map(|der| webpki::anchor_from_trusted_cert(der).ok())
        .map(|anchor| DistinguishedName::in_sequence(anchor.subject.as_ref()))
        .collect()
}

/// How sessions are resumed, in every variant.
struct Resumption {
    storage: Arc<dyn StoresServerSessions>,
    tickets: Option<Arc<Tickets>>,
    tickets_tls13: Option<Arc<Tickets>>,
}

impl Resumption {
    fn of(tls: &DownstreamTls, certificates: &Certificates) -> Result<Self, TlsConfigError> {
        let storage: Arc<dyn StoresServerSessions> = if tls.resumption.stateful {
            ServerSessionMemoryCache::new(STATEFUL_SESSIONS)
        } else {
            Arc::new(NoServerSessionStorage {})
        };
        let timeout = tls.resumption.timeout;
        // Without tickets when the system has no randomness to give: sessions are not resumed then.
        let tickets = match &tls.resumption.tickets {
            None => None,
            Some(TicketSource::Generated) => {
                Tickets::generated(timeout, timeout.max(TLS13_SESSIONS))
            }
            Some(TicketSource::Keys(source)) => Tickets::configured(
                ticket_keys(source)?,
                &context_digest(tls, certificates),
                timeout,
            ),
        };
        let tickets_tls13 = tickets.as_ref().map(|tickets| tickets.with_lifetime(TLS13_SESSIONS));
        Ok(Self {
            storage,
            tickets: tickets.map(Arc::new),
            tickets_tls13: tickets_tls13.map(Arc::new),
        })
    }

    fn put_into(&self, config: &mut ServerConfig) {
        config.session_storage = Arc::clone(&self.storage);
        // One is enough: it may be used more than once, and each costs a sealing and bytes per handshake.
        config.send_tls13_tickets = usize::from(self.tickets.is_some());
        if let Some(tickets) = &self.tickets {
            config.ticketer = Arc::clone(tickets) as _;
        }
    }
}

/// Configured ticket keys that have arrived.
pub(crate) fn ticket_keys(
    source: &SecretSource<TicketKeys>,
) -> Result<&Arc<TicketKeys>, TlsConfigError> {
    source.value().ok_or_else(|| {
        let name = source.sds_name().map_or_else(String::new, ToString::to_string);
        let fault = TlsConfigFault::SecretMissing(name);
        TlsConfigError::new("session_ticket_keys_sds_secret_config", fault)
    })
}

/// What a session depends on: a ticket of a context with another digest does not open.
pub(crate) fn context_digest(tls: &DownstreamTls, certificates: &Certificates) -> Vec<u8> {
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

/// How long sessions of TLS 1.3 live in BoringSSL, whatever `session_timeout` says of those of TLS 1.2.
pub(crate) const TLS13_SESSIONS: Duration = Duration::from_hours(48);

/// `legacy_version` of every client that knows TLS 1.2 or 1.3.
const TLS12: u16 = 0x0303;

/// Alerts (RFC 8446 §6).
const UNEXPECTED_MESSAGE: u8 = 10;
const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;

/// Clients of TLS 1.2 that know no tickets are rare.
const STATEFUL_SESSIONS: usize = 256;
