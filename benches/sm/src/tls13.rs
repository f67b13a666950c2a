//! Our turns of RFC 8998: rustls with our provider at both ends.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use palanquin_pki::Issued;
use palanquin_rfc8998 as rfc8998;
use palanquin_rfc8998::Ticketer;
use palanquin_rfc8998::verify::ClientVerifier;
use palanquin_rfc8998::verify::ServerVerifier;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::HandshakeKind;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::server::NoServerSessionStorage;
use rustls::server::WebPkiClientVerifier;

use crate::certificates::Certificates;
use crate::clock::timed;
use crate::scenario::Scenario;
use crate::scenario::Turn;
use crate::scenario::Work;

pub(crate) fn take_turn(
    scenario: &Scenario,
    group: &str,
    certificates: &Certificates,
    limit: Duration,
) -> Result<Turn> {
    let mut ends = Ends::new(scenario, group, certificates)?;
    for warm in 0..5 {
        let (server, _client) = ends.shake()?;
        let resumed = server.handshake_kind() == Some(HandshakeKind::Resumed);
        ensure!(resumed == (scenario.work == Work::Resumed && warm > 0), "resumption");
    }
    ends.reset();
    let mut rounds = 0;
    if let Work::Records { bytes } = scenario.work {
        let (mut server, mut client) = ends.shake()?;
        ends.reset();
        let (data, mut read) = (vec![0; bytes], vec![0; bytes]);
        let mut wire = Vec::with_capacity(2 * bytes);
        while ends.spent() < limit {
            timed(&mut ends.server_spent, || seal(&mut server, &data, &mut wire))?;
            timed(&mut ends.client_spent, || open(&mut client, &mut wire, &mut read))?;
            rounds += 1;
        }
    } else {
        while ends.spent() < limit {
            let (server, client) = ends.shake()?;
            timed(&mut ends.server_spent, || drop(server));
            timed(&mut ends.client_spent, || drop(client));
            rounds += 1;
        }
    }
    Ok(Turn::new(ends.server_spent, ends.client_spent, rounds))
}

struct Ends {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    server_spent: Duration,
    client_spent: Duration,
}

impl Ends {
    fn new(scenario: &Scenario, group: &str, certificates: &Certificates) -> Result<Self> {
        let crypto = provider(scenario.suite, group);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(certificates.root.der().to_vec()))?;
        let roots = Arc::new(roots);
        let all = || Arc::clone(rfc8998::provider());
        let clients = if scenario.mutual {
            let inner = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), all());
            Arc::new(ClientVerifier(inner.build()?))
        } else {
            WebPkiClientVerifier::no_client_auth()
        };
        let (chain, key) = identity(&certificates.server.sign);
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&crypto))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let servers = WebPkiServerVerifier::builder_with_provider(roots, all()).build()?;
        let client = ClientConfig::builder_with_provider(crypto)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ServerVerifier(servers)));
        let mut client = if scenario.mutual {
            let (chain, key) = identity(&certificates.client.sign);
            client.with_client_auth_cert(chain, key)?
        } else {
            client.with_no_client_auth()
        };
        client.resumption = Resumption::disabled();
        if scenario.work == Work::Resumed {
            let Some(tickets) = Ticketer::generated(Duration::from_hours(1)) else {
                bail!("no randomness");
            };
            server.ticketer = Arc::new(tickets);
            server.send_tls13_tickets = 1;
            client.resumption = Resumption::in_memory_sessions(8);
        }
        Ok(Self {
            server: Arc::new(server),
            client: Arc::new(client),
            server_spent: Duration::ZERO,
            client_spent: Duration::ZERO,
        })
    }

    fn shake(&mut self) -> Result<(ServerConnection, ClientConnection)> {
        let (at_server, at_client) = (&mut self.server_spent, &mut self.client_spent);
        let mut server = timed(at_server, || ServerConnection::new(Arc::clone(&self.server)))?;
        let name = ServerName::try_from("localhost")?;
        let mut client =
            timed(at_client, || ClientConnection::new(Arc::clone(&self.client), name))?;
        let (mut up, mut down) = (Vec::new(), Vec::new());
        while server.is_handshaking() || client.is_handshaking() || server.wants_write() {
            timed(at_client, || -> Result<()> {
                read(&mut client, &mut down)?;
                write(&mut client, &mut up)
            })?;
            timed(at_server, || -> Result<()> {
                read(&mut server, &mut up)?;
                write(&mut server, &mut down)
            })?;
        }
        timed(at_client, || read(&mut client, &mut down))?;
        Ok((server, client))
    }

    fn spent(&self) -> Duration {
        self.server_spent + self.client_spent
    }

    fn reset(&mut self) {
        (self.server_spent, self.client_spent) = (Duration::ZERO, Duration::ZERO);
    }
}

/// The provider with one suite and one group.
fn provider(suite: &str, group: &str) -> Arc<CryptoProvider> {
    let mut crypto = CryptoProvider::clone(rfc8998::provider());
    let (suite, group) = (
        if suite == "TLS_SM4_CCM_SM3" { 0x00c7 } else { 0x00c6 },
        if group == "curveSM2MLKEM768" { 0x11ee } else { 41 },
    );
    crypto.cipher_suites.retain(|one| u16::from(one.suite()) == suite);
    crypto.kx_groups.retain(|one| u16::from(one.name()) == group);
    Arc::new(crypto)
}

fn identity(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let key = PrivateKeyDer::Pkcs8(issued.key().pkcs8_der().to_vec().into());
    (vec![CertificateDer::from(issued.der().to_vec())], key)
}

fn read<T>(
    to: &mut impl std::ops::DerefMut<Target = rustls::ConnectionCommon<T>>,
    wire: &mut Vec<u8>,
) -> Result<()> {
    let mut left = wire.as_slice();
    while !left.is_empty() {
        to.read_tls(&mut left)?;
        to.process_new_packets()?;
    }
    wire.clear();
    Ok(())
}

fn write<T>(
    from: &mut impl std::ops::DerefMut<Target = rustls::ConnectionCommon<T>>,
    wire: &mut Vec<u8>,
) -> Result<()> {
    while from.wants_write() {
        from.write_tls(wire)?;
    }
    Ok(())
}

fn seal(server: &mut ServerConnection, data: &[u8], wire: &mut Vec<u8>) -> Result<()> {
    std::io::Write::write_all(&mut server.writer(), data)?;
    write(server, wire)
}

fn open(client: &mut ClientConnection, wire: &mut Vec<u8>, data: &mut [u8]) -> Result<()> {
    let mut left = wire.as_slice();
    let mut count = 0;
    while !left.is_empty() {
        client.read_tls(&mut left)?;
        client.process_new_packets()?;
        while count < data.len() {
            match std::io::Read::read(&mut client.reader(), &mut data[count..]) {
                Ok(read) => count += read,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    wire.clear();
    ensure!(count == data.len(), "{count} bytes came");
    Ok(())
}
