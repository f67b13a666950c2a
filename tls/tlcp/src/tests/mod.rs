//! The engine against itself, and against scripts that break the rules.
#![expect(clippy::cast_possible_truncation, reason = "patterns of bytes")]

mod certificates;
mod handshakes;
mod hostile;
mod script;
mod streams;

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use palanquin_pki::Algorithm;
use palanquin_pki::Authority;
use palanquin_pki::DualPair;
use palanquin_pki::Issued;
use palanquin_pki::Leaf;
use palanquin_sm::key_ops::Exchange;
use palanquin_sm::key_ops::KeyError;
use palanquin_sm::key_ops::KeyOps;
use palanquin_sm::key_ops::Peer;
use palanquin_sm::sm2::PrivateKey;
use palanquin_sm::sm2::PublicKey;
use palanquin_sm::sm2::Signature;
use palanquin_sm::x509;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::UnixTime;
use zeroize::Zeroizing;

use crate::Alert;
use crate::Always;
use crate::CipherSuite;
use crate::ClientAuth;
use crate::ClientConfig;
use crate::ClientSessions;
use crate::Connection;
use crate::DualCertificate;
use crate::Error;
use crate::KeyedCertificate;
use crate::PeerCertificates;
use crate::Refused;
use crate::ServerConfig;
use crate::ServerSessions;
use crate::Target;
use crate::VerifyPeer;

pub(crate) struct Pki {
    pub(crate) root: Authority,
    pub(crate) server: DualPair,
    pub(crate) client: DualPair,
}

/// Made once: keys cost time.
pub(crate) static PKI: LazyLock<Pki> = LazyLock::new(|| {
    let root = Authority::root(Algorithm::Sm2, "SM root").unwrap();
    let server = root.issue_pair(&Leaf::server("server").dns("server.example")).unwrap();
    let client = root.issue_pair(&Leaf::workload("spiffe://td/client")).unwrap();
    Pki { root, server, client }
});

pub(crate) fn der(bytes: &[u8]) -> CertificateDer<'static> {
    CertificateDer::from(bytes.to_vec())
}

pub(crate) fn keyed(issued: &Issued) -> KeyedCertificate {
    let scalar = issued.key().private_scalar().try_into().unwrap();
    let key = PrivateKey::from_bytes(scalar).unwrap();
    KeyedCertificate::new(der(issued.der()), Arc::new(key))
}

pub(crate) fn dual(pair: &DualPair) -> Arc<DualCertificate> {
    Arc::new(DualCertificate::new(keyed(&pair.sign), keyed(&pair.enc), Vec::new()).unwrap())
}

/// Trusts what a root issued, by webpki.
#[derive(Debug)]
pub(crate) struct ByRoot {
    root: CertificateDer<'static>,
    issuers: Vec<Vec<u8>>,
}

impl ByRoot {
    pub(crate) fn new(root: &Authority) -> Arc<Self> {
        let root = der(root.der());
        let subject = webpki::anchor_from_trusted_cert(&root).unwrap().subject.to_vec();
        // webpki gives the contents of the sequence.
        let issuers = vec![[&[0x30, subject.len() as u8][..], &subject].concat()];
        Arc::new(Self { root, issuers })
    }
}

impl VerifyPeer for ByRoot {
    fn verify(
        &self,
        peer: &PeerCertificates,
        server_name: Option<&str>,
        now: UnixTime,
    ) -> Result<(), Refused> {
        let refused = |error: webpki::Error| {
            let alert = match error {
                webpki::Error::UnknownIssuer => Alert::UNKNOWN_CA,
                webpki::Error::CertExpired { .. } => Alert::CERTIFICATE_EXPIRED,
                _ => Alert::BAD_CERTIFICATE,
            };
            Refused::new(alert, error)
        };
        let anchors = [webpki::anchor_from_trusted_cert(&self.root).unwrap()];
        for certificate in [Some(&peer.sign), peer.enc.as_ref()].into_iter().flatten() {
            let leaf = webpki::EndEntityCert::try_from(certificate).map_err(refused)?;
            let usage = match server_name {
                Some(_) => webpki::KeyUsage::server_auth(),
                None => webpki::KeyUsage::client_auth(),
            };
            let chain = &peer.intermediates;
            leaf.verify_for_usage(x509::ALL, &anchors, chain, now, usage, None, None)
                .map_err(refused)?;
            if let Some(name) = server_name {
                let name = ServerName::try_from(name).unwrap();
                leaf.verify_is_valid_for_subject_name(&name).map_err(refused)?;
            }
        }
        Ok(())
    }

    fn issuers(&self) -> &[Vec<u8>] {
        &self.issuers
    }
}

pub(crate) fn server_config() -> ServerConfig {
    ServerConfig {
        certificates: Arc::new(Always(dual(&PKI.server))),
        client_auth: ClientAuth::None,
        protocols: Vec::new(),
        sessions: Some(Arc::new(ServerSessions::new(100, Duration::from_hours(1)))),
        suites: CipherSuite::ALL.to_vec(),
    }
}

pub(crate) fn mutual_server_config() -> ServerConfig {
    ServerConfig { client_auth: ClientAuth::Required(ByRoot::new(&PKI.root)), ..server_config() }
}

pub(crate) fn client_config() -> ClientConfig {
    ClientConfig {
        certificate: None,
        protocols: Vec::new(),
        sessions: Some(Arc::new(ClientSessions::new(100, Duration::from_hours(1)))),
        suites: CipherSuite::ALL.to_vec(),
        verifier: ByRoot::new(&PKI.root),
    }
}

pub(crate) fn mutual_client_config() -> ClientConfig {
    ClientConfig { certificate: Some(dual(&PKI.client)), ..client_config() }
}

pub(crate) fn target() -> Target {
    Target { server_name: Some("server.example".into()), session_key: Some("s:443".into()) }
}

pub(crate) fn client(config: ClientConfig) -> Connection {
    Connection::client(Arc::new(config), target(), UnixTime::now()).unwrap()
}

pub(crate) fn server(config: ServerConfig) -> Connection {
    Connection::server(Arc::new(config))
}

/// Gives bytes to an engine, `step` at a time; what it says is gathered.
pub(crate) fn feed(to: &mut Connection, mut bytes: &[u8], step: usize) -> Result<(), Error> {
    while !bytes.is_empty() {
        let room = to.room();
        let count = room.len().min(bytes.len()).min(step);
        if count == 0 {
            return Ok(());
        }
        room[..count].copy_from_slice(&bytes[..count]);
        bytes = &bytes[count..];
        to.filled(count);
        to.process(UnixTime::now())?;
    }
    Ok(())
}

pub(crate) fn take_output(from: &mut Connection) -> Vec<u8> {
    let bytes = from.output().to_vec();
    from.sent(bytes.len());
    bytes
}

/// The failure of a side, if it fails.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) client: Option<Error>,
    pub(crate) server: Option<Error>,
}

/// Carries bytes between two engines until both are silent.
pub(crate) fn pump(client: &mut Connection, server: &mut Connection, step: usize) -> Outcome {
    let mut outcome = Outcome::default();
    loop {
        let (up, down) = (take_output(client), take_output(server));
        if up.is_empty() && down.is_empty() {
            return outcome;
        }
        if outcome.server.is_none() {
            outcome.server = feed(server, &up, step).err();
        }
        if outcome.client.is_none() {
            outcome.client = feed(client, &down, step).err();
        }
    }
}

/// Shakes hands, which must succeed.
pub(crate) fn connected(
    client_config: &ClientConfig,
    server_config: &ServerConfig,
) -> (Connection, Connection) {
    let (mut client, mut server) = (client(client_config.clone()), server(server_config.clone()));
    let outcome = pump(&mut client, &mut server, usize::MAX);
    assert!(outcome.client.is_none() && outcome.server.is_none(), "{outcome:?}");
    assert!(client.established().is_some() && server.established().is_some());
    (client, server)
}

/// Carries a text over an open connection.
pub(crate) fn carry(from: &mut Connection, to: &mut Connection, text: &[u8]) {
    let mut left = text;
    let mut got = Vec::new();
    while got.len() < text.len() {
        let count = from.write(&[IoSlice::new(left)], 1).unwrap();
        left = &left[count..];
        let bytes = take_output(from);
        let mut at = 0;
        while at < bytes.len() || !to.plaintext().is_empty() {
            let room = to.room();
            let count = room.len().min(bytes.len() - at);
            room[..count].copy_from_slice(&bytes[at..at + count]);
            at += count;
            to.filled(count);
            to.process(UnixTime::now()).unwrap();
            got.extend_from_slice(to.plaintext());
            to.consume(usize::MAX);
            to.process(UnixTime::now()).unwrap();
        }
    }
    assert_eq!(got, text);
}

/// A key in a device: it may only be used on a thread that may block.
#[derive(Debug)]
struct Device {
    key: PrivateKey,
    reactor: std::thread::ThreadId,
}

impl Device {
    fn key(&self) -> &PrivateKey {
        assert_ne!(std::thread::current().id(), self.reactor, "this would hold the event loop");
        &self.key
    }
}

impl KeyOps for Device {
    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    fn sign(&self, id: &[u8], message: &[&[u8]]) -> Result<Signature, KeyError> {
        KeyOps::sign(self.key(), id, message)
    }

    fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        KeyOps::decrypt(self.key(), ciphertext)
    }

    fn agree(&self, peer: &PublicKey) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        KeyOps::agree(self.key(), peer)
    }

    fn initiate(&self, own_id: &[u8]) -> Result<Box<dyn Exchange>, KeyError> {
        self.key().initiate(own_id)
    }

    fn respond(&self, id: &[u8], peer: &Peer<'_>, out: &mut [u8]) -> Result<PublicKey, KeyError> {
        self.key().respond(id, peer, out)
    }

    fn is_blocking(&self) -> bool {
        true
    }
}

pub(crate) fn certificates_of_a_device() -> Arc<DualCertificate> {
    let device = |issued: &Issued| {
        let key =
            PrivateKey::from_bytes(issued.key().private_scalar().try_into().unwrap()).unwrap();
        let device = Device { key, reactor: std::thread::current().id() };
        KeyedCertificate::new(der(issued.der()), Arc::new(device))
    };
    let (sign, enc) = (device(&PKI.server.sign), device(&PKI.server.enc));
    Arc::new(DualCertificate::new(sign, enc, Vec::new()).unwrap())
}
