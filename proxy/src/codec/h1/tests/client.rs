//! The upstream side against scripted answers.

use std::cell::Cell;

use super::*;
use crate::codec::SendError;
use crate::codec::SendErrorKind;
use crate::codec::h1::ClientConn;
use crate::codec::h1::ClientSettings;

fn get() -> Request<Body> {
    Request::get("/x?y").header("host", "a").body(Body::Empty).unwrap()
}

/// What came of one request to an upstream that answers with `answer` and then closes or waits.
struct Outcome {
    result: Result<(http::response::Parts, Result<Vec<u8>, BodyError>), SendError>,
    recycled: bool,
    received: String,
}

async fn ask(request: Request<Body>, answer: &[u8], closes: bool) -> Outcome {
    let (io, mut upstream) = tokio::io::duplex(1 << 20);
    let settings = ClientSettings { trailers: Trailers::Forward, ..ClientSettings::default() };
    let conn = Box::new(ClientConn::new(io, Rc::new(settings)));
    let kept = Rc::new(RefCell::new(None));
    let pool = Rc::clone(&kept);
    let exchange = async {
        let response =
            conn.send(&mut request.into(), move |conn| *pool.borrow_mut() = Some(conn)).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes().to_vec());
        Ok((parts, body))
    };
    let upstream = async {
        let mut received = vec![0; 4096];
        let count = upstream.read(&mut received).await.unwrap();
        upstream.write_all(answer).await.unwrap();
        let held = (!closes).then_some(upstream);
        (String::from_utf8_lossy(&received[..count]).into_owned(), held)
    };
    let (result, (received, _held)) = tokio::join!(exchange, upstream);
    let recycled = kept.borrow().is_some();
    Outcome { result, recycled, received }
}

#[tokio::test(start_paused = true)]
async fn sound_responses_give_the_connection_back() {
    for (answer, body) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "ok"),
        ("HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", ""),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", ""),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: y\r\n\r\n", "ok"),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            "ok",
        ),
        ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", "ok"),
    ] {
        let outcome = ask(get(), answer.as_bytes(), false).await;
        assert_eq!(outcome.result.unwrap().1.unwrap(), body.as_bytes(), "{answer:?}");
        assert!(outcome.recycled, "{answer:?}");
        assert_eq!(outcome.received, "GET /x?y HTTP/1.1\r\nhost: a\r\n\r\n");
    }
}

#[tokio::test(start_paused = true)]
async fn doubtful_responses_are_passed_on_but_end_the_connection() {
    for (answer, body) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokEXTRA", "ok"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", "ok"),
        ("HTTP/1.1 204 No Content\r\n\r\nbody", ""),
        ("HTTP/1.1 200 OK\r\nconnection: x, close\r\ncontent-length: 2\r\n\r\nok", "ok"),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", "ok"),
        ("HTTP/1.1 200 OK\r\n\r\nuntil close", "until close"),
    ] {
        let outcome = ask(get(), answer.as_bytes(), true).await;
        assert_eq!(outcome.result.unwrap().1.unwrap(), body.as_bytes(), "{answer:?}");
        assert!(!outcome.recycled, "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn hostile_responses_are_protocol_errors() {
    let endless = "HTTP/1.1 102 Processing\r\n\r\n".repeat(50);
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(90_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\ncontent-length: 3\r\n\r\nabc",
        "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\ncontent-length: 0\n\n",
        "\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nraw",
        "HTTP/1.1 600 X\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 099 X\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 2000 X\r\ncontent-length: 0\r\n\r\n",
        "HTTP/3.7 200 OK\r\ncontent-length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
        &endless,
        &large,
        &many,
    ] {
        let outcome = ask(get(), answer.as_bytes(), false).await;
        let kind = outcome.result.err().map(|error| error.kind);
        let text = &answer[..answer.len().min(80)];
        assert!(matches!(kind, Some(SendErrorKind::Protocol(_))), "{text:?}: {kind:?}");
        assert!(!outcome.recycled, "{text:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_head_is_a_protocol_error_and_not_a_connection_that_ended() {
    let outcome = ask(get(), b"HTTP/1.1 200 OK\r\ncontent-le", true).await;
    let kind = outcome.result.err().map(|error| error.kind);
    assert!(matches!(kind, Some(SendErrorKind::Protocol(_))), "{kind:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_an_error() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n",
    ] {
        let outcome = ask(get(), answer.as_bytes(), true).await;
        assert!(matches!(outcome.result.unwrap().1, Err(BodyError::Protocol(_))), "{answer:?}");
        assert!(!outcome.recycled);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_are_framed_by_their_body() {
    let post = |body| Request::post("/").header("host", "a").body(body).unwrap();
    for (body, expected) in [
        (Body::Empty, "content-length: 0\r\n\r\n"),
        (Body::from("hello"), "content-length: 5\r\n\r\nhello"),
    ] {
        let outcome = ask(post(body), b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false).await;
        assert_eq!(outcome.received, format!("POST / HTTP/1.1\r\nhost: a\r\n{expected}"));
    }
    let connect = Request::connect("a:1").header("host", "b:2").body(Body::Empty).unwrap();
    let outcome =
        ask(connect, b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nraw bytes", true).await;
    assert_eq!(outcome.received, "CONNECT b:2 HTTP/1.1\r\nhost: b:2\r\n\r\n");
    assert_eq!(outcome.result.unwrap().1.unwrap(), b"raw bytes");
}

#[tokio::test(start_paused = true)]
async fn an_early_answer_is_read_and_ends_the_connection() {
    let body = Frames::body(vec![Ok("a"); 50]);
    let request = Request::post("/").header("host", "a").body(body).unwrap();
    let answer = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno";
    let outcome = ask(request, answer, true).await;
    let (parts, body) = outcome.result.unwrap();
    assert_eq!((parts.status.as_u16(), body.unwrap()), (413, b"no".to_vec()));
    assert!(!outcome.recycled);
}

#[tokio::test(start_paused = true)]
async fn a_request_body_that_fails_is_told_apart() {
    let body = Frames::body(vec![Ok("a"), Err(BodyError::Disconnected)]);
    let request = Request::post("/").header("host", "a").body(body).unwrap();
    let error = ask(request, b"", false).await.result.unwrap_err();
    assert_eq!(error.kind, SendErrorKind::RequestBody(BodyError::Disconnected));
}

#[tokio::test(start_paused = true)]
async fn a_reused_connection_that_died_says_so_and_is_found_unusable() {
    let (io, mut upstream) = tokio::io::duplex(1024);
    let conn = Box::new(ClientConn::new(io, Rc::default()));
    let kept = Rc::new(Cell::new(None));
    let pool = Rc::clone(&kept);
    upstream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    conn.send(&mut get().into(), move |conn| pool.set(Some(conn))).await.unwrap();
    let mut conn = kept.take().unwrap();
    let usable = std::future::poll_fn(|cx| std::task::Poll::Ready(conn.is_usable(cx)));
    assert!(usable.await);
    drop(upstream);
    let error = conn.send(&mut get().into(), |_| ()).await.unwrap_err();
    assert!(error.reused, "{error:?}");

    let (io, mut upstream) = tokio::io::duplex(1024);
    let mut conn = ClientConn::new(io, Rc::default());
    upstream.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
    assert!(!std::future::poll_fn(|cx| std::task::Poll::Ready(conn.is_usable(cx))).await);
}
