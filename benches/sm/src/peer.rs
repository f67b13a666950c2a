//! The peers' turns: `peer.c` with one library or the other.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use crate::certificates::Certificates;
use crate::scenario::Protocol;
use crate::scenario::Scenario;
use crate::scenario::Turn;
use crate::scenario::Work;

/// A library that is measured beside ours.
#[derive(Debug)]
pub(crate) struct Peer {
    name: &'static str,
    program: PathBuf,
    directory: PathBuf,
}

impl Peer {
    pub(crate) fn new(name: &'static str, program: &Path, certificates: &Certificates) -> Self {
        let directory = certificates.directory().to_owned();
        // It runs in that directory, so its own place must not depend on ours.
        let program = std::path::absolute(program).unwrap_or_else(|_| program.to_owned());
        Self { name, program, directory }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// OpenSSL has no TLCP.
    pub(crate) fn knows(&self, scenario: &Scenario) -> bool {
        self.name == "Tongsuo" || scenario.protocol != Protocol::Tlcp
    }

    pub(crate) fn take_turn(&self, scenario: &Scenario, seconds: f64) -> Result<Turn> {
        let (protocol, suite, group) = match scenario.protocol {
            Protocol::Rfc8998 { group } => ("tls13", scenario.suite.to_owned(), group),
            Protocol::Tlcp => ("tlcp", tongsuo_name(scenario.suite), "-"),
        };
        let bytes = if let Work::Records { bytes } = scenario.work { bytes } else { 0 };
        let flag = |on: bool| if on { "1" } else { "0" };
        let output = Command::new(&self.program)
            .current_dir(&self.directory)
            .args([protocol, &suite, group, flag(scenario.mutual)])
            .args([flag(scenario.work == Work::Resumed), &bytes.to_string(), &seconds.to_string()])
            .output()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let wrong = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} of {scenario}: {wrong}", self.name);
        let (server, client) = text.trim().split_once(' ').context("two numbers")?;
        Ok(Turn { server: server.parse()?, client: client.parse()? })
    }
}

/// `ECC_SM4_GCM_SM3` is its `ECC-SM2-SM4-GCM-SM3`.
fn tongsuo_name(suite: &str) -> String {
    suite.replacen("_SM4", "-SM2-SM4", 1).replace('_', "-")
}
