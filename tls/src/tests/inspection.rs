//! Hellos as clients really send them, in one piece and in many.

use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use super::downstream;
use super::pki::Ca;
use super::upstream;
use crate::ClientTls;
use crate::HandshakeCx;
use crate::Peeked;
use crate::ServerTls;
use crate::TlsTarget;
use crate::Transport;
use crate::inspect::Hello;
use crate::inspect::MAX_HELLO;
use crate::inspect::Sniffed;
use crate::inspect::client_hello;
use crate::transport::Idle;

/// The first flight of a client.
fn flight(sni: &str, alpn: &[&[u8]]) -> Vec<u8> {
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(
        &crate::provider::standard().crypto,
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(rustls::RootCertStore::empty())
    .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let name = sni.to_owned().try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// The same hello cut into records of `size` bytes.
fn in_records(flight: &[u8], size: usize) -> Vec<u8> {
    flight[5..].chunks(size).fold(Vec::new(), |mut out, chunk| {
        out.extend_from_slice(&[22, 3, 1]);
        out.extend_from_slice(&u16::try_from(chunk.len()).unwrap().to_be_bytes());
        out.extend_from_slice(chunk);
        out
    })
}

fn expected() -> Sniffed {
    let alpn = vec![(*b"h2").into(), (*b"http/1.1").into()];
    Sniffed::Hello(Hello { server_name: Some("a.test".into()), alpn, tlcp: false })
}

#[test]
fn a_hello_is_understood_only_when_it_is_complete() {
    let hello = flight("A.Test", &[b"h2", b"http/1.1"]);
    for end in 0..hello.len() {
        assert_eq!(client_hello(&hello[..end]), Sniffed::Incomplete, "{end} bytes");
    }
    assert_eq!(client_hello(&hello), expected());
}

#[test]
fn a_hello_over_many_records_is_the_same_hello() {
    let hello = flight("a.test", &[b"h2", b"http/1.1"]);
    for size in [1, 2, 3, 50, 1000] {
        let cut = in_records(&hello, size);
        assert_eq!(client_hello(&cut), expected(), "records of {size}");
        assert_eq!(client_hello(&cut[..cut.len() - 1]), Sniffed::Incomplete);
    }
}

#[test]
fn plaintext_is_known_by_its_first_byte() {
    assert_eq!(client_hello(b"G"), Sniffed::NotTls);
    assert_eq!(client_hello(b"\x16G"), Sniffed::NotTls);
    assert_eq!(client_hello(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Sniffed::NotTls);
    assert_eq!(client_hello(b""), Sniffed::Incomplete);
    assert_eq!(client_hello(&[22, 3, 1, 0, 0]), Sniffed::NotTls);
    assert_eq!(client_hello(&[22, 3, 1, 0, 4, 2, 0, 0, 0]), Sniffed::NotTls);
}

#[test]
fn a_hello_that_never_ends_is_too_large() {
    assert_eq!(client_hello(&[22, 3, 1, 0x40, 0, 1, 0, 0x40, 0]), Sniffed::TooLarge);
    let endless =
        in_records(&[[0, 0, 0, 0, 0, 1, 0, 0x3f, 0].as_slice(), &[0; 16_000]].concat(), 1);
    assert_eq!(client_hello(&endless[..MAX_HELLO]), Sniffed::TooLarge);
}

#[test]
fn no_byte_of_a_hello_makes_the_reader_panic() {
    let hello = flight("a.test", &[b"h2"]);
    for at in 0..hello.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = hello.clone();
            changed[at] = value;
            let _ = client_hello(&changed);
        }
    }
}

#[tokio::test]
async fn a_hello_in_one_byte_segments_is_inspected_and_then_answered() {
    let ca = Ca::new("ca");
    let server = ServerTls::build(&downstream(vec![ca.leaf(&["a.test"])])).unwrap();
    let client = ClientTls::build(&upstream(vec![])).unwrap();
    // A pipe of one byte: whatever the client writes arrives byte by byte. The way back is wide, as the
    // client does not read while it writes.
    let (from_client, to_server) = tokio::io::simplex(1);
    let (from_server, to_client) = tokio::io::simplex(64 * 1024);
    let left = tokio::io::join(from_client, to_client);
    let right = tokio::io::join(from_server, to_server);
    let accept = async {
        let mut io = Peeked::foreign(left);
        let hello = loop {
            match client_hello(io.peeked()) {
                Sniffed::Incomplete => assert_eq!(io.peek_more(1).await.unwrap(), 1),
                Sniffed::Hello(hello) => break hello,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(hello.server_name.as_deref(), Some("a.test"));
        let mut secured = server.handshake(io, HandshakeCx::default()).await.unwrap();
        assert_eq!(secured.transport.read_u8().await.unwrap(), b'c');
    };
    let connect = async {
        let io = Peeked::foreign(right);
        let mut secured = client.handshake(io, TlsTarget::default()).await.unwrap();
        secured.transport.write_all(b"c").await.unwrap();
        secured.transport.flush().await.unwrap();
    };
    tokio::join!(accept, connect);
}

#[tokio::test]
async fn peeked_bytes_are_read_again_and_may_be_consumed() {
    let (left, mut right) = tokio::io::duplex(64);
    right.write_all(b"PROXY x\r\nGET /").await.unwrap();
    let mut io = Peeked::foreign(left);
    assert_eq!(io.peek_more(5).await.unwrap(), 5);
    assert_eq!(io.peeked(), b"PROXY");
    assert_eq!(io.peek_more(64).await.unwrap(), 9);
    io.consume(9);
    let mut transport = Transport::Plain(io);
    let mut text = [0; 5];
    transport.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"GET /");
}

#[tokio::test]
async fn an_idle_connection_knows_whether_it_is_still_open() {
    let (left, mut right) = tokio::io::duplex(64);
    let mut transport = Transport::Plain(Peeked::foreign(left));
    assert_eq!(transport.check_idle(), Idle::Open);
    right.write_all(b"x").await.unwrap();
    assert_eq!(transport.check_idle(), Idle::Unsolicited);
    drop(right);
    assert_eq!(transport.check_idle(), Idle::Closed);
}
