//! SM certificates as files for the proxy, and clients and servers of RFC 8998.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use palanquin_pki::Algorithm;
use palanquin_pki::Authority;
use palanquin_pki::Issued;
use palanquin_pki::Leaf;
use palanquin_rfc8998 as rfc8998;
use palanquin_rfc8998::verify::ClientVerifier;
use palanquin_rfc8998::verify::ServerVerifier;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use tempfile::TempDir;

/// An SM authority and the directory with what it issued.
#[derive(Debug)]
pub struct SmPki {
    /// The authority.
    pub authority: Authority,
    directory: TempDir,
}

/// A certificate of the authority, in files.
#[derive(Debug)]
pub struct SmIdentity {
    /// The certificate's PEM file.
    pub certificate: PathBuf,
    /// The key's PEM file.
    pub key: PathBuf,
    /// The certificate with its key.
    pub issued: Issued,
}

impl SmPki {
    /// A new authority.
    pub fn new() -> Self {
        let authority = Authority::root(Algorithm::Sm2, "SM test authority").unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), authority.certificate_pem()).unwrap();
        Self { authority, directory }
    }

    /// The authority's PEM file.
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A path in the directory, for other files of a test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A server's certificate with this DNS name, and with the loopback address.
    pub fn server(&self, name: &str) -> SmIdentity {
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        self.issue(name, &Leaf::server(name).dns(name).ip(loopback))
    }

    /// A client's certificate with this URI.
    pub fn client(&self, name: &str, uri: &str) -> SmIdentity {
        self.issue(name, &Leaf::client(name).uri(uri))
    }

    /// Any certificate, in files of this name.
    pub fn issue(&self, file: &str, leaf: &Leaf) -> SmIdentity {
        self.store(file, self.authority.issue(leaf).unwrap())
    }

    /// Writes a certificate into files of this name.
    pub fn store(&self, file: &str, issued: Issued) -> SmIdentity {
        let (certificate, key) =
            (self.path(&format!("{file}.pem")), self.path(&format!("{file}.key")));
        std::fs::write(&certificate, issued.chain_pem()).unwrap();
        std::fs::write(&key, issued.key_pem().as_bytes()).unwrap();
        SmIdentity { certificate, key, issued }
    }

    /// Settings of an RFC 8998 client that trusts the authority and shows `identity`, if any.
    pub fn client_config(&self, identity: Option<&SmIdentity>, alpn: &[&str]) -> Arc<ClientConfig> {
        self.client_config_of(rfc8998::provider(), identity, alpn)
    }

    /// The same with other algorithms.
    pub fn client_config_of(
        &self,
        crypto: &Arc<CryptoProvider>,
        identity: Option<&SmIdentity>,
        alpn: &[&str],
    ) -> Arc<ClientConfig> {
        let inner = WebPkiServerVerifier::builder_with_provider(self.roots(), provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(crypto))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ServerVerifier(inner.build().unwrap())));
        let mut config = match identity {
            Some(identity) => {
                let (chain, key) = identity.parts();
                let key = rfc8998::provider().key_provider.load_private_key(key).unwrap();
                let certified = rustls::sign::CertifiedKey::new(chain, key);
                let resolver = rustls::sign::SingleCertAndKey::from(certified);
                builder.with_client_cert_resolver(Arc::new(resolver))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// Settings of an RFC 8998 server that takes only clients with a certificate of the authority.
    pub fn server_config(&self, identity: &SmIdentity) -> Arc<ServerConfig> {
        let clients = WebPkiClientVerifier::builder_with_provider(self.roots(), provider());
        let clients = Arc::new(ClientVerifier(clients.build().unwrap()));
        let (chain, key) = identity.parts();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.authority.der().to_vec())).unwrap();
        Arc::new(roots)
    }
}

impl Default for SmPki {
    fn default() -> Self {
        Self::new()
    }
}

impl SmIdentity {
    /// The entry of `tls_certificates` for it.
    pub fn entry(&self) -> String {
        format!(
            "{{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }} }}",
            self.certificate.display(),
            self.key.display()
        )
    }

    fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = self.issued.chain().map(|der| CertificateDer::from(der.to_vec())).collect();
        let key = PrivateKeyDer::from_pem_slice(self.issued.key_pem().as_bytes()).unwrap();
        (chain, key)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::clone(rfc8998::provider())
}
