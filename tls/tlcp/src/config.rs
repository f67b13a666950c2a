//! What a side offers and demands.

use std::fmt;
use std::sync::Arc;

use crate::certificates::DualCertificate;
use crate::session::ClientSessions;
use crate::session::ServerSessions;
use crate::suite::CipherSuite;
use crate::suite::KeyExchange;
use crate::verify::VerifyPeer;

/// A server's side.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The server's own certificates.
    pub certificates: Arc<dyn ResolveCertificate>,
    /// Whether clients show certificates, and who judges them.
    pub client_auth: ClientAuth,
    /// What is spoken above, in the order of preference (RFC 7301). When a client offers nothing of it, none is
    /// agreed on.
    pub protocols: Vec<Vec<u8>>,
    /// Sessions that may be taken up again; without them every handshake is a full one.
    pub sessions: Option<Arc<ServerSessions>>,
    /// In the order of preference. Without [`ClientAuth`], ECDHE is taken only from a client that offers nothing
    /// else, as it needs a client with certificates.
    pub suites: Vec<CipherSuite>,
}

/// A client's side.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The client's own certificates, shown when the server asks. The ECDHE suites are offered only with a pair.
    pub certificate: Option<Arc<DualCertificate>>,
    /// What is spoken above, in the order of preference (RFC 7301). GmSSL's server drops a hello that has it.
    pub protocols: Vec<Vec<u8>>,
    /// Sessions that may be taken up again.
    pub sessions: Option<Arc<ClientSessions>>,
    /// In the order of preference.
    pub suites: Vec<CipherSuite>,
    /// Judges the server.
    pub verifier: Arc<dyn VerifyPeer>,
}

impl ClientConfig {
    /// Whether there is anything to offer: a suite of ECC, or a pair for ECDHE.
    pub fn can_offer(&self) -> bool {
        self.offered().next().is_some()
    }

    /// The suites that go into the hello.
    pub(crate) fn offered(&self) -> impl Iterator<Item = CipherSuite> {
        let own = self.certificate.as_ref();
        let has_pair = own.is_some_and(|certificate| certificate.enc().is_some());
        let suites = self.suites.iter().copied();
        suites.filter(move |suite| has_pair || suite.key_exchange() == KeyExchange::Ecc)
    }
}

/// The server that a client connects to.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Sent in the hello (RFC 6066) and given to the verifier. GmSSL's server drops a hello that has it.
    pub server_name: Option<Box<str>>,
    /// Under which name its sessions are kept; `None` for none.
    pub session_key: Option<Box<str>>,
}

/// Whether a server asks its clients for certificates. Under ECDHE it always does.
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// Not asked, and not judged when ECDHE makes the client show some.
    None,
    /// Asked; a client may have none, but none that is refused.
    Optional(Arc<dyn VerifyPeer>),
    /// A client without is refused.
    Required(Arc<dyn VerifyPeer>),
}

impl ClientAuth {
    pub(crate) fn verifier(&self) -> Option<&dyn VerifyPeer> {
        match self {
            Self::None => None,
            Self::Optional(verifier) | Self::Required(verifier) => Some(&**verifier),
        }
    }
}

/// Chooses a server's certificates.
pub trait ResolveCertificate: fmt::Debug + Send + Sync {
    /// The pair for this client; `None` ends the handshake.
    fn resolve(&self, hello: &Hello<'_>) -> Option<Arc<DualCertificate>>;

    /// Whether a key may take long (see [`palanquin_sm::key_ops::KeyOps::is_blocking`]).
    fn is_blocking(&self) -> bool {
        false
    }
}

/// What a client said about what it wants.
#[derive(Debug, Clone, Copy)]
pub struct Hello<'a> {
    /// The host name.
    pub server_name: Option<&'a str>,
}

/// The same pair for everybody.
#[derive(Debug)]
pub struct Always(pub Arc<DualCertificate>);

impl ResolveCertificate for Always {
    fn resolve(&self, _: &Hello<'_>) -> Option<Arc<DualCertificate>> {
        Some(Arc::clone(&self.0))
    }

    fn is_blocking(&self) -> bool {
        self.0.is_blocking()
    }
}
