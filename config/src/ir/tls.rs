//! TLS settings of both sides: `DownstreamTlsContext` and `UpstreamTlsContext`.
//!
//! Certificates and keys are here as DER, already read from files and PEM; `palanquin-tls` makes handshake
//! configurations of them. What comes from a secret discovery service is only a name
//! ([`SecretSource::Sds`]) until the secret arrives; nothing is ever served without it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::PrivateKeyDer;

use super::listener::Cidr;
use super::matcher::StringMatcher;

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
    /// When no certificate carries the name asked for, any that fits the client's key types is taken, not
    /// only the first.
    pub full_scan_on_sni_mismatch: bool,
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

impl CommonTls {
    /// The files that were read, or whose change means new secrets.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let certificates = self.certificates.iter().flat_map(SecretSource::paths);
        let validation = self.validation.iter().flat_map(|v| v.context.paths());
        certificates.chain(validation)
    }

    /// The names of secrets that have to come from a secret discovery service.
    pub fn sds_names(&self) -> impl Iterator<Item = &Arc<str>> {
        let certificates = self.certificates.iter().filter_map(SecretSource::sds_name);
        let validation = self.validation.iter().filter_map(|v| v.context.sds_name());
        let overlay = self.validation.iter().filter_map(|v| v.sds_overlay.as_ref());
        certificates.chain(validation).chain(overlay)
    }
}

impl DownstreamTls {
    /// The same with the secrets that `find` knows in place of their names; the others stay names.
    #[must_use]
    pub fn with_secrets(&self, find: &dyn Fn(&str) -> Option<Secret>) -> Self {
        let mut resumption = self.resumption.clone();
        if let Some(TicketSource::Keys(source)) = &mut resumption.tickets
            && let Some(Secret::TicketKeys(keys)) = source.sds_name().and_then(|name| find(name))
        {
            *source = SecretSource::Inline(keys);
        }
        Self { common: self.common.with_secrets(find), resumption, ..*self }
    }
}

impl UpstreamTls {
    /// The same with the secrets that `find` knows in place of their names; the others stay names.
    #[must_use]
    pub fn with_secrets(&self, find: &dyn Fn(&str) -> Option<Secret>) -> Self {
        Self { common: self.common.with_secrets(find), sni: self.sni.clone(), ..*self }
    }
}

impl CommonTls {
    fn with_secrets(&self, find: &dyn Fn(&str) -> Option<Secret>) -> Self {
        let certificate = |source: &SecretSource<TlsCertificate>| match source
            .sds_name()
            .and_then(|name| find(name))
        {
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
    fn with_secrets(&self, find: &dyn Fn(&str) -> Option<Secret>) -> Self {
        let found = |name: &Arc<str>| match find(name) {
            Some(Secret::Validation(found)) => Some(found),
            _ => None,
        };
        let context = self.context.sds_name().and_then(found);
        let context = context.unwrap_or_else(|| self.context.clone());
        let overlay = self.sds_overlay.as_ref().and_then(found);
        let (Some(overlay), Some(base)) = (overlay, context.value()) else {
            return Self { context, sds_overlay: self.sds_overlay.clone() };
        };
        let Some(over) = overlay.value() else {
            return Self { context, sds_overlay: self.sds_overlay.clone() };
        };
        let value = Arc::new(base.merged(over));
        let paths: Vec<_> = context.paths().iter().chain(overlay.paths()).cloned().collect();
        let context = if paths.is_empty() {
            SecretSource::Inline(value)
        } else {
            SecretSource::File { value, paths }
        };
        Self { context, sds_overlay: None }
    }
}

/// Where a secret comes from.
#[derive(Debug)]
pub enum SecretSource<T> {
    /// It was read from files, which are watched.
    File {
        /// The secret as read.
        value: Arc<T>,
        /// The files or directories to watch.
        paths: Vec<PathBuf>,
    },
    /// It stands in the configuration.
    Inline(Arc<T>),
    /// A secret discovery service has it.
    Sds {
        /// The resource's name.
        name: Arc<str>,
    },
}

impl<T> Clone for SecretSource<T> {
    fn clone(&self) -> Self {
        match self {
            Self::File { value, paths } => {
                Self::File { value: Arc::clone(value), paths: paths.clone() }
            }
            Self::Inline(value) => Self::Inline(Arc::clone(value)),
            Self::Sds { name } => Self::Sds { name: Arc::clone(name) },
        }
    }
}

impl<T> SecretSource<T> {
    /// The secret, unless it has yet to come.
    pub fn value(&self) -> Option<&Arc<T>> {
        match self {
            Self::File { value, .. } | Self::Inline(value) => Some(value),
            Self::Sds { .. } => None,
        }
    }

    /// What to watch.
    pub fn paths(&self) -> &[PathBuf] {
        match self {
            Self::File { paths, .. } => paths,
            Self::Inline(_) | Self::Sds { .. } => &[],
        }
    }

    /// The name to subscribe to.
    pub fn sds_name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Sds { name } => Some(name),
            Self::File { .. } | Self::Inline(_) => None,
        }
    }
}

/// `tls.v3.Secret`.
#[derive(Debug, Clone)]
pub enum Secret {
    /// `tls_certificate`.
    Certificate(SecretSource<TlsCertificate>),
    /// `generic_secret`: for filters.
    Generic(Arc<[u8]>),
    /// `session_ticket_keys`.
    TicketKeys(Arc<TicketKeys>),
    /// `validation_context`.
    Validation(SecretSource<ValidationContext>),
}

/// `tls.v3.TlsCertificate`: a chain and the key of its first certificate.
#[derive(Debug)]
pub struct TlsCertificate {
    /// The leaf, then its issuers. Never empty.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key. Its `Debug` form hides it.
    pub key: PrivateKeyDer<'static>,
    /// An OCSP response to staple.
    pub ocsp_staple: Option<Vec<u8>>,
}

/// How a peer's certificate is checked.
#[derive(Debug, Clone)]
pub struct PeerValidation {
    /// The settings.
    pub context: SecretSource<ValidationContext>,
    /// `combined_validation_context`: a secret whose fields are merged over [`Self::context`].
    pub sds_overlay: Option<Arc<str>>,
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
}

impl ValidationContext {
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
        merged
    }
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
    /// The highest version. Default TLS 1.3.
    pub max_version: TlsVersion,
    /// Suites of TLS 1.2 in order of preference; empty: the default ones.
    pub cipher_suites: Vec<CipherSuite>,
    /// Key exchanges in order of preference. Never empty.
    pub curves: Vec<Curve>,
    /// Signature schemes in order of preference; empty: all.
    pub signature_schemes: Vec<SignatureScheme>,
    /// Suites of TLS 1.3; empty: all. No field of the API sets them, only compliance policies.
    pub tls13_suites: Vec<CipherSuite>,
}

impl Default for TlsParams {
    fn default() -> Self {
        Self {
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
            cipher_suites: Vec::new(),
            curves: vec![Curve::X25519MlKem768, Curve::X25519, Curve::P256],
            signature_schemes: Vec::new(),
            tls13_suites: Vec::new(),
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
