//! TLS settings of both sides: `DownstreamTlsContext` and `UpstreamTlsContext`.
//!
//! Certificates and keys are here as DER, already read from files and PEM; `palanquin-tls` makes handshake
//! configurations of them. What comes from a secret discovery service is only a name
//! ([`SecretSource::Sds`]) until the secret arrives; nothing is ever served without it. Secrets that may change
//! are put in by `with_secrets`: the context of now.

use std::hash::BuildHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::CertificateRevocationListDer;
use zeroize::Zeroize;

use super::Digest;
use super::listener::Cidr;
use super::matcher::StringMatcher;
use super::private_key::PrivateKey;
pub use super::secret::SecretFiles;
pub use super::secret::SecretId;
pub use super::secret::SecretKind;
pub use super::secret::SecretRef;
pub use super::secret::SecretService;
pub use super::secret::SecretSource;
use super::sm::SmParams;
use super::sm::SmPolicy;

/// `tls.v3.DownstreamTlsContext`.
#[derive(Debug)]
pub struct DownstreamTls {
    /// What both sides have in common.
    pub common: CommonTls,
    /// A handshake without a client certificate fails.
    pub require_client_certificate: bool,
    /// How sessions are resumed.
    pub resumption: ServerResumption,
    /// The client's order of cipher suites decides, not ours.
    pub prefer_client_ciphers: bool,
    /// Which OCSP responses are stapled.
    pub ocsp: OcspPolicy,
    /// When no certificate carries the name asked for, any that fits the client's key types is taken, not
    /// only the first.
    pub full_scan_on_sni_mismatch: bool,
    /// Which clients are served by the SM suites, when there are SM certificates.
    pub sm_policy: SmPolicy,
}

/// `DownstreamTlsContext.OcspStaplePolicy`: what happens with a certificate without a valid response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OcspPolicy {
    /// It is shown without one.
    #[default]
    Lenient,
    /// With an expired response it is not shown to clients that ask for one; without any response it is.
    Strict,
    /// It is not shown.
    Must,
}

/// `tls.v3.UpstreamTlsContext`.
#[derive(Debug)]
pub struct UpstreamTls {
    /// What both sides have in common.
    pub common: CommonTls,
    /// The server name to ask for; `None`: none, unless [`Self::auto_host_sni`].
    pub sni: Option<Arc<str>>,
    /// The endpoint's host name is asked for, when it has one.
    pub auto_host_sni: bool,
    /// The server's certificate must carry the name that was asked for. Replaces the SAN matchers.
    pub auto_sni_san_validation: bool,
    /// Sessions kept for resumption. Default 1; 0: none.
    pub max_session_keys: usize,
}

/// `tls.v3.CommonTlsContext`.
#[derive(Debug)]
pub struct CommonTls {
    /// Versions and algorithms.
    pub params: TlsParams,
    /// Our certificates with their keys. Empty on the upstream side: none is presented.
    pub certificates: Vec<SecretSource<TlsCertificate>>,
    /// How the peer's certificate is checked; `None`: it is neither asked for nor checked.
    pub validation: Option<PeerValidation>,
    /// ALPN protocols, the preferred one first.
    pub alpn: Vec<Box<[u8]>>,
    /// Where session secrets are logged for debugging.
    pub key_log: Option<KeyLog>,
}

/// Finds the secret of now.
pub type FindSecret<'a> = &'a dyn Fn(&SecretId) -> Option<Secret>;

impl DownstreamTls {
    /// Every secret that may come or change, and what it has to be.
    pub fn secret_ids(&self) -> Vec<(SecretId, SecretKind)> {
        let tickets = match &self.resumption.tickets {
            Some(TicketSource::Keys(source)) => source.id(),
            Some(TicketSource::Generated) | None => None,
        };
        let tickets = tickets.map(|id| (id, SecretKind::TicketKeys));
        self.common.secret_ids().chain(tickets).collect()
    }

    /// The same with the secrets that `find` knows in place of their names; the others stay as they are.
    #[must_use]
    pub fn with_secrets(&self, find: FindSecret<'_>) -> Self {
        let mut resumption = self.resumption.clone();
        if let Some(TicketSource::Keys(source)) = &mut resumption.tickets
            && let Some(Secret::TicketKeys(found)) = source.id().and_then(|id| find(&id))
        {
            *source = found;
        }
        Self { common: self.common.with_secrets(find), resumption, ..*self }
    }
}

impl UpstreamTls {
    /// Every secret that may come or change, and what it has to be.
    pub fn secret_ids(&self) -> Vec<(SecretId, SecretKind)> {
        self.common.secret_ids().collect()
    }

    /// The same with the secrets that `find` knows in place of their names; the others stay as they are.
    #[must_use]
    pub fn with_secrets(&self, find: FindSecret<'_>) -> Self {
        Self { common: self.common.with_secrets(find), sni: self.sni.clone(), ..*self }
    }
}

impl CommonTls {
    /// The names of secrets that have yet to come.
    pub fn sds_names(&self) -> impl Iterator<Item = &Arc<str>> {
        let certificates = self.certificates.iter().filter_map(SecretSource::sds_name);
        let validation = self.validation.iter().filter_map(|v| v.context.sds_name());
        let overlay = self.validation.iter().filter_map(|v| v.sds_overlay.as_ref());
        certificates.chain(validation).chain(overlay.map(|secret| &secret.name))
    }

    fn secret_ids(&self) -> impl Iterator<Item = (SecretId, SecretKind)> {
        let certificates = self.certificates.iter().filter_map(SecretSource::id);
        let validation = self.validation.iter().filter_map(|v| v.context.id());
        let overlay = self.validation.iter().filter_map(|v| v.sds_overlay.clone());
        certificates
            .map(|id| (id, SecretKind::Certificate))
            .chain(validation.map(|id| (id, SecretKind::Validation)))
            .chain(overlay.map(|secret| (SecretId::Named(secret), SecretKind::Validation)))
    }

    fn with_secrets(&self, find: FindSecret<'_>) -> Self {
        let certificate =
            |source: &SecretSource<TlsCertificate>| match source.id().and_then(|id| find(&id)) {
                Some(Secret::Certificate(found)) => found,
                _ => source.clone(),
            };
        Self {
            params: self.params.clone(),
            certificates: self.certificates.iter().map(certificate).collect(),
            validation: self.validation.as_ref().map(|validation| validation.with_secrets(find)),
            alpn: self.alpn.clone(),
            key_log: self.key_log.clone(),
        }
    }
}

impl PeerValidation {
    fn with_secrets(&self, find: FindSecret<'_>) -> Self {
        let found = |id: SecretId| match find(&id) {
            Some(Secret::Validation(found)) => Some(found),
            _ => None,
        };
        let context = self.context.id().and_then(found).unwrap_or_else(|| self.context.clone());
        let overlay = self.sds_overlay.clone().map(SecretId::Named).and_then(found);
        let over = overlay.as_ref().and_then(SecretSource::value);
        let (Some(over), Some(base)) = (over, context.value()) else {
            return Self { context, sds_overlay: self.sds_overlay.clone() };
        };
        let value = Arc::new(base.merged(over));
        let files = match (&overlay, &context) {
            (Some(SecretSource::File { files, .. }), _) if over.trusted_ca.is_some() => Some(files),
            (_, SecretSource::File { files, .. }) => Some(files),
            _ => None,
        };
        let context = match files {
            Some(files) => SecretSource::File { value, files: Arc::clone(files) },
            None => SecretSource::Inline(value),
        };
        Self { context, sds_overlay: None }
    }

    /// Whether anything is proved about the peer; a secret that has yet to come counts as such.
    pub fn authenticates(&self) -> bool {
        self.sds_overlay.is_some()
            || self.context.value().is_none_or(|context| context.authenticates())
    }
}

/// `tls.v3.Secret`. Its `Debug` form says only what it is.
#[derive(Clone)]
pub enum Secret {
    /// `tls_certificate`.
    Certificate(SecretSource<TlsCertificate>),
    /// `generic_secret`: for filters.
    Generic(Arc<[u8]>),
    /// `session_ticket_keys`.
    TicketKeys(SecretSource<TicketKeys>),
    /// `validation_context`.
    Validation(SecretSource<ValidationContext>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({})", self.kind())
    }
}

impl Secret {
    /// What it is.
    pub fn kind(&self) -> SecretKind {
        match self {
            Self::Certificate(_) => SecretKind::Certificate,
            Self::Generic(_) => SecretKind::Generic,
            Self::TicketKeys(_) => SecretKind::TicketKeys,
            Self::Validation(_) => SecretKind::Validation,
        }
    }

    /// A digest of what is in it: equal ones need not be put in use again.
    pub fn digest(&self) -> Digest {
        let mut hasher = foldhash::quality::FixedState::default().build_hasher();
        std::mem::discriminant(self).hash(&mut hasher);
        match self {
            Self::Certificate(source) => {
                if let Some(certificate) = source.value() {
                    certificate.chain.hash(&mut hasher);
                    certificate.key.hash(&mut hasher);
                    certificate.ocsp_staple.hash(&mut hasher);
                }
            }
            Self::Generic(bytes) => bytes.hash(&mut hasher),
            Self::TicketKeys(source) => {
                if let Some(keys) = source.value() {
                    keys.keys.hash(&mut hasher);
                }
            }
            Self::Validation(source) => format!("{:?}", source.value()).hash(&mut hasher),
        }
        Digest(hasher.finish())
    }

    /// The files that it was read from, if there are any.
    pub fn files(&self) -> Option<&Arc<SecretFiles>> {
        match self {
            Self::Certificate(source) => source.files(),
            Self::Generic(_) => None,
            Self::TicketKeys(source) => source.files(),
            Self::Validation(source) => source.files(),
        }
    }
}

/// `tls.v3.TlsCertificate`: a chain and the key of its first certificate.
#[derive(Debug)]
pub struct TlsCertificate {
    /// The leaf, then its issuers. Never empty.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key. Its `Debug` form hides it.
    pub key: PrivateKey,
    /// An OCSP response to staple.
    pub ocsp_staple: Option<Vec<u8>>,
}

/// How a peer's certificate is checked.
#[derive(Debug, Clone)]
pub struct PeerValidation {
    /// The settings.
    pub context: SecretSource<ValidationContext>,
    /// `combined_validation_context`: a secret whose fields are merged over [`Self::context`].
    pub sds_overlay: Option<SecretRef>,
}

/// `tls.v3.CertificateValidationContext`.
#[derive(Debug, Clone, Default)]
pub struct ValidationContext {
    /// The certificates that are trusted to issue others; `None`: the chain is not verified. Never empty.
    pub trusted_ca: Option<Vec<CertificateDer<'static>>>,
    /// SHA-256 of the peer's certificate must be one of these, or [`Self::spki_pins`] must fit.
    pub certificate_hashes: Vec<[u8; 32]>,
    /// SHA-256 of the peer's public key must be one of these, or [`Self::certificate_hashes`] must fit.
    pub spki_pins: Vec<[u8; 32]>,
    /// One subject alternative name must match one of these.
    pub san_matchers: Vec<SanMatcher>,
    /// Revocation lists; each certificate of the chain must be covered.
    pub crls: Vec<CertificateRevocationListDer<'static>>,
    /// Revocation is checked for the leaf only.
    pub only_leaf_crl: bool,
    /// Validity periods are ignored.
    pub allow_expired: bool,
    /// Whatever fails is accepted, as not validated.
    pub accept_untrusted: bool,
    /// How many issuers may stand between the leaf and the trusted one.
    pub max_verify_depth: Option<u32>,
    /// The names of the trusted issuers are not sent to clients.
    pub suppress_client_ca_list: bool,
    /// `envoy.tls.cert_validator.spiffe`: who is trusted depends on the trust domain of the certificate. In place of
    /// [`Self::trusted_ca`].
    pub spiffe: Option<Arc<[TrustDomain]>>,
}

impl ValidationContext {
    /// Whether anything is proved about a peer that passes.
    pub fn authenticates(&self) -> bool {
        self.trusted_ca.is_some()
            || self.spiffe.is_some()
            || !self.certificate_hashes.is_empty()
            || !self.spki_pins.is_empty()
    }

    /// What Envoy refuses in a context without an issuer to trust: it would look like a check and be none.
    pub fn flaw(&self) -> Option<&'static str> {
        if self.trusted_ca.is_some() || self.spiffe.is_some() {
            return None;
        }
        if !self.crls.is_empty() {
            return Some("Failed to load CRL without trusted CA");
        }
        if !self.san_matchers.is_empty() {
            return Some(
                "SAN-based verification of peer certificates without trusted CA is insecure and not \
                 allowed",
            );
        }
        self.allow_expired
            .then_some("Certificate validity period is always ignored without trusted CA")
    }

    /// This with `over` merged into it as protobuf merges messages: what `over` sets replaces, lists are
    /// joined.
    fn merged(&self, over: &Self) -> Self {
        let mut merged = self.clone();
        if over.trusted_ca.is_some() {
            merged.trusted_ca.clone_from(&over.trusted_ca);
        }
        merged.certificate_hashes.extend(&over.certificate_hashes);
        merged.spki_pins.extend(&over.spki_pins);
        merged.san_matchers.extend(over.san_matchers.iter().cloned());
        if !over.crls.is_empty() {
            merged.crls.clone_from(&over.crls);
        }
        merged.only_leaf_crl |= over.only_leaf_crl;
        merged.allow_expired |= over.allow_expired;
        merged.accept_untrusted |= over.accept_untrusted;
        merged.max_verify_depth = over.max_verify_depth.or(self.max_verify_depth);
        merged.suppress_client_ca_list |= over.suppress_client_ca_list;
        if over.spiffe.is_some() {
            merged.spiffe.clone_from(&over.spiffe);
        }
        merged
    }
}

/// A trust domain of SPIFFE with its bundle.
#[derive(Debug, Clone)]
pub struct TrustDomain {
    /// Its name: `mesh.example`.
    pub name: Box<str>,
    /// Who may issue identities in it. Never empty.
    pub roots: Vec<CertificateDer<'static>>,
}

/// `tls.v3.SubjectAltNameMatcher`.
#[derive(Debug, Clone)]
pub struct SanMatcher {
    /// Which names are compared.
    pub kind: SanKind,
    /// What they must be.
    pub matcher: StringMatcher,
}

/// `SubjectAltNameMatcher.SanType`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SanKind {
    /// DNS names; an exact matcher follows wildcards of the certificate.
    Dns,
    /// E-mail addresses.
    Email,
    /// IP addresses in text form.
    IpAddress,
    /// `otherName` values of this object identifier, in dotted form.
    OtherName(Box<str>),
    /// URIs, such as SPIFFE ids.
    Uri,
}

/// `tls.v3.TlsParameters`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsParams {
    /// The lowest version. Default TLS 1.2.
    pub min_version: TlsVersion,
    /// The highest version. Default TLS 1.3, towards upstream TLS 1.2.
    pub max_version: TlsVersion,
    /// Suites of TLS 1.2 in order of preference; empty: the default ones.
    pub cipher_suites: Vec<CipherSuite>,
    /// Neighbours in [`Self::cipher_suites`] among which the client's order decides: `[A|B]`.
    pub equal_suites: Vec<[CipherSuite; 2]>,
    /// Key exchanges in order of preference. Never empty.
    pub curves: Vec<Curve>,
    /// Signature schemes in order of preference; empty: all.
    pub signature_schemes: Vec<SignatureScheme>,
    /// Suites of TLS 1.3; empty: all. No field of the API sets them, only compliance policies.
    pub tls13_suites: Vec<CipherSuite>,
    /// What is allowed of the SM suites, which count only with SM certificates.
    pub sm: SmParams,
}

impl Default for TlsParams {
    fn default() -> Self {
        Self {
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
            cipher_suites: Vec::new(),
            equal_suites: Vec::new(),
            curves: vec![Curve::X25519MlKem768, Curve::X25519, Curve::P256],
            signature_schemes: Vec::new(),
            tls13_suites: Vec::new(),
            sm: SmParams::default(),
        }
    }
}

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// A cipher suite by its IANA number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CipherSuite(pub u16);

/// A signature scheme by its IANA number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignatureScheme(pub u16);

/// A key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// `P-256`.
    P256,
    /// `P-384`.
    P384,
    /// `P-521`.
    P521,
    /// `X25519`.
    X25519,
    /// `X25519MLKEM768`: hybrid post-quantum.
    X25519MlKem768,
}

/// How a server resumes sessions.
#[derive(Debug, Clone)]
pub struct ServerResumption {
    /// Sessions in encrypted tickets; `None`: no tickets.
    pub tickets: Option<TicketSource>,
    /// Sessions of TLS 1.2 in memory, for clients without tickets.
    pub stateful: bool,
    /// How long a session may be resumed. Default 2 h.
    pub timeout: Duration,
}

/// Where the keys of tickets come from.
#[derive(Debug, Clone)]
pub enum TicketSource {
    /// Random keys of this process, renewed on and on.
    Generated,
    /// Configured keys.
    Keys(SecretSource<TicketKeys>),
}

/// `tls.v3.TlsSessionTicketKeys`: the first seals, all open. Never empty.
pub struct TicketKeys {
    /// The keys, 80 bytes each.
    pub keys: Vec<[u8; 80]>,
}

impl Drop for TicketKeys {
    fn drop(&mut self) {
        self.keys.zeroize();
    }
}

impl std::fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TicketKeys").field("count", &self.keys.len()).finish()
    }
}

/// `tls.v3.TlsKeyLog`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLog {
    /// The file, in NSS key log format; appended to.
    pub path: PathBuf,
    /// Only connections to these of our addresses; empty: all.
    pub local: Vec<Cidr>,
    /// Only connections with these peers; empty: all.
    pub remote: Vec<Cidr>,
}
