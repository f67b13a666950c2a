//! The demo's certificates: an authority of each world, a SPIFFE id for everyone, all in one private directory.

use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use palanquin_pki::Algorithm;
use palanquin_pki::Authority;
use palanquin_pki::Issued;
use palanquin_pki::Leaf;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
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
    Certificate(#[from] palanquin_pki::Error),
    /// rustls does not take what was made.
    #[error("{0}")]
    Tls(String),
}

/// The authorities, and the directory with what they issued. Dropping it removes the directory.
pub(super) struct Certificates {
    authority: Authority,
    /// SM2; its files begin with `sm-`, and everyone has two certificates of it.
    sm: Authority,
    directory: PathBuf,
}

impl Certificates {
    /// Makes a directory that only this user can read, and everyone's certificates in it.
    pub(super) fn create() -> Result<Self, PkiError> {
        let authority = Authority::root(Algorithm::P256, "Palanquin demo authority")?;
        let sm = Authority::root(Algorithm::Sm2, "Palanquin demo SM authority")?;
        let certificates = Self { authority, sm, directory: make_directory()? };
        let (ca, sm_ca) =
            (certificates.authority.certificate_pem(), certificates.sm.certificate_pem());
        certificates.write("ca.pem", &ca)?;
        certificates.write("sm-ca.pem", &sm_ca)?;
        certificates.write("ca-bundle.pem", &(ca + &sm_ca))?;
        // Names that curl asks for: the proxy is reached as localhost and below demo.localhost.
        let proxy = leaf("proxy", "/proxy").dns("localhost").dns("*.demo.localhost");
        certificates.issue("proxy", &proxy)?;
        certificates.issue_sm("proxy", &proxy)?;
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
        let issued = self.issue(name, &leaf(name, &format!("/upstream/{name}")))?;
        let tls = |error: &dyn std::fmt::Display| PkiError::Tls(error.to_string());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let der = |der: &[u8]| CertificateDer::from(der.to_vec());
        let mut roots = RootCertStore::empty();
        roots.add(der(self.authority.der())).map_err(|error| tls(&error))?;
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let key = PrivateKeyDer::Pkcs8(issued.key().pkcs8_der().to_vec().into());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| tls(&error))?
            .with_client_cert_verifier(clients.build().map_err(|error| tls(&error))?)
            .with_single_cert(vec![der(issued.der())], key)
            .map_err(|error| tls(&error))?;
        Ok(Arc::new(config))
    }

    /// A client's certificates, with a file of options for curl: `curl -K NAME.curl`.
    fn issue_client(&self, name: &str, path: &str) -> Result<(), PkiError> {
        let client = leaf(name, path);
        self.issue(name, &client)?;
        self.issue_sm(name, &client)?;
        let file = |name: &str| self.directory.join(name).display().to_string();
        let options = format!(
            "cacert = \"{}\"\ncert = \"{}\"\nkey = \"{}\"\n",
            file("ca.pem"),
            file(&format!("{name}.pem")),
            file(&format!("{name}.key")),
        );
        self.write(&format!("{name}.curl"), &options)
    }

    fn issue(&self, name: &str, leaf: &Leaf) -> Result<Issued, PkiError> {
        let issued = self.authority.issue(leaf)?;
        self.write_issued(name, &issued)?;
        Ok(issued)
    }

    fn issue_sm(&self, name: &str, leaf: &Leaf) -> Result<(), PkiError> {
        let pair = self.sm.issue_pair(leaf)?;
        self.write_issued(&format!("sm-{name}"), &pair.sign)?;
        self.write_issued(&format!("sm-{name}-enc"), &pair.enc)
    }

    fn write_issued(&self, name: &str, issued: &Issued) -> Result<(), PkiError> {
        self.write(&format!("{name}.pem"), &issued.chain_pem())?;
        self.write(&format!("{name}.key"), &issued.key_pem())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), PkiError> {
        let path = self.directory.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| PkiError::Write(path, error))
    }
}

/// Everyone is client and server.
fn leaf(name: &str, path: &str) -> Leaf {
    Leaf::both(name).uri(&format!("spiffe://{TRUST_DOMAIN}{path}"))
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
