//! Certificates of one run: an authority and one ECDSA P-256 leaf that serves every side, as server and as client.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A folder with `ca.crt`, `server.crt`, `server.key` and, for HAProxy, both in `server.pem`.
#[derive(Debug, Clone)]
pub struct Certs {
    folder: PathBuf,
}

/// The application protocol offered or accepted in a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// `http/1.1`
    Http1,
    /// `h2`
    Http2,
}

impl Alpn {
    fn names(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http1 => vec![b"http/1.1".to_vec()],
            Self::Http2 => vec![b"h2".to_vec()],
        }
    }
}

/// Whether the client shows a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// It does, and the server requires it.
    Required,
    /// It does not.
    None,
}

impl Certs {
    /// Makes new certificates in `folder`, which must exist.
    pub fn generate(folder: &Path) -> Result<Self> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "Benchmark CA");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let mut leaf = CertificateParams::new(vec!["localhost".to_owned()])?;
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        leaf.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        let leaf = leaf.signed_by(&key, &authority)?;
        fs::write(folder.join("ca.crt"), authority.pem())?;
        fs::write(folder.join("server.crt"), leaf.pem())?;
        fs::write(folder.join("server.key"), key.serialize_pem())?;
        fs::write(folder.join("server.pem"), leaf.pem() + &key.serialize_pem())?;
        Ok(Self::open(folder))
    }

    /// Certificates that [`Certs::generate`] left in `folder`.
    pub fn open(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// A client's configuration: TLS 1.3, no resumption, so that each connection is a full handshake.
    pub fn client(&self, alpn: Alpn, certificate: ClientCertificate) -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(self.roots()?);
        let mut config = match certificate {
            ClientCertificate::Required => {
                builder.with_client_auth_cert(self.chain()?, self.key()?)?
            }
            ClientCertificate::None => builder.with_no_client_auth(),
        };
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = alpn.names();
        Ok(Arc::new(config))
    }

    /// A server's configuration: TLS 1.3.
    pub fn server(&self, alpn: Alpn, certificate: ClientCertificate) -> Result<Arc<ServerConfig>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?;
        let builder = match certificate {
            ClientCertificate::Required => {
                let roots = Arc::new(self.roots()?);
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots, provider).build()?;
                builder.with_client_cert_verifier(verifier)
            }
            ClientCertificate::None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(self.chain()?, self.key()?)?;
        config.alpn_protocols = alpn.names();
        Ok(Arc::new(config))
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>> {
        let path = self.folder.join("server.crt");
        CertificateDer::pem_file_iter(&path)
            .with_context(|| path.display().to_string())?
            .map(|one| one.context("server.crt"))
            .collect()
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_file(self.folder.join("server.key")).context("server.key")
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        for one in CertificateDer::pem_file_iter(self.folder.join("ca.crt"))? {
            roots.add(one?)?;
        }
        Ok(roots)
    }
}
