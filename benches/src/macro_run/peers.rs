//! The proxies that are compared: how each is started, and with which rendered configuration.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::macro_run::Options;
use crate::macro_run::ports::Ports;
use crate::macro_run::workloads::{Door, Workload};

/// A proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum PeerName {
    Palanquin,
    Envoy,
    Nginx,
    Haproxy,
}

impl PeerName {
    pub(super) const ALL: [Self; 4] = [Self::Palanquin, Self::Envoy, Self::Nginx, Self::Haproxy];
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Palanquin => "Palanquin",
            Self::Envoy => "Envoy",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
        })
    }
}

/// A proxy that is there, with its configurations written.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: PeerName,
    binary: PathBuf,
    plain: PathBuf,
    /// The same with tracing and access log, where the proxy can do both.
    traced: Option<PathBuf>,
}

impl Peer {
    /// Finds the binary and renders the configurations.
    pub(super) fn prepare(
        name: PeerName,
        options: &Options,
        templates: &Path,
        folder: &Path,
        ports: &Ports,
    ) -> Result<Self> {
        let binary = match name {
            PeerName::Palanquin => options.palanquin.clone(),
            PeerName::Envoy => match &options.envoy {
                Some(path) => path.clone(),
                None => installed_envoy(templates)?,
            },
            PeerName::Nginx => PathBuf::from("/usr/sbin/nginx"),
            PeerName::Haproxy => PathBuf::from("/usr/sbin/haproxy"),
        };
        if !binary.exists() {
            bail!(
                "{} does not exist (benches/macro/peers installs what comes from registries)",
                binary.display()
            );
        }
        let write = |file: &str| -> Result<PathBuf> {
            let template =
                fs::read_to_string(templates.join(file)).with_context(|| file.to_owned())?;
            let text = ports.render(&template).replace("{{folder}}", &folder.display().to_string());
            let path = folder.join(file);
            fs::write(&path, text)?;
            Ok(path)
        };
        let (plain, traced) = match name {
            // One and the same file for both: that is the point of the comparison.
            PeerName::Palanquin | PeerName::Envoy => {
                (write("bootstrap.yaml")?, Some(write("bootstrap-traced.yaml")?))
            }
            PeerName::Nginx => (write("nginx.conf")?, None),
            PeerName::Haproxy => (write("haproxy.cfg")?, None),
        };
        Ok(Self { name, binary: fs::canonicalize(&binary)?, plain, traced })
    }

    /// Debian's nginx speaks HTTP/1 only to origins, and only Envoy and Palanquin take the traced bootstrap.
    pub(super) fn supports(&self, workload: &Workload) -> bool {
        if workload.is_traced() {
            return self.traced.is_some();
        }
        self.name != PeerName::Nginx || matches!(workload.door, Door::Http1 | Door::Tls)
    }

    /// The command that runs it in the foreground.
    pub(super) fn command(&self, traced: bool) -> Vec<String> {
        let plain = &self.plain;
        let config = self.traced.as_ref().filter(|_| traced).unwrap_or(plain).display().to_string();
        let flags: &[&str] = match self.name {
            PeerName::Palanquin => &["--concurrency", "1", "-l", "warn", "-c"],
            PeerName::Envoy => &["--concurrency", "1", "--disable-hot-restart", "-l", "off", "-c"],
            PeerName::Nginx => &["-c"],
            PeerName::Haproxy => &["-db", "-f"],
        };
        let mut command = vec![self.binary.display().to_string()];
        command.extend(flags.iter().map(|flag| (*flag).to_owned()));
        command.push(config);
        command
    }

    /// The first line of its version that has a digit.
    pub(super) fn version(&self) -> String {
        let flag = match self.name {
            PeerName::Palanquin | PeerName::Envoy => "--version",
            PeerName::Nginx | PeerName::Haproxy => "-v",
        };
        let Ok(output) = Command::new(&self.binary).arg(flag).output() else {
            return "unknown".to_owned();
        };
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().find(|line| line.contains(|c: char| c.is_ascii_digit()));
        let line = line.unwrap_or("unknown").trim();
        match self.name {
            // "... version: <commit>/1.40.0/Clean/RELEASE/BoringSSL"
            PeerName::Envoy => {
                let (_, version) = line.rsplit_once("version: ").unwrap_or(("", line));
                version.split('/').nth(1).unwrap_or(line).to_owned()
            }
            PeerName::Nginx => line.rsplit('/').next().unwrap_or(line).to_owned(),
            PeerName::Haproxy => line.split(' ').nth(2).unwrap_or(line).to_owned(),
            PeerName::Palanquin => line.split(' ').next_back().unwrap_or(line).to_owned(),
        }
    }
}

/// Envoy in the cache that `benches/macro/peers` fills.
fn installed_envoy(templates: &Path) -> Result<PathBuf> {
    let lib = templates.with_file_name(".cache").join("venv/lib");
    for entry in fs::read_dir(&lib).context("run benches/macro/peers first")? {
        let path = entry?.path().join("site-packages/envoy/_bin/envoy");
        if path.exists() {
            return Ok(path);
        }
    }
    bail!("no Envoy in {}: run benches/macro/peers", lib.display())
}
