//! Both sides together: a request streams through, and so does an upgrade.

use super::*;
use crate::codec::h1::ClientConn;
use crate::codec::h1::ClientSettings;

/// Forwards every request over the one connection it was given.
struct Forward(RefCell<Option<Box<ClientConn<tokio::io::DuplexStream>>>>);

impl Service for Forward {
    async fn call(&self, request: Request<Body>) -> Response<Body> {
        let conn = self.0.take().unwrap();
        conn.send(&mut request.into(), |_| ()).await.unwrap_or_else(|_| status(502))
    }

    fn reject(&self, violation: &Violation, _: Option<&Parts>) -> Response<Body> {
        status(violation.status().as_u16())
    }
}

/// Runs a proxy between a client and an upstream that are both the test's.
async fn between<C: Future, U: Future>(
    client: impl FnOnce(tokio::io::DuplexStream) -> C,
    upstream: impl FnOnce(tokio::io::DuplexStream) -> U,
) -> (Ended, C::Output, U::Output) {
    let (near, down) = tokio::io::duplex(1 << 16);
    let (up, far) = tokio::io::duplex(1 << 16);
    let settings = ClientSettings { trailers: Trailers::Forward, ..ClientSettings::default() };
    let conn = Box::new(ClientConn::new(up, Rc::new(settings)));
    let (_trigger, drain) = Drain::new();
    let service = Forward(RefCell::new(Some(conn)));
    let server = serve(down, Rc::new(lenient()), service, drain, Rc::default());
    tokio::join!(server, client(near), upstream(far))
}

async fn read_until(io: &mut tokio::io::DuplexStream, end: &[u8]) -> Vec<u8> {
    let mut got = Vec::new();
    while !got.ends_with(end) {
        got.push(io.read_u8().await.unwrap());
    }
    got
}

#[tokio::test(start_paused = true)]
async fn bodies_stream_both_ways_at_once_with_trailers() {
    let (ended, (), ()) = between(
        |mut client| async move {
            let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            client.write_all(head).await.unwrap();
            for ping in ["1", "2", "3"] {
                client.write_all(format!("1\r\n{ping}\r\n").as_bytes()).await.unwrap();
                read_until(&mut client, format!("1\r\n{ping}\r\n").as_bytes()).await;
            }
            client.write_all(b"0\r\nx-end: yes\r\n\r\n").await.unwrap();
            read_until(&mut client, b"0\r\nx-done: yes\r\n\r\n").await;
        },
        |mut upstream| async move {
            read_until(&mut upstream, b"\r\n\r\n").await;
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            upstream.write_all(head).await.unwrap();
            for _ in 0..3 {
                let chunk = read_until(&mut upstream, b"\r\n").await;
                let data = read_until(&mut upstream, b"\r\n").await;
                upstream.write_all(&[chunk, data].concat()).await.unwrap();
            }
            read_until(&mut upstream, b"0\r\nx-end: yes\r\n\r\n").await;
            upstream.write_all(b"0\r\nx-done: yes\r\n\r\n").await.unwrap();
        },
    )
    .await;
    // the response began before the request had ended
    assert_eq!(ended, Ended::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_accepted_upgrade_is_a_tunnel_and_half_closes() {
    let (ended, answer, received) = between(
        |mut client| async move {
            let head = b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nEARLY";
            client.write_all(head).await.unwrap();
            let head = read_until(&mut client, b"\r\n\r\n").await;
            client.write_all(b"MORE").await.unwrap();
            client.shutdown().await.unwrap();
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.unwrap();
            (String::from_utf8(head).unwrap(), rest)
        },
        |mut upstream| async move {
            let head = read_until(&mut upstream, b"\r\n\r\n").await;
            let head = String::from_utf8(head).unwrap();
            assert!(head.contains("\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"), "{head}");
            let mut early = [0];
            let before = tokio::time::timeout(std::time::Duration::from_secs(5), upstream.read(&mut early));
            assert!(before.await.is_err(), "payload before 101");
            let accept = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nhi ";
            upstream.write_all(accept).await.unwrap();
            let mut received = Vec::new();
            upstream.read_to_end(&mut received).await.unwrap();
            upstream.write_all(&received).await.unwrap();
            received
        },
    )
    .await;
    assert_eq!(received, b"EARLYMORE");
    assert_eq!(answer.1, b"hi EARLYMORE", "the answer still came after the half-close");
    assert!(answer.0.ends_with("\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n"));
    assert_eq!(ended, Ended::Tunnel);
}

#[tokio::test(start_paused = true)]
async fn a_refused_connect_never_forwards_its_early_data() {
    let (ended, answer, received) = between(
        |mut client| async move {
            client.write_all(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nEARLY").await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        },
        |mut upstream| async move {
            read_until(&mut upstream, b"\r\n\r\n").await;
            let refuse = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno";
            upstream.write_all(refuse).await.unwrap();
            let mut received = Vec::new();
            upstream.read_to_end(&mut received).await.unwrap();
            received
        },
    )
    .await;
    assert_eq!(received, b"");
    assert!(answer.ends_with("content-length: 2\r\nconnection: close\r\n\r\nno"), "{answer}");
    assert_eq!(ended, Ended::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_large_body_passes_a_narrow_pipe_unchanged() {
    let data: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
    let sent = data.clone();
    let (_, answer, ()) = between(
        |mut client| async move {
            let head =
                format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", sent.len());
            client.write_all(head.as_bytes()).await.unwrap();
            let (mut read, mut write) = tokio::io::split(client);
            let mut answer = Vec::new();
            let (written, _) = tokio::join!(write.write_all(&sent), read.read_to_end(&mut answer));
            written.unwrap();
            answer
        },
        |mut upstream| async move {
            read_until(&mut upstream, b"\r\n\r\n").await;
            let mut body = vec![0; 1_000_000];
            upstream.read_exact(&mut body).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            upstream.write_all(head.as_bytes()).await.unwrap();
            upstream.write_all(&body).await.unwrap();
        },
    )
    .await;
    assert!(answer.ends_with(&data));
}

#[tokio::test(start_paused = true)]
async fn a_malformed_request_body_is_answered_400_after_it_was_forwarded() {
    let (ended, answer, ()) = between(
        |mut client| async move {
            let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n";
            client.write_all(head).await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        },
        |mut upstream| async move {
            let mut received = Vec::new();
            upstream.read_to_end(&mut received).await.unwrap();
            assert!(!received.ends_with(b"0\r\n\r\n"), "a broken body must not end cleanly");
        },
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(matches!(ended, Ended::Refused(_)));
}
