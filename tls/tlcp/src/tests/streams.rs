//! The stream over tokio.

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::DuplexStream;
use tokio::io::duplex;

use super::*;
use crate::stream;
use crate::stream::HandshakeError;
use crate::stream::TlcpStream;

async fn pair(size: usize) -> (TlcpStream<DuplexStream>, TlcpStream<DuplexStream>) {
    let (near, far) = duplex(size);
    let client = stream::connect(near, Arc::new(mutual_client_config()), target());
    let server = stream::accept(far, Arc::new(mutual_server_config()));
    let (client, server) = tokio::join!(client, server);
    (client.unwrap(), server.unwrap())
}

#[tokio::test]
async fn a_stream_carries_what_is_written_through_a_narrow_pipe() {
    let (mut client, mut server) = pair(1000).await;
    let sent: Vec<u8> = (0..300_000u32).map(|number| (number * 13) as u8).collect();
    let expected = sent.clone();
    let writing = async move {
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let reading = async move {
        let mut got = Vec::new();
        server.read_to_end(&mut got).await.unwrap();
        server.write_all(b"thanks").await.unwrap();
        server.shutdown().await.unwrap();
        got
    };
    let (answer, got) = tokio::join!(writing, reading);
    assert!(got == expected);
    assert_eq!(answer, b"thanks");
}

#[tokio::test]
async fn an_end_without_goodbye_is_an_error() {
    let (client, mut server) = pair(100_000).await;
    drop(client);
    let mut got = Vec::new();
    let error = server.read_to_end(&mut got).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn many_small_slices_make_one_record() {
    let (mut client, mut server) = pair(100_000).await;
    assert!(tokio::io::AsyncWrite::is_write_vectored(&client));
    let piece = [5u8; 10];
    let slices = vec![IoSlice::new(&piece); 100];
    assert_eq!(client.write_vectored(&slices).await.unwrap(), 1000);
    client.flush().await.unwrap();
    let mut buffer = [0; 4096];
    assert_eq!(server.read(&mut buffer).await.unwrap(), 1000);
}

#[tokio::test]
async fn what_came_before_a_broken_record_is_read_and_then_the_error() {
    let (near, mut wire) = duplex(100_000);
    let (far, mut other_wire) = duplex(100_000);
    let client = stream::connect(near, Arc::new(client_config()), target());
    let server = stream::accept(far, Arc::new(server_config()));
    let carrying = async {
        let _ = tokio::io::copy_bidirectional(&mut wire, &mut other_wire).await;
    };
    let both = async { tokio::join!(client, server) };
    let (client, server) = tokio::select! {
        both = both => both,
        () = carrying => unreachable!("both ends are open"),
    };
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    client.write_all(b"good").await.unwrap();
    client.flush().await.unwrap();
    let mut record = vec![0; 5 + 8 + 4 + 16];
    wire.read_exact(&mut record).await.unwrap();
    let mut bad = record.clone();
    bad[12] ^= 1;
    other_wire.write_all(&[record, bad].concat()).await.unwrap();
    let mut buffer = [0; 100];
    assert_eq!(server.read(&mut buffer).await.unwrap(), 4);
    let error = server.read(&mut buffer).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("cannot be opened"), "{error}");
}

#[tokio::test]
async fn both_sides_learn_of_a_failed_handshake() {
    let (near, far) = duplex(100_000);
    let client = stream::connect(near, Arc::new(client_config()), target());
    let server = stream::accept(far, Arc::new(mutual_server_config()));
    let (client, server) = tokio::join!(client, server);
    assert!(matches!(server, Err(HandshakeError::Protocol(Error::NoPeerCertificate))));
    let failed = client.unwrap_err();
    assert!(
        matches!(failed, HandshakeError::Protocol(Error::AlertReceived(Alert::HANDSHAKE_FAILURE))),
        "{failed:?}"
    );
}

/// A key that says it blocks is used on another thread, so that one thread may carry both sides.
#[tokio::test]
async fn a_key_that_blocks_does_not_hold_the_event_loop() {
    let slow = certificates_of_a_device();
    let server = ServerConfig { certificates: Arc::new(Always(slow)), ..server_config() };
    let (near, far) = duplex(100_000);
    let client = stream::connect(near, Arc::new(client_config()), target());
    let server = stream::accept(far, Arc::new(server));
    let (client, server) = tokio::join!(client, server);
    assert!(client.is_ok() && server.is_ok());
}
