//! Where secrets come from: the configuration itself, files, a static secret, a secret discovery service.
//!
//! What may change while it is in use has a [`SecretId`]; everything that depends on one secret names it by
//! the same id, so that it is asked for, read and checked once.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use palanquin_proto::envoy::config::core::v3::data_source::Specifier;
use palanquin_proto::envoy::extensions::transport_sockets::tls::v3::Secret as Message;
use palanquin_proto::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use prost::Message as _;

use super::Digest;
use super::bootstrap::Ads;

/// Where a secret comes from.
#[derive(Debug)]
pub enum SecretSource<T> {
    /// It was read from files, which are watched.
    File {
        /// The secret as read.
        value: Arc<T>,
        /// How to read it again.
        files: Arc<SecretFiles>,
    },
    /// It stands in the configuration.
    Inline(Arc<T>),
    /// It is found by name.
    Sds(SecretRef),
}

impl<T> Clone for SecretSource<T> {
    fn clone(&self) -> Self {
        match self {
            Self::File { value, files } => {
                Self::File { value: Arc::clone(value), files: Arc::clone(files) }
            }
            Self::Inline(value) => Self::Inline(Arc::clone(value)),
            Self::Sds(secret) => Self::Sds(secret.clone()),
        }
    }
}

impl<T> SecretSource<T> {
    /// The secret, unless it has yet to come.
    pub fn value(&self) -> Option<&Arc<T>> {
        match self {
            Self::File { value, .. } | Self::Inline(value) => Some(value),
            Self::Sds(_) => None,
        }
    }

    /// The files that it was read from, if there are any.
    pub fn files(&self) -> Option<&Arc<SecretFiles>> {
        match self {
            Self::File { files, .. } => Some(files),
            Self::Inline(_) | Self::Sds(_) => None,
        }
    }

    /// The name of a secret that has yet to come.
    pub fn sds_name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Sds(secret) => Some(&secret.name),
            Self::File { .. } | Self::Inline(_) => None,
        }
    }

    /// The file with the certificates that are shown, if there is one.
    pub fn path(&self) -> Option<&str> {
        self.files()?.certificates()
    }

    /// What the secret is known by, if it may change.
    pub fn id(&self) -> Option<SecretId> {
        match self {
            Self::File { files, .. } => Some(SecretId::Files(Arc::clone(files))),
            Self::Inline(_) => None,
            Self::Sds(secret) => Some(SecretId::Named(secret.clone())),
        }
    }
}

/// `tls.v3.SdsSecretConfig`: a secret's name and where it is found. Two that differ in nothing but the time
/// they wait are the same.
#[derive(Debug, Clone)]
pub struct SecretRef {
    /// The resource's name.
    pub name: Arc<str>,
    /// Who has it.
    pub service: SecretService,
    /// After this, what needs the secret is served without it, which is to say refused; zero: never.
    /// Default 15 s.
    pub initial_fetch_timeout: Duration,
}

impl PartialEq for SecretRef {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.service == other.service
    }
}

impl Eq for SecretRef {}

impl std::hash::Hash for SecretRef {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.service.hash(state);
    }
}

impl From<&str> for SecretRef {
    /// A static secret.
    fn from(name: &str) -> Self {
        Self {
            name: name.into(),
            service: SecretService::Static,
            initial_fetch_timeout: Duration::ZERO,
        }
    }
}

/// Who has a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretService {
    /// The control plane, on the ADS stream.
    Ads,
    /// A file that holds a `DiscoveryResponse`, watched.
    File(PathBuf),
    /// `static_resources.secrets`.
    Static,
    /// A service with a stream for each secret.
    Stream(Arc<Ads>),
}

/// A secret whose bytes are in files, as it is written: what it takes to read them again.
#[derive(Clone)]
pub struct SecretFiles {
    /// What to watch: the files, and the directories that the configuration names.
    pub paths: Vec<PathBuf>,
    /// The message that names the files. Its own name is empty unless it came from a service.
    pub message: Message,
    digest: Digest,
}

impl SecretFiles {
    /// The file with the certificates that are shown: the chain, or those that are trusted.
    pub fn certificates(&self) -> Option<&str> {
        let source = match self.message.r#type.as_ref()? {
            Type::TlsCertificate(certificate) => certificate.certificate_chain.as_ref()?,
            Type::ValidationContext(context) => context.trusted_ca.as_ref()?,
            Type::GenericSecret(_) | Type::SessionTicketKeys(_) => return None,
        };
        match source.specifier.as_ref()? {
            Specifier::Filename(path) => Some(path),
            _ => None,
        }
    }

    /// The files of `message`.
    pub fn new(message: Message, paths: Vec<PathBuf>) -> Self {
        let digest = Digest::of(&message.encode_to_vec());
        Self { paths, message, digest }
    }
}

/// The message may hold a key.
impl fmt::Debug for SecretFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretFiles").field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl PartialEq for SecretFiles {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.paths == other.paths
    }
}

impl Eq for SecretFiles {}

impl std::hash::Hash for SecretFiles {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

/// What a secret that may change is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretId {
    /// It is found by name.
    Named(SecretRef),
    /// It is read from files that the configuration names.
    Files(Arc<SecretFiles>),
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(secret) => write!(f, "{}", secret.name),
            Self::Files(files) => match files.paths.first() {
                Some(first) => write!(f, "{}", first.display()),
                None => f.write_str("files"),
            },
        }
    }
}

/// What a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// `tls_certificate`
    Certificate,
    /// `generic_secret`
    Generic,
    /// `session_ticket_keys`
    TicketKeys,
    /// `validation_context`
    Validation,
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "tls_certificate",
            Self::Generic => "generic_secret",
            Self::TicketKeys => "session_ticket_keys",
            Self::Validation => "validation_context",
        })
    }
}
