//! `palanquin cert`: makes certificates to try things out with, standard and SM.
//!
//! What it makes is what the examples and the documents name: `ca.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`, and
//! with `--sm` the same for the national suites. It never overwrites a file unasked, and a key is readable by its owner only.

mod files;
mod names;
mod report;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use palanquin_pki::Algorithm;
use palanquin_pki::Authority;
use palanquin_pki::Issued;
use palanquin_pki::Leaf;
use palanquin_pki::Validity;

pub use self::names::Client;
pub use self::names::ServerName;
pub use self::names::SpiffeId;
pub use self::report::Report;

use self::files::Files;

/// What `palanquin cert` is asked for.
#[derive(Debug, Clone, Args)]
pub struct CertArgs {
    /// Names and addresses of the server, beside localhost, 127.0.0.1 and ::1, which it always has.
    #[arg(value_name = "NAME")]
    pub names: Vec<ServerName>,
    /// The directory for the files; it is made.
    #[arg(short, long, value_name = "DIR", default_value = "certs")]
    pub out: PathBuf,
    /// Makes everything a second time with SM2 keys, sign and encryption certificates each, for RFC 8998 and TLCP.
    #[arg(long)]
    pub sm: bool,
    /// The server's SPIFFE ID, such as spiffe://td/ns/x/sa/y.
    #[arg(long, value_name = "URI")]
    pub spiffe: Option<SpiffeId>,
    /// A client, again for each; without a SPIFFE ID it gets one below the server's trust domain. Default: client.
    #[arg(long = "client", value_name = "NAME[=URI]")]
    pub clients: Vec<Client>,
    /// Puts an authority between the root and the certificates, as real ones have it.
    #[arg(long)]
    pub intermediate: bool,
    /// How long they hold.
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub days: u32,
    /// Overwrites files of an earlier run.
    #[arg(long)]
    pub force: bool,
}

/// Why nothing, or not everything, was made.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// Files are in the way.
    #[error("{} already in {}: {}; --force overwrites", if .files.len() == 1 { "a file is" } else { "files are" }, .directory.display(), .files.join(", "))]
    Exists {
        /// Where.
        directory: PathBuf,
        /// Their names.
        files: Vec<String>,
    },
    /// Two clients, or a client and something else, would be the same file.
    #[error(
        "{0} would be written twice: give each client a name of its own, other than \"ca\" and \"server\""
    )]
    Twice(String),
    /// A file cannot be written.
    #[error("cannot write {}: {error}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A certificate cannot be made.
    #[error(transparent)]
    Pki(#[from] palanquin_pki::Error),
}

/// Makes the certificates and writes them; the report says what was made and how to use it.
///
/// # Errors
/// When files are in the way nothing is written. When writing fails those before it stay.
pub fn make(args: &CertArgs, now: SystemTime) -> Result<Report, CertError> {
    let plan = Plan::new(args);
    let mut files = Files::default();
    family(&plan, args, Algorithm::P256, now, &mut files)?;
    if args.sm {
        family(&plan, args, Algorithm::Sm2, now, &mut files)?;
        files.bundle("ca-bundle.pem", &["ca.pem", "sm-ca.pem"]);
    }
    files.write(&args.out, args.force)?;
    Ok(Report::new(args, plan, files))
}

/// Who gets a certificate, with every default filled in.
#[derive(Debug)]
struct Plan {
    names: Vec<ServerName>,
    server: SpiffeId,
    clients: Vec<(String, SpiffeId)>,
}

impl Plan {
    fn new(args: &CertArgs) -> Self {
        let mut names = args.names.clone();
        for name in ServerName::always() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let server = args.spiffe.clone().unwrap_or_else(|| SpiffeId::below(TRUST_DOMAIN, "server"));
        let clients = if args.clients.is_empty() {
            vec![Client::named("client")]
        } else {
            args.clients.clone()
        };
        let clients = clients
            .into_iter()
            .map(|client| {
                let id = client
                    .spiffe
                    .unwrap_or_else(|| SpiffeId::below(server.trust_domain(), &client.name));
                (client.name, id)
            })
            .collect();
        Self { names, server, clients }
    }
}

const TRUST_DOMAIN: &str = "palanquin.test";

/// All certificates of one algorithm.
fn family(
    plan: &Plan,
    args: &CertArgs,
    algorithm: Algorithm,
    now: SystemTime,
    files: &mut Files,
) -> Result<(), CertError> {
    let (prefix, title) = match algorithm {
        Algorithm::P256 => ("", "Palanquin test CA"),
        Algorithm::Sm2 => ("sm-", "Palanquin SM test CA"),
    };
    let validity = Validity::days(now, args.days);
    let root = Authority::root_valid(algorithm, title, validity)?;
    files.add(format!("{prefix}ca.pem"), root.certificate_pem().into());
    files.add_key(format!("{prefix}ca.key"), root.key().pem());
    let intermediate = if args.intermediate {
        Some(root.intermediate(&format!("{title}, intermediate"))?)
    } else {
        None
    };
    let issuer = intermediate.as_ref().unwrap_or(&root);
    let mut write = |name: &str, issued: &Issued| {
        files.add(format!("{prefix}{name}.pem"), issued.chain_pem().into());
        files.add_key(format!("{prefix}{name}.key"), issued.key_pem());
    };
    // A proxy shows its certificate on both sides: to its clients, and as a client to its upstreams.
    let server = Leaf::both(plan.names.first().map_or("server", ServerName::as_str))
        .uri(plan.server.as_str());
    let server = plan.names.iter().fold(server, |leaf, name| leaf.san(name.san()));
    let clients =
        plan.clients.iter().map(|(name, id)| (name.as_str(), Leaf::client(name).uri(id.as_str())));
    for (name, leaf) in std::iter::once(("server", server)).chain(clients) {
        match algorithm {
            Algorithm::P256 => write(name, &issuer.issue(&leaf)?),
            Algorithm::Sm2 => {
                let pair = issuer.issue_pair(&leaf)?;
                write(name, &pair.sign);
                write(&format!("{name}-enc"), &pair.enc);
            }
        }
    }
    Ok(())
}
