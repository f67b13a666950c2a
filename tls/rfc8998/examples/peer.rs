//! A server and a client of RFC 8998, to try this provider against other implementations.
//!
//! ```text
//! peer server ADDRESS SUITES GROUPS CERT KEY [CA]      one request per connection; CA: clients need certificates
//! peer client ADDRESS SUITES GROUPS CA [CERT KEY]      two connections; prints what was agreed
//! ```
//! SUITES and GROUPS are lists of hexadecimal code points, such as `c6,c7` and `11ee,29`.

use std::env;
use std::error::Error;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use palanquin_rfc8998 as rfc8998;
use palanquin_rfc8998::Ticketer;
use palanquin_rfc8998::verify::ClientVerifier;
use palanquin_rfc8998::verify::ServerVerifier;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::CommonState;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::Stream;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["server", address, suites, groups, cert, key] => {
            serve(address, &server(&chosen(suites, groups)?, cert, key, None)?)
        }
        ["server", address, suites, groups, cert, key, ca] => {
            serve(address, &server(&chosen(suites, groups)?, cert, key, Some(ca))?)
        }
        ["client", address, suites, groups, ca] => {
            ask(address, &client(&chosen(suites, groups)?, ca, None)?)
        }
        ["client", address, suites, groups, ca, cert, key] => {
            ask(address, &client(&chosen(suites, groups)?, ca, Some((cert, key)))?)
        }
        _ => Err("usage: peer server|client ADDRESS SUITES GROUPS ...".into()),
    }
}

/// The provider with these code points, in this order.
fn chosen(suites: &str, groups: &str) -> Result<Arc<CryptoProvider>> {
    let numbers = |list: &str| -> Result<Vec<u16>> {
        list.split(',').map(|number| Ok(u16::from_str_radix(number, 16)?)).collect()
    };
    let mut crypto = CryptoProvider::clone(rfc8998::provider());
    let (all_suites, all_groups) = (crypto.cipher_suites, crypto.kx_groups);
    let suite = |number| all_suites.iter().find(|one| u16::from(one.suite()) == number).copied();
    let group = |number| all_groups.iter().find(|one| u16::from(one.name()) == number).copied();
    crypto.cipher_suites = numbers(suites)?.into_iter().filter_map(suite).collect();
    crypto.kx_groups = numbers(groups)?.into_iter().filter_map(group).collect();
    Ok(Arc::new(crypto))
}

fn roots(path: &str) -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(path)?)?;
    Ok(Arc::new(roots))
}

fn chain(path: &str) -> Result<Vec<CertificateDer<'static>>> {
    Ok(CertificateDer::pem_file_iter(path)?.collect::<std::result::Result<_, _>>()?)
}

fn server(
    crypto: &Arc<CryptoProvider>,
    cert: &str,
    key: &str,
    ca: Option<&&str>,
) -> Result<Arc<ServerConfig>> {
    let verifier = match ca {
        Some(ca) => {
            let provider = Arc::clone(rfc8998::provider());
            let inner = WebPkiClientVerifier::builder_with_provider(roots(ca)?, provider);
            Arc::new(ClientVerifier(inner.build()?))
        }
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::clone(crypto))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(cert)?, PrivateKeyDer::from_pem_file(key)?)?;
    let tickets = Ticketer::generated(Duration::from_hours(1)).ok_or("no randomness")?;
    config.ticketer = Arc::new(tickets);
    Ok(Arc::new(config))
}

fn client(
    crypto: &Arc<CryptoProvider>,
    ca: &str,
    own: Option<(&str, &str)>,
) -> Result<Arc<ClientConfig>> {
    let provider = Arc::clone(rfc8998::provider());
    let inner = WebPkiServerVerifier::builder_with_provider(roots(ca)?, provider).build()?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(crypto))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ServerVerifier(inner)));
    Ok(Arc::new(match own {
        Some((cert, key)) => {
            builder.with_client_auth_cert(chain(cert)?, PrivateKeyDer::from_pem_file(key)?)?
        }
        None => builder.with_no_client_auth(),
    }))
}

fn serve(address: &str, config: &Arc<ServerConfig>) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    for socket in listener.incoming() {
        if let Err(error) = answer(socket?, config) {
            say(&format!("failed: {error}"));
        }
    }
    Ok(())
}

fn answer(mut socket: TcpStream, config: &Arc<ServerConfig>) -> Result<()> {
    let mut session = ServerConnection::new(Arc::clone(config))?;
    let mut stream = Stream::new(&mut session, &mut socket);
    let mut request = [0; 4096];
    let _ = stream.read(&mut request)?;
    stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")?;
    stream.flush()?;
    say(&described(&session));
    session.send_close_notify();
    while session.wants_write() {
        session.write_tls(&mut socket)?;
    }
    Ok(())
}

fn ask(address: &str, config: &Arc<ClientConfig>) -> Result<()> {
    for _ in 0..2 {
        let mut socket = TcpStream::connect(address)?;
        let name = ServerName::try_from("a.example")?;
        let mut session = ClientConnection::new(Arc::clone(config), name)?;
        let mut stream = Stream::new(&mut session, &mut socket);
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut response = Vec::new();
        match stream.read_to_end(&mut response) {
            Ok(_) => {}
            // Some peers close without saying goodbye.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error.into()),
        }
        say(&format!("{} {} bytes", described(&session), response.len()));
    }
    Ok(())
}

fn described(session: &CommonState) -> String {
    format!(
        "{:?} {:?} {:?} peer certificates: {}",
        session.negotiated_cipher_suite().map(|suite| suite.suite()),
        session.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name),
        session.handshake_kind(),
        session.peer_certificates().map_or(0, <[_]>::len),
    )
}

#[expect(clippy::print_stdout, reason = "an example shows what it did")]
fn say(line: &str) {
    println!("{line}");
}
