//! Our turns of TLCP.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use palanquin_pki::DualPair;
use palanquin_pki::Issued;
use palanquin_sm::keys;
use palanquin_sm::x509;
use palanquin_tlcp::Alert;
use palanquin_tlcp::Always;
use palanquin_tlcp::CipherSuite;
use palanquin_tlcp::ClientAuth;
use palanquin_tlcp::ClientConfig;
use palanquin_tlcp::ClientSessions;
use palanquin_tlcp::Connection;
use palanquin_tlcp::DualCertificate;
use palanquin_tlcp::KeyedCertificate;
use palanquin_tlcp::PeerCertificates;
use palanquin_tlcp::Refused;
use palanquin_tlcp::ServerConfig;
use palanquin_tlcp::ServerSessions;
use palanquin_tlcp::Target;
use palanquin_tlcp::VerifyPeer;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::UnixTime;

use crate::certificates::Certificates;
use crate::clock::timed;
use crate::scenario::Scenario;
use crate::scenario::Turn;
use crate::scenario::Work;

pub(crate) fn take_turn(
    scenario: &Scenario,
    certificates: &Certificates,
    limit: Duration,
) -> Result<Turn> {
    let mut ends = Ends::new(scenario, certificates)?;
    for warm in 0..5 {
        let (server, _client) = ends.shake()?;
        let resumed = server.established().is_some_and(|established| established.resumed);
        ensure!(resumed == (scenario.work == Work::Resumed && warm > 0), "resumption");
    }
    ends.reset();
    let mut rounds = 0;
    if let Work::Records { bytes } = scenario.work {
        let (mut server, mut client) = ends.shake()?;
        ends.reset();
        let data = vec![0; bytes];
        let now = UnixTime::now();
        while ends.spent() < limit {
            let written =
                timed(&mut ends.server_spent, || server.write(&[IoSlice::new(&data)], usize::MAX))?;
            ensure!(written == bytes, "{written} bytes were taken");
            timed(&mut ends.client_spent, || -> Result<()> {
                let mut count = 0;
                carry(&mut server, &mut client, now, |client| {
                    count += client.plaintext().len();
                    client.consume(client.plaintext().len());
                })?;
                ensure!(count == bytes, "{count} bytes came");
                Ok(())
            })?;
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
    fn new(scenario: &Scenario, certificates: &Certificates) -> Result<Self> {
        let judge = |usage| {
            let root = CertificateDer::from(certificates.root.der().to_vec());
            Arc::new(ByRoot { root, usage })
        };
        let suites = vec![CipherSuite::from_name(scenario.suite).context("no such suite")?];
        let resumed = scenario.work == Work::Resumed;
        let lifetime = Duration::from_hours(1);
        let server = ServerConfig {
            certificates: Arc::new(Always(dual(&certificates.server)?)),
            client_auth: if scenario.mutual {
                ClientAuth::Required(judge(webpki::KeyUsage::client_auth))
            } else {
                ClientAuth::None
            },
            protocols: Vec::new(),
            sessions: resumed.then(|| Arc::new(ServerSessions::new(1000, lifetime))),
            suites: suites.clone(),
        };
        let client = ClientConfig {
            certificate: if scenario.mutual { Some(dual(&certificates.client)?) } else { None },
            protocols: Vec::new(),
            sessions: resumed.then(|| Arc::new(ClientSessions::new(8, lifetime))),
            suites,
            verifier: judge(webpki::KeyUsage::server_auth),
        };
        Ok(Self {
            server: Arc::new(server),
            client: Arc::new(client),
            server_spent: Duration::ZERO,
            client_spent: Duration::ZERO,
        })
    }

    fn shake(&mut self) -> Result<(Connection, Connection)> {
        let now = UnixTime::now();
        let (at_server, at_client) = (&mut self.server_spent, &mut self.client_spent);
        let mut server = timed(at_server, || Connection::server(Arc::clone(&self.server)));
        let target = Target { server_name: None, session_key: Some("bench".into()) };
        let mut client =
            timed(at_client, || Connection::client(Arc::clone(&self.client), target, now))?;
        while server.established().is_none() || client.established().is_none() {
            timed(at_server, || carry(&mut client, &mut server, now, |_| ()))?;
            timed(at_client, || carry(&mut server, &mut client, now, |_| ()))?;
        }
        Ok((server, client))
    }

    fn spent(&self) -> Duration {
        self.server_spent + self.client_spent
    }

    fn reset(&mut self) {
        (self.server_spent, self.client_spent) = (Duration::ZERO, Duration::ZERO);
    }
}

/// Gives one end's output to the other.
fn carry(
    from: &mut Connection,
    to: &mut Connection,
    now: UnixTime,
    mut received: impl FnMut(&mut Connection),
) -> Result<()> {
    while !from.output().is_empty() {
        let room = to.room();
        let count = room.len().min(from.output().len());
        ensure!(count > 0, "no room");
        room[..count].copy_from_slice(&from.output()[..count]);
        to.filled(count);
        from.sent(count);
        to.process(now)?;
        received(to);
    }
    Ok(())
}

fn dual(pair: &DualPair) -> Result<Arc<DualCertificate>> {
    let keyed = |issued: &Issued| -> Result<KeyedCertificate> {
        let key = keys::from_pem(issued.key_pem().as_bytes())?;
        let certificate = CertificateDer::from(issued.der().to_vec());
        Ok(KeyedCertificate::new(certificate, Arc::new(key)))
    };
    let dual = DualCertificate::new(keyed(&pair.sign)?, keyed(&pair.enc)?, Vec::new())?;
    Ok(Arc::new(dual))
}

/// Trusts what the root issued: as much as the peers are told to check.
#[derive(Debug)]
struct ByRoot {
    root: CertificateDer<'static>,
    usage: fn() -> webpki::KeyUsage,
}

impl VerifyPeer for ByRoot {
    fn verify(
        &self,
        peer: &PeerCertificates,
        _: Option<&str>,
        now: UnixTime,
    ) -> Result<(), Refused> {
        let refused = |error| Refused::new(Alert::BAD_CERTIFICATE, error);
        let anchors = [webpki::anchor_from_trusted_cert(&self.root).map_err(refused)?];
        for certificate in [Some(&peer.sign), peer.enc.as_ref()].into_iter().flatten() {
            let leaf = webpki::EndEntityCert::try_from(certificate).map_err(refused)?;
            let chain = &peer.intermediates;
            leaf.verify_for_usage(x509::ALL, &anchors, chain, now, (self.usage)(), None, None)
                .map_err(refused)?;
        }
        Ok(())
    }
}
