//! A server and a client of TLCP, to try other implementations against.
//!
//! ```text
//! cargo run -p palanquin-tlcp --example tlcp -- pki DIR
//! cargo run -p palanquin-tlcp --example tlcp -- server --pki DIR --listen 127.0.0.1:8443 [--mutual]
//! cargo run -p palanquin-tlcp --example tlcp -- client --pki DIR --connect 127.0.0.1:8443 [--mutual]
//! ```
//!
//! The server answers each request with what was agreed on; the client prints the answer. `--suite` may be given
//! more than once.
#![expect(clippy::print_stdout, reason = "a program that tells what it did")]

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use clap::Args;
use clap::Parser;
use palanquin_pki::Algorithm;
use palanquin_pki::Authority;
use palanquin_pki::Leaf;
use palanquin_sm::keys;
use palanquin_sm::x509;
use palanquin_tlcp::Alert;
use palanquin_tlcp::Always;
use palanquin_tlcp::CipherSuite;
use palanquin_tlcp::ClientAuth;
use palanquin_tlcp::ClientConfig;
use palanquin_tlcp::ClientSessions;
use palanquin_tlcp::DualCertificate;
use palanquin_tlcp::Established;
use palanquin_tlcp::KeyedCertificate;
use palanquin_tlcp::PeerCertificates;
use palanquin_tlcp::Refused;
use palanquin_tlcp::ServerConfig;
use palanquin_tlcp::ServerSessions;
use palanquin_tlcp::Target;
use palanquin_tlcp::VerifyPeer;
use palanquin_tlcp::stream;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::UnixTime;
use rustls_pki_types::pem::PemObject;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

#[derive(Parser)]
enum Command {
    /// Makes a root and pairs for a server and a client.
    Pki { directory: PathBuf },
    /// Serves until it is killed.
    Server {
        #[arg(long)]
        listen: String,
        #[command(flatten)]
        common: Common,
    },
    /// Asks once, or more often to take sessions up.
    Client {
        #[arg(long)]
        connect: String,
        /// Sent in the hello.
        #[arg(long)]
        server_name: Option<String>,
        #[arg(long, default_value_t = 1)]
        times: usize,
        /// What to send.
        #[arg(long, default_value = "GET / HTTP/1.0\r\n\r\n")]
        text: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Args)]
struct Common {
    /// Holds ca.pem, and {server,client}-{sign,enc}.{pem,key}.
    #[arg(long)]
    pki: PathBuf,
    #[arg(long)]
    mutual: bool,
    /// A name such as `ECC_SM4_GCM_SM3`.
    #[arg(long)]
    suite: Vec<String>,
}

impl Common {
    fn suites(&self) -> Result<Vec<CipherSuite>> {
        if self.suite.is_empty() {
            return Ok(CipherSuite::ALL.to_vec());
        }
        let one = |name: &String| CipherSuite::from_name(name).context("no such suite");
        self.suite.iter().map(one).collect()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Pki { directory } => make_pki(&directory),
        Command::Server { listen, common } => serve(&listen, &common).await,
        Command::Client { connect, server_name, times, text, common } => {
            let config = ClientConfig {
                certificate: if common.mutual { Some(dual(&common.pki, "client")?) } else { None },
                protocols: Vec::new(),
                sessions: Some(Arc::new(ClientSessions::new(8, Duration::from_hours(1)))),
                suites: common.suites()?,
                verifier: Arc::new(ByRoot::load(&common.pki)?),
            };
            let config = Arc::new(config);
            for _ in 0..times {
                let target = Target {
                    server_name: server_name.as_deref().map(Into::into),
                    session_key: Some(connect.as_str().into()),
                };
                ask(&connect, Arc::clone(&config), target, &text).await?;
            }
            Ok(())
        }
    }
}

fn make_pki(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    let root = Authority::root(Algorithm::Sm2, "SM2 root")?;
    fs::write(directory.join("ca.pem"), root.certificate_pem())?;
    let address = "127.0.0.1".parse()?;
    let server = Leaf::server("localhost").dns("localhost").ip(address);
    let client = Leaf::client("client").uri("spiffe://td/ns/a/sa/b");
    for (name, leaf) in [("server", server), ("client", client)] {
        let pair = root.issue_pair(&leaf)?;
        for (usage, issued) in [("sign", pair.sign), ("enc", pair.enc)] {
            let file = |end: &str| directory.join(format!("{name}-{usage}.{end}"));
            fs::write(file("pem"), issued.certificate_pem())?;
            fs::write(file("key"), issued.key_pem().as_bytes())?;
        }
    }
    Ok(())
}

async fn serve(listen: &str, common: &Common) -> Result<()> {
    let verifier = Arc::new(ByRoot::load(&common.pki)?);
    let config = Arc::new(ServerConfig {
        certificates: Arc::new(Always(dual(&common.pki, "server")?)),
        client_auth: if common.mutual { ClientAuth::Required(verifier) } else { ClientAuth::None },
        protocols: Vec::new(),
        sessions: Some(Arc::new(ServerSessions::new(1000, Duration::from_hours(1)))),
        suites: common.suites()?,
    });
    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        let config = Arc::clone(&config);
        tokio::spawn(async move {
            match answer(socket, config).await {
                Ok(told) => println!("{told}"),
                Err(error) => println!("failed: {error:#}"),
            }
        });
    }
}

async fn answer(socket: TcpStream, config: Arc<ServerConfig>) -> Result<String> {
    let mut stream = stream::accept(socket, config).await?;
    let told = describe(stream.established());
    let mut buffer = vec![0; 16 * 1024];
    let count = stream.read(&mut buffer).await?;
    let told = format!("{told} request={count}");
    let answer = format!("HTTP/1.0 200 OK\r\ncontent-length: {}\r\n\r\n{told}\n", told.len() + 1);
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(told)
}

async fn ask(connect: &str, config: Arc<ClientConfig>, target: Target, text: &str) -> Result<()> {
    let socket = TcpStream::connect(connect).await?;
    let mut stream = stream::connect(socket, config, target).await?;
    println!("{}", describe(stream.established()));
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await?;
    let mut buffer = vec![0; 16 * 1024];
    let count = stream.read(&mut buffer).await?;
    println!("{}", String::from_utf8_lossy(&buffer[..count]).trim_end());
    stream.shutdown().await?;
    Ok(())
}

fn describe(established: &Established) -> String {
    let certificates =
        established.peer.as_ref().map_or(0, |peer| 1 + usize::from(peer.enc.is_some()));
    let resumed = if established.resumed { " resumed" } else { "" };
    format!("{} certificates={certificates}{resumed}", established.suite)
}

fn dual(pki: &Path, name: &str) -> Result<Arc<DualCertificate>> {
    let load = |usage: &str| -> Result<KeyedCertificate> {
        let file = |end: &str| pki.join(format!("{name}-{usage}.{end}"));
        let certificate = CertificateDer::from_pem_file(file("pem"))?;
        let key = keys::from_pem(&fs::read(file("key"))?)?;
        Ok(KeyedCertificate::new(certificate, Arc::new(key)))
    };
    Ok(Arc::new(DualCertificate::new(load("sign")?, load("enc")?, Vec::new())?))
}

/// Trusts what the root issued, and does not look at names.
#[derive(Debug)]
struct ByRoot(CertificateDer<'static>);

impl ByRoot {
    fn load(pki: &Path) -> Result<Self> {
        Ok(Self(CertificateDer::from_pem_file(pki.join("ca.pem"))?))
    }
}

impl VerifyPeer for ByRoot {
    fn verify(
        &self,
        peer: &PeerCertificates,
        _: Option<&str>,
        now: UnixTime,
    ) -> Result<(), Refused> {
        let refused = |error| Refused::new(Alert::BAD_CERTIFICATE, error);
        let anchors = [webpki::anchor_from_trusted_cert(&self.0).map_err(refused)?];
        for certificate in [Some(&peer.sign), peer.enc.as_ref()].into_iter().flatten() {
            let leaf = webpki::EndEntityCert::try_from(certificate).map_err(refused)?;
            let usages = [webpki::KeyUsage::server_auth(), webpki::KeyUsage::client_auth()];
            let verify = |usage| {
                let chain = &peer.intermediates;
                leaf.verify_for_usage(x509::ALL, &anchors, chain, now, usage, None, None)
            };
            let [server, client] = usages;
            verify(server).or_else(|_| verify(client)).map_err(refused)?;
        }
        Ok(())
    }
}
