//! A client of TLCP that hears arbitrary bytes, or arbitrary handshake messages, and trusts everybody.

#![no_main]

use std::sync::Arc;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use palanquin_tlcp::CipherSuite;
use palanquin_tlcp::ClientConfig;
use palanquin_tlcp::Connection;
use palanquin_tlcp::PeerCertificates;
use palanquin_tlcp::Refused;
use palanquin_tlcp::Target;
use palanquin_tlcp::VerifyPeer;
use rustls_pki_types::UnixTime;

#[derive(Debug)]
struct Anybody;

impl VerifyPeer for Anybody {
    fn verify(&self, _: &PeerCertificates, _: Option<&str>, _: UnixTime) -> Result<(), Refused> {
        Ok(())
    }
}

static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    Arc::new(ClientConfig {
        certificate: None,
        protocols: vec![b"h2".to_vec()],
        sessions: None,
        suites: CipherSuite::ALL.to_vec(),
        verifier: Arc::new(Anybody),
    })
});

fuzz_target!(|data: &[u8]| {
    let Some((&mode, rest)) = data.split_first() else { return };
    let target = Target { server_name: Some("server.example".into()), session_key: None };
    let now = UnixTime::now();
    let Ok(mut connection) = Connection::client(Arc::clone(&CONFIG), target, now) else { return };
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
            if connection.process(now).is_err() {
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
