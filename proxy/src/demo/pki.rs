//! The demo's certificates: one authority, a SPIFFE id for everyone, all in one private directory.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::SanType;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;

/// The trust domain of every SPIFFE id here.
pub(super) const TRUST_DOMAIN: &str = "demo.palanquin";

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be written.
    #[error("{0}: {1}")]
    Write(PathBuf, io::Error),
    /// A certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] rcgen::Error),
    /// rustls does not take what was made.
    #[error("{0}")]
    Tls(String),
}

/// The authority, and the directory with what it issued. Dropping it removes the directory.
pub(super) struct Certificates {
    authority: CertifiedIssuer<'static, KeyPair>,
    directory: PathBuf,
}

impl Certificates {
    /// Makes a directory that only this user can read, and everyone's certificate in it.
    pub(super) fn create() -> Result<Self, PkiError> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Palanquin demo authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let certificates = Self { authority, directory: make_directory()? };
        certificates.write("ca.pem", &certificates.authority.pem())?;
        // Names that curl asks for: the proxy is reached as localhost and below demo.localhost.
        certificates.issue("proxy", "/proxy", &["localhost", "*.demo.localhost"])?;
        certificates.issue_client("acme", "/tenant/acme/client/curl")?;
        certificates.issue_client("guest", "/guest")?;
        Ok(certificates)
    }

    /// The directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Settings of an upstream of that name: only clients with a certificate of ours may talk to it.
    pub(super) fn upstream(&self, name: &str) -> Result<Arc<ServerConfig>, PkiError> {
        let (certificate, key) = self.issue(name, &format!("/upstream/{name}"), &[])?;
        let tls = |error: &dyn std::fmt::Display| PkiError::Tls(error.to_string());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).map_err(|error| tls(&error))?;
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| tls(&error))?
            .with_client_cert_verifier(clients.build().map_err(|error| tls(&error))?)
            .with_single_cert(vec![certificate.der().clone()], private(&key)?)
            .map_err(|error| tls(&error))?;
        Ok(Arc::new(config))
    }

    /// A client's certificate, with a file of options for curl: `curl -K NAME.curl`.
    fn issue_client(&self, name: &str, path: &str) -> Result<(), PkiError> {
        self.issue(name, path, &[])?;
        let file = |name: &str| self.directory.join(name).display().to_string();
        let options = format!(
            "cacert = \"{}\"\ncert = \"{}\"\nkey = \"{}\"\n",
            file("ca.pem"),
            file(&format!("{name}.pem")),
            file(&format!("{name}.key")),
        );
        self.write(&format!("{name}.curl"), &options)
    }

    fn issue(
        &self,
        name: &str,
        path: &str,
        hosts: &[&str],
    ) -> Result<(rcgen::Certificate, KeyPair), PkiError> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        let spiffe = format!("spiffe://{TRUST_DOMAIN}{path}");
        params.subject_alt_names.push(SanType::URI(spiffe.try_into()?));
        for host in hosts {
            params.subject_alt_names.push(SanType::DnsName((*host).try_into()?));
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.authority)?;
        self.write(&format!("{name}.pem"), &certificate.pem())?;
        self.write(&format!("{name}.key"), &key.serialize_pem())?;
        Ok((certificate, key))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), PkiError> {
        let path = self.directory.join(name);
        std::fs::write(&path, text).map_err(|error| PkiError::Write(path, error))
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        // Left behind, it is a temporary directory like others.
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

/// A directory that did not exist before, so that nobody else can have prepared it.
fn make_directory() -> Result<PathBuf, PkiError> {
    let process = std::process::id();
    let mut attempt = 0;
    loop {
        let path = std::env::temp_dir().join(format!("palanquin-demo-{process}-{attempt}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 1000 => {
                attempt += 1;
            }
            Err(error) => return Err(PkiError::Write(path, error)),
        }
    }
}

fn private(key: &KeyPair) -> Result<PrivateKeyDer<'static>, PkiError> {
    PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| PkiError::Tls(error.to_owned()))
}
