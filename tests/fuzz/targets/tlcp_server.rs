//! A server of TLCP that hears arbitrary bytes, or arbitrary handshake messages.

#![no_main]

use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use palanquin_pki::Algorithm;
use palanquin_pki::Authority;
use palanquin_pki::Issued;
use palanquin_pki::Leaf;
use palanquin_sm::sm2::PrivateKey;
use palanquin_tlcp::Always;
use palanquin_tlcp::CipherSuite;
use palanquin_tlcp::ClientAuth;
use palanquin_tlcp::Connection;
use palanquin_tlcp::DualCertificate;
use palanquin_tlcp::KeyedCertificate;
use palanquin_tlcp::ServerConfig;
use palanquin_tlcp::ServerSessions;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::UnixTime;

static CONFIGS: LazyLock<[Arc<ServerConfig>; 2]> = LazyLock::new(|| {
    let root = Authority::root(Algorithm::Sm2, "root").unwrap();
    let pair = root.issue_pair(&Leaf::server("server")).unwrap();
    let keyed = |issued: &Issued| {
        let key = PrivateKey::from_bytes(issued.key().private_scalar().try_into().unwrap());
        let certificate = CertificateDer::from(issued.der().to_vec());
        KeyedCertificate::new(certificate, Arc::new(key.unwrap()))
    };
    let dual = DualCertificate::new(keyed(&pair.sign), keyed(&pair.enc), Vec::new()).unwrap();
    let config = |suites: &[CipherSuite]| {
        Arc::new(ServerConfig {
            certificates: Arc::new(Always(Arc::new(dual.clone()))),
            client_auth: ClientAuth::None,
            protocols: vec![b"h2".to_vec()],
            sessions: Some(Arc::new(ServerSessions::new(16, Duration::from_secs(60)))),
            suites: suites.to_vec(),
        })
    };
    [config(&CipherSuite::ALL), config(&[CipherSuite::EcdheGcm, CipherSuite::EcdheCbc])]
});

fuzz_target!(|data: &[u8]| {
    let Some((&mode, rest)) = data.split_first() else { return };
    let mut connection = Connection::server(Arc::clone(&CONFIGS[usize::from(mode & 1)]));
    let bytes = if mode & 2 == 0 { rest.to_vec() } else { as_messages(rest) };
    for piece in bytes.chunks(1 + usize::from(mode >> 2) * 64) {
        let mut piece = piece;
        while !piece.is_empty() {
            let room = connection.room();
            let count = room.len().min(piece.len());
            if count == 0 {
                return;
            }
            room[..count].copy_from_slice(&piece[..count]);
            piece = &piece[count..];
            connection.filled(count);
            if connection.process(UnixTime::now()).is_err() {
                return;
            }
            connection.sent(connection.output().len());
            connection.consume(usize::MAX);
        }
    }
});

/// Puts records and headers of messages around the input: a type, two bytes of length, the body.
fn as_messages(mut input: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((&[kind, high, low], rest)) = input.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(rest.len()).min(16_000);
        let (body, rest) = rest.split_at(length);
        input = rest;
        let size = (body.len() as u32).to_be_bytes();
        let record = (body.len() as u16 + 4).to_be_bytes();
        out.extend_from_slice(&[22, 1, 1, record[0], record[1], kind, size[1], size[2], size[3]]);
        out.extend_from_slice(body);
    }
    out
}
