//! Clients and servers of TLCP, and pairs of certificates as files for the proxy.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Response;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use palanquin_pki::DualPair;
use palanquin_pki::Issued;
use palanquin_pki::Leaf;
use palanquin_sm::sm2::PrivateKey;
use palanquin_tlcp::Alert;
use palanquin_tlcp::Always;
use palanquin_tlcp::CipherSuite;
use palanquin_tlcp::ClientAuth;
use palanquin_tlcp::ClientConfig;
use palanquin_tlcp::ClientSessions;
use palanquin_tlcp::DualCertificate;
use palanquin_tlcp::Established;
use palanquin_tlcp::KeyedCertificate;
use palanquin_tlcp::PeerCertificates;
use palanquin_tlcp::Refused;
use palanquin_tlcp::ServerConfig;
use palanquin_tlcp::ServerSessions;
use palanquin_tlcp::Target;
use palanquin_tlcp::VerifyPeer;
use palanquin_tlcp::stream;
use palanquin_tlcp::stream::HandshakeError;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::UnixTime;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::client::Client;
use crate::sm::SmPki;

/// A pair of certificates, in files.
#[derive(Debug)]
pub struct TlcpIdentity {
    files: [(PathBuf, PathBuf); 2],
    /// Both certificates with their keys.
    pub pair: DualPair,
}

impl SmPki {
    /// A pair for what `leaf` says, in files of this name.
    pub fn pair(&self, file: &str, leaf: &Leaf) -> TlcpIdentity {
        let pair = self.authority.issue_pair(leaf).unwrap();
        let write = |usage: &str, issued: &Issued| {
            let path = |end: &str| self.path(&format!("{file}-{usage}.{end}"));
            std::fs::write(path("pem"), issued.chain_pem()).unwrap();
            std::fs::write(path("key"), issued.key_pem().as_bytes()).unwrap();
            (path("pem"), path("key"))
        };
        TlcpIdentity { files: [write("sign", &pair.sign), write("enc", &pair.enc)], pair }
    }
}

impl TlcpIdentity {
    /// The two entries of `tls_certificates` for it.
    pub fn entries(&self) -> String {
        let entry = |(certificate, key): &(PathBuf, PathBuf)| {
            format!(
                "{{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }} }}",
                certificate.display(),
                key.display()
            )
        };
        format!("{}, {}", entry(&self.files[0]), entry(&self.files[1]))
    }
}

/// A pair as the engine takes it.
pub fn dual(pair: &DualPair) -> Arc<DualCertificate> {
    let keyed = |issued: &Issued| {
        let scalar = issued.key().private_scalar().try_into().unwrap();
        let certificate = CertificateDer::from(issued.der().to_vec());
        KeyedCertificate::new(certificate, Arc::new(PrivateKey::from_bytes(scalar).unwrap()))
    };
    Arc::new(DualCertificate::new(keyed(&pair.sign), keyed(&pair.enc), Vec::new()).unwrap())
}

/// Settings of a client that trusts everybody and speaks these suites.
pub fn client(identity: Option<&TlcpIdentity>, suites: &[CipherSuite]) -> ClientConfig {
    ClientConfig {
        certificate: identity.map(|identity| dual(&identity.pair)),
        protocols: Vec::new(),
        sessions: Some(Arc::new(ClientSessions::new(8, Duration::from_hours(1)))),
        suites: suites.to_vec(),
        verifier: Arc::new(Anybody),
    }
}

/// Connects and shakes hands.
///
/// # Errors
/// The handshake fails.
pub async fn connect(
    address: SocketAddr,
    server_name: &str,
    config: &ClientConfig,
) -> Result<(Client, Arc<Established>), HandshakeError> {
    let socket = TcpStream::connect(address).await.map_err(HandshakeError::Io)?;
    let target =
        Target { server_name: Some(server_name.into()), session_key: Some(server_name.into()) };
    let stream = stream::connect(socket, Arc::new(config.clone()), target).await?;
    let established = Arc::clone(stream.established());
    let client = if established.protocol.as_deref() == Some(b"h2") {
        Client::over_http2(stream).await
    } else {
        Client::over_http1(stream).await
    };
    Ok((client, established))
}

/// A server over TLCP that answers each request with what it knows of the connection: name, suite, and the
/// common name of the client.
#[derive(Debug)]
pub struct TlcpUpstream {
    /// Where it listens.
    pub address: SocketAddr,
}

impl TlcpUpstream {
    /// Begins to serve HTTP/1.1.
    pub async fn start(identity: &TlcpIdentity, suites: &[CipherSuite], mutual: bool) -> Self {
        let config = Arc::new(ServerConfig {
            certificates: Arc::new(Always(dual(&identity.pair))),
            client_auth: if mutual {
                ClientAuth::Required(Arc::new(Anybody))
            } else {
                ClientAuth::None
            },
            protocols: Vec::new(),
            sessions: Some(Arc::new(ServerSessions::new(100, Duration::from_hours(1)))),
            suites: suites.to_vec(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&config)));
            }
        });
        Self { address }
    }
}

async fn serve(socket: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    let stream = stream::accept(socket, config).await.map_err(io::Error::other)?;
    let seen = Arc::clone(stream.established());
    let service = service_fn(move |request: Request<Incoming>| {
        let certificates = seen.peer.as_ref().map_or(0, |peer| 1 + usize::from(peer.enc.is_some()));
        let name = seen.server_name.as_deref().unwrap_or("-").to_owned();
        let text = format!("{} {name} {certificates}", seen.suite);
        async move {
            let body = request.into_body().collect().await?.to_bytes();
            let text = if body.is_empty() { Bytes::from(text) } else { body };
            Ok::<_, hyper::Error>(Response::new(Full::new(text)))
        }
    });
    let http = hyper::server::conn::http1::Builder::new();
    http.serve_connection(TokioIo::new(stream), service).await.map_err(io::Error::other)
}

/// Trusts everybody: the other side is what is tested.
#[derive(Debug)]
struct Anybody;

impl VerifyPeer for Anybody {
    fn verify(&self, _: &PeerCertificates, _: Option<&str>, _: UnixTime) -> Result<(), Refused> {
        Ok(())
    }
}

/// The alert that ended a handshake.
pub fn alert(error: &HandshakeError) -> Option<Alert> {
    match error {
        HandshakeError::Protocol(palanquin_tlcp::Error::AlertReceived(alert)) => Some(*alert),
        _ => None,
    }
}
