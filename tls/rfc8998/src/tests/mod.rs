//! Handshakes of rustls with itself, in memory.

mod certificates;
mod matrix;
mod mixed;
mod resumption;
mod retry;
mod shares;

use std::sync::Arc;

use palanquin_pki::Algorithm;
use palanquin_pki::Authority;
use palanquin_pki::Issued;
use palanquin_pki::Leaf;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::Error;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::sign::SigningKey;
use rustls::sign::SingleCertAndKey;

use crate::provider;
use crate::verify::ClientVerifier;
use crate::verify::ServerVerifier;

/// An authority, a server `a.test` and a client under it.
struct World {
    authority: Authority,
    server: Issued,
    client: Issued,
}

impl World {
    fn new() -> Self {
        let authority = Authority::root(Algorithm::Sm2, "root").unwrap();
        let server = authority.issue(&Leaf::server("a.test").dns("a.test")).unwrap();
        let client = authority.issue(&Leaf::client("client").uri("spiffe://td/client")).unwrap();
        Self { authority, server, client }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.authority.der().to_vec())).unwrap();
        Arc::new(roots)
    }

    /// A server that asks for a certificate when `mutual`.
    fn server_config(&self, crypto: &Arc<CryptoProvider>, mutual: bool) -> ServerConfig {
        self.server_with(crypto, mutual, certified(&self.server))
    }

    fn server_with(
        &self,
        crypto: &Arc<CryptoProvider>,
        mutual: bool,
        own: CertifiedKey,
    ) -> ServerConfig {
        let verifier = if mutual {
            let inner =
                WebPkiClientVerifier::builder_with_provider(self.roots(), Arc::clone(provider()));
            Arc::new(ClientVerifier(inner.build().unwrap()))
        } else {
            WebPkiClientVerifier::no_client_auth()
        };
        ServerConfig::builder_with_provider(Arc::clone(crypto))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(own)))
    }

    /// A client with its certificate that trusts the authority.
    fn client_config(&self, crypto: &Arc<CryptoProvider>) -> ClientConfig {
        self.client_with(crypto, certified(&self.client))
    }

    fn client_with(&self, crypto: &Arc<CryptoProvider>, own: CertifiedKey) -> ClientConfig {
        let inner =
            WebPkiServerVerifier::builder_with_provider(self.roots(), Arc::clone(provider()));
        let verifier = Arc::new(ServerVerifier(inner.build().unwrap()));
        let mut config = ClientConfig::builder_with_provider(Arc::clone(crypto))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
        config.resumption = Resumption::disabled();
        config
    }
}

/// A certificate with its key, loaded as a configuration would load them.
fn certified(issued: &Issued) -> CertifiedKey {
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem().as_bytes()).unwrap();
    certified_by(issued, provider().key_provider.load_private_key(key).unwrap())
}

fn certified_by(issued: &Issued, key: Arc<dyn SigningKey>) -> CertifiedKey {
    let chain = issued.chain().map(|der| CertificateDer::from(der.to_vec())).collect();
    CertifiedKey::new(chain, key)
}

/// Both ends of a handshake and what became of it.
struct Outcome {
    server: ServerConnection,
    client: ClientConnection,
    server_error: Option<Error>,
    client_error: Option<Error>,
}

impl Outcome {
    fn worked(self) -> Self {
        assert_eq!((&self.server_error, &self.client_error), (&None, &None));
        assert!(!self.server.is_handshaking() && !self.client.is_handshaking());
        self
    }

    /// The suite, which both sides must see.
    fn suite(&self) -> rustls::CipherSuite {
        let of = |session: &rustls::CommonState| session.negotiated_cipher_suite().unwrap().suite();
        assert_eq!(of(&self.server), of(&self.client));
        of(&self.server)
    }

    /// The group, which both sides must see.
    fn group(&self) -> rustls::NamedGroup {
        let of =
            |session: &rustls::CommonState| session.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(of(&self.server), of(&self.client));
        of(&self.server)
    }
}

fn shake(server: ServerConfig, client: ClientConfig) -> Outcome {
    shake_shared(&Arc::new(server), &Arc::new(client), &mut |_| {})
}

/// Carries bytes until neither side has any, also after an error, so that alerts arrive. `tamper` may change
/// what the client sends.
fn shake_shared(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    tamper: &mut dyn FnMut(&mut Vec<u8>),
) -> Outcome {
    let name = ServerName::try_from("a.test").unwrap();
    let mut outcome = Outcome {
        server: ServerConnection::new(Arc::clone(server)).unwrap(),
        client: ClientConnection::new(Arc::clone(client), name).unwrap(),
        server_error: None,
        client_error: None,
    };
    let Outcome { server, client, server_error, client_error } = &mut outcome;
    while server.wants_write() || client.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        tamper(&mut bytes);
        feed(server, &bytes, server_error);
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        feed(client, &bytes, client_error);
    }
    outcome
}

fn feed<D>(
    connection: &mut rustls::ConnectionCommon<D>,
    mut bytes: &[u8],
    error: &mut Option<Error>,
) where
    D: rustls::SideData,
{
    while !bytes.is_empty() && error.is_none() {
        connection.read_tls(&mut bytes).unwrap();
        *error = connection.process_new_packets().err();
    }
}
