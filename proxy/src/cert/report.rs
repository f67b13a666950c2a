//! What `palanquin cert` tells at its end.

use std::fmt;
use std::path::PathBuf;

use super::CertArgs;
use super::Plan;
use super::files::Files;

/// What was made and how to use it.
#[derive(Debug)]
pub struct Report {
    directory: PathBuf,
    days: u32,
    sm: bool,
    plan: Plan,
    files: Vec<String>,
}

impl Report {
    pub(super) fn new(args: &CertArgs, plan: Plan, files: Files) -> Self {
        let files = files.names().map(str::to_owned).collect();
        Self { directory: args.out.clone(), days: args.days, sm: args.sm, plan, files }
    }

    /// The files that were written, by their names in the directory.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    fn family(&self, f: &mut fmt::Formatter<'_>, prefix: &str) -> fmt::Result {
        let mut line = |name: &str, what: &str| {
            let files = format!("{prefix}{name}.pem  {prefix}{name}.key");
            writeln!(f, "  {files:<44} {what}")
        };
        line("ca", "the authority; its .pem is what peers trust")?;
        let names: Vec<&str> = self.plan.names.iter().map(super::ServerName::as_str).collect();
        let server = ("server", format!("{}, {}", names.join(", "), self.plan.server));
        let clients = self.plan.clients.iter().map(|(name, id)| (name.as_str(), id.to_string()));
        for (name, who) in std::iter::once(server).chain(clients) {
            line(name, &who)?;
            if !prefix.is_empty() {
                line(&format!("{name}-enc"), "  its encryption certificate, for TLCP")?;
            }
        }
        Ok(())
    }

    fn client(&self) -> &str {
        self.plan.clients.first().map_or("client", |(name, _)| name.as_str())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (directory, client) = (self.directory.display(), self.client());
        writeln!(f, "Made in {directory}, valid for {} days:", self.days)?;
        self.family(f, "")?;
        if self.sm {
            self.family(f, "sm-")?;
            writeln!(f, "  {:<44} both authorities", "ca-bundle.pem")?;
        }
        write!(
            f,
            "
They are for tests: whoever reads a .key file can be whoever it names.

A listener with mutual TLS, in the short form:
  listen:
    - addr: :8443
      tls: {{ cert: {directory}/server.pem, key: {directory}/server.key, client-ca: {directory}/ca.pem }}
and a client of it:
  curl --cacert {directory}/ca.pem --cert {directory}/{client}.pem --key {directory}/{client}.key https://localhost:8443/
"
        )?;
        if !self.sm {
            return Ok(());
        }
        write!(
            f,
            "
The same port for the national suites: an Envoy listener's `tls_certificates` takes all three pairs,
  server.pem   sm-server.pem   sm-server-enc.pem, each with its .key
and its `trusted_ca` is ca-bundle.pem; docs/sm.md shows it whole. Clients of it:
  tongsuo s_client -connect localhost:8443 -tls1_3 -ciphersuites TLS_SM4_GCM_SM3 -groups curveSM2 -sigalgs sm2sig_sm3 \\
    -CAfile {directory}/sm-ca.pem -cert {directory}/sm-{client}.pem -key {directory}/sm-{client}.key
  tongsuo s_client -connect localhost:8443 -enable_ntls -ntls -cipher ECC-SM2-SM4-GCM-SM3 -CAfile {directory}/sm-ca.pem \\
    -sign_cert {directory}/sm-{client}.pem -sign_key {directory}/sm-{client}.key \\
    -enc_cert {directory}/sm-{client}-enc.pem -enc_key {directory}/sm-{client}-enc.key
"
        )
    }
}
