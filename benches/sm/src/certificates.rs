//! One test PKI for everybody: in memory for ours, as files for the peers.

use std::fs;
use std::path::Path;

use anyhow::Result;
use palanquin_pki::Algorithm;
use palanquin_pki::Authority;
use palanquin_pki::DualPair;
use palanquin_pki::Leaf;
use tempfile::TempDir;

/// An SM2 root and the pairs of a server and a client.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) root: Authority,
    pub(crate) server: DualPair,
    pub(crate) client: DualPair,
    directory: TempDir,
}

impl Certificates {
    pub(crate) fn new() -> Result<Self> {
        let root = Authority::root(Algorithm::Sm2, "bench root")?;
        let server = root.issue_pair(&Leaf::server("localhost").dns("localhost"))?;
        let client = root.issue_pair(&Leaf::client("client").uri("spiffe://bench/client"))?;
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("ca.pem"), root.certificate_pem())?;
        for (name, pair) in [("server", &server), ("client", &client)] {
            for (suffix, issued) in [("", &pair.sign), ("-enc", &pair.enc)] {
                let file = |end: &str| directory.path().join(format!("{name}{suffix}.{end}"));
                fs::write(file("pem"), issued.certificate_pem())?;
                fs::write(file("key"), issued.key_pem().as_bytes())?;
            }
        }
        Ok(Self { root, server, client, directory })
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}
