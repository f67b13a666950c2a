//! The downstream side against raw bytes.

use std::time::Duration;

use super::*;
use crate::codec::h1::HeadLimits;
use crate::codec::h1::Underscores;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async fn refused(request: &str) -> (Vec<u16>, Ended) {
    let talk = talk(Settings::default(), Script::ok(), [request.as_bytes()]).await;
    assert!(talk.seen.iter().all(|seen| seen.body.is_err()), "{request:?} was served");
    (talk.statuses(), talk.ended)
}

#[tokio::test(start_paused = true)]
async fn refuses_as_envoy_does_or_more_strictly() {
    for (request, violation) in [
        ("GET / HTTP/1.1\r\n\r\n", Violation::MissingHost),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n", Violation::MissingHost),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Violation::Codec("more than one host")),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Violation::InvalidAuthority),
        ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", Violation::LowVersion),
        ("GET /\r\n", Violation::LowVersion),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Violation::LowVersion),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", Violation::Fragment),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Violation::InvalidUrl),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Violation::InvalidScheme),
        ("FOO / HTTP/1.1\r\nHost: a\r\n\r\n", Violation::Codec("unknown method")),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", Violation::InvalidCharacters),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", Violation::Codec("header name")),
        ("GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n", Violation::Codec("header name")),
        ("GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", Violation::Codec("line does not end in CRLF")),
        ("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", Violation::InvalidUrl),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", Violation::BodyDisallowed),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            Violation::ContentLengthAndChunked,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            Violation::TransferEncoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            Violation::TransferEncoding,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-forwarded-for\r\n\r\n",
            Violation::ConnectionHeader,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            Violation::Codec("chunk size is not a 64-bit hexadecimal number"),
        ),
    ] {
        let (statuses, ended) = refused(request).await;
        assert_eq!(ended, Ended::Refused(violation), "{request:?}");
        assert_eq!(statuses, [violation.status().as_u16()], "{request:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn bounds_the_head_in_bytes_and_fields() {
    let line = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(61_500));
    assert_eq!(refused(&line).await, (vec![431], Ended::Refused(Violation::HeadTooLarge)));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: 1\r\n".repeat(100));
    assert_eq!(refused(&many).await, (vec![431], Ended::Refused(Violation::TooManyHeaders)));

    let limits = HeadLimits { max_fields: 500, ..HeadLimits::default() };
    let settings = Settings { limits, ..Settings::default() };
    assert_eq!(talk(settings, Script::ok(), [many.as_bytes()]).await.statuses(), [200]);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_in_time_is_answered_408() {
    let talk = talk(lenient(), Script::ok(), [&b"GET / HTTP/1.1\r\n"[..]]).await;
    assert_eq!(talk.statuses(), [408]);
    assert!(talk.text.ends_with("\r\n\r\nrequest header timeout"));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_without_a_word() {
    let talk = talk(Settings::default(), Script::ok(), []).await;
    assert_eq!((talk.text.as_str(), talk.ended), ("", Ended::Idle));
}

#[tokio::test(start_paused = true)]
async fn underscores_in_names_follow_the_setting() {
    let request = &b"GET / HTTP/1.1\r\nHost: a\r\nx_y: 1\r\n\r\n"[..];
    for (underscores, status, field) in [
        (Underscores::Allow, 200, Some(&b"1"[..])),
        (Underscores::Drop, 200, None),
        (Underscores::Reject, 400, None),
    ] {
        let settings = Settings { underscores, ..Settings::default() };
        let talk = talk(settings, Script::ok(), [request]).await;
        assert_eq!(talk.statuses(), [status]);
        assert_eq!(talk.seen.first().and_then(|seen| seen.field("x_y")), field);
    }
}

#[tokio::test(start_paused = true)]
async fn hop_by_hop_fields_end_here() {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-A, te\r\nX-A: 1\r\nKeep-Alive: 3\r\n\
        Upgrade: websocket\r\nTE: gzip, trailers\r\nX-B: 2\r\n\r\n";
    let talk = talk(Settings::default(), Script::ok(), [&request[..]]).await;
    let names: Vec<_> = talk.seen[0].fields.iter().map(|(n, v)| (n.as_str(), &v[..])).collect();
    assert_eq!(names, [("host", &b"a"[..]), ("te", b"trailers"), ("x-b", b"2")]);
    assert_eq!(talk.seen[0].upgrade, None);
    assert_eq!(talk.statuses(), [200]);
}

#[tokio::test(start_paused = true)]
async fn expect_is_answered_by_the_proxy_before_the_body() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    let talk = talk(Settings::default(), Script::ok(), [&head[..], b"hi"]).await;
    assert_eq!(talk.statuses(), [100, 200]);
    assert_eq!(talk.seen[0].field("expect"), None);
    assert_eq!(talk.seen[0].body, Ok(b"hi".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn trailers_are_handed_over_when_enabled() {
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-T: 1\r\n\r\n";
    let seen = talk(lenient(), Script::ok(), [&request[..]]).await.seen;
    assert_eq!(seen[0].trailers.as_ref().unwrap()["x-t"], "1");
    let seen = talk(Settings::default(), Script::ok(), [&request[..]]).await.seen;
    assert_eq!((seen[0].trailers.as_ref(), &seen[0].body), (None, &Ok(b"x".to_vec())));
}

#[tokio::test(start_paused = true)]
async fn http_10_gets_no_chunks_and_keeps_alive_only_when_it_asks() {
    let stream = || Script::new(|_| Response::new(Frames::body(vec![Ok("a"), Ok("b")])));
    let request = b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
    let answer = talk(lenient(), stream(), [&request[..]]).await;
    assert_eq!(answer.text, "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nab");
    let answer = talk(lenient(), Script::ok(), [&request[..]]).await;
    assert_eq!(
        answer.text,
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok"
    );
    assert_eq!(answer.ended, Ended::Idle);
    let answer = talk(lenient(), Script::ok(), [&b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"[..]]).await;
    assert_eq!(answer.ended, Ended::Closed);
}

#[tokio::test(start_paused = true)]
async fn responses_are_framed_by_their_body() {
    let head = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (request, answer, expected) in [
        (GET, (|| Response::new(Body::Empty)) as fn() -> _, "content-length: 0\r\n\r\n"),
        (GET, || status(204), "204 No Content\r\n\r\n"),
        (GET, || status(304), "304 Not Modified\r\n\r\n"),
        (head, || Response::new(Body::from("four")), "200 OK\r\ncontent-length: 4\r\n\r\n"),
        (
            GET,
            || Response::new(Frames::body(vec![Ok("hello"), Ok("world!")])),
            "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\nworld!\r\n0\r\n\r\n",
        ),
        (
            GET,
            || {
                let mut response = Response::new(Body::from("ok"));
                for (name, value) in
                    [("content-length", "7"), ("transfer-encoding", "chunked"), ("upgrade", "x")]
                {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
                response
            },
            "200 OK\r\ncontent-length: 2\r\n\r\nok",
        ),
    ] {
        let talk = talk(Settings::default(), Script::new(move |_| answer()), [request]).await;
        assert!(talk.text.ends_with(expected), "{:?} {expected:?}", talk.text);
        assert_eq!(talk.ended, Ended::Idle, "the connection lives on");
        assert_eq!(talk.meter.sent.get(), talk.text.len() as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_never_ends_cleanly() {
    for (frames, length, written) in [
        (vec![Ok("ab"), Err(BodyError::Reset)], None, "\r\n\r\n2\r\nab\r\n"),
        (vec![Ok("ab")], Some("3"), "content-length: 3\r\n\r\nab"),
        (vec![Ok("ab"), Ok("cd")], Some("3"), "content-length: 3\r\n\r\nab"),
    ] {
        let answer = move |_: &Seen| {
            let mut response = Response::new(Frames::body(frames.clone()));
            if let Some(length) = length {
                response.headers_mut().insert("content-length", length.parse().unwrap());
            }
            response
        };
        let talk = talk(Settings::default(), Script::new(answer), [GET]).await;
        assert_eq!(talk.ended, Ended::Aborted);
        assert!(talk.text.ends_with(written), "{:?}", talk.text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_overtakes_the_request_body_ends_the_connection() {
    let mut script = Script::ok();
    script.reads_body = false;
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc";
    let talk = talk(Settings::default(), script, [&head[..], b"defghi", GET]).await;
    assert_eq!(talk.ended, Ended::Closed);
    assert_eq!(talk.text, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    assert_eq!(talk.seen.len(), 1, "no byte of the body was read as a request");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_connection_is_announced() {
    let twice = [GET, GET, GET].concat();
    let settings = Settings { max_requests: Some(2), ..Settings::default() };
    let talked = talk(settings, Script::ok(), [&twice[..]]).await;
    assert_eq!((talked.seen.len(), talked.ended), (2, Ended::Closed));
    assert!(talked.text.ends_with("connection: close\r\n\r\nok"));

    let close = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let talked = talk(Settings::default(), Script::ok(), [&[close, GET].concat()[..]]).await;
    assert_eq!((talked.seen.len(), talked.ended), (1, Ended::Closed));
}

#[tokio::test(start_paused = true)]
async fn draining_announces_then_closes_idle_connections() {
    let (mut client, io) = tokio::io::duplex(1024);
    let (trigger, drain) = Drain::new();
    let server = serve(io, Rc::new(Settings::default()), Script::ok(), drain, Rc::default());
    let speak = async {
        trigger.announce();
        client.write_all(GET).await.unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text
    };
    let (ended, text) = tokio::join!(server, speak);
    assert_eq!(ended, Ended::Closed);
    assert!(text.contains("connection: close"));

    let (_client, io) = tokio::io::duplex(1024);
    let (trigger, drain) = Drain::new();
    let server = serve(io, Rc::new(Settings::default()), Script::ok(), drain, Rc::default());
    let speak = async { trigger.close_idle() };
    assert_eq!(tokio::join!(server, speak).0, Ended::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_drops_the_service() {
    struct Never(Rc<std::cell::Cell<bool>>);
    impl Drop for Never {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    impl Service for Never {
        async fn call(&self, _: Request<Body>) -> Response<Body> {
            let _guard = Self(Rc::clone(&self.0));
            std::future::pending().await
        }
        fn reject(&self, _: &Violation, _: Option<&Parts>) -> Response<Body> {
            status(400)
        }
    }
    let dropped = Rc::new(std::cell::Cell::new(false));
    let (mut client, io) = tokio::io::duplex(1024);
    let (_trigger, drain) = Drain::new();
    let service = Never(Rc::clone(&dropped));
    let server = serve(io, Rc::new(Settings::default()), service, drain, Rc::default());
    let speak = async {
        client.write_all(GET).await.unwrap();
        tokio::task::yield_now().await;
        assert!(!dropped.get());
        drop(client);
    };
    let (ended, ()) = tokio::join!(server, speak);
    assert_eq!(ended, Ended::ClientGone);
    assert!(dropped.get());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_given_up() {
    let (mut client, io) = tokio::io::duplex(64);
    let (_trigger, drain) = Drain::new();
    let script = Script::new(|_| Response::new(Body::from("x".repeat(100_000))));
    let settings =
        Settings { write_stall_timeout: Some(Duration::from_secs(5)), ..Settings::default() };
    let server = serve(io, Rc::new(settings), script, drain, Rc::default());
    let (ended, _) = tokio::join!(server, client.write_all(GET));
    assert_eq!(ended, Ended::Stalled);
}

#[tokio::test(start_paused = true)]
async fn a_refused_upgrade_hands_over_no_payload() {
    let script = Script::new(|seen| {
        assert_eq!(seen.upgrade.as_deref(), Some("websocket"));
        status(403)
    });
    let request =
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket, h2c\r\nConnection: upgrade\r\n\r\n";
    let talk = talk(Settings::default(), script, [&[&request[..], GET].concat()[..], GET]).await;
    assert_eq!((talk.seen.len(), talk.ended), (1, Ended::Closed));
    assert_eq!(
        talk.text,
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
}

#[test]
fn an_idle_connection_is_small() {
    let (_trigger, drain) = Drain::new();
    let (_client, io) = tokio::io::duplex(1);
    let future = serve(io, Rc::new(Settings::default()), Script::ok(), drain, Rc::default());
    let bytes = size_of_val(&future);
    assert!(bytes < 3 * 1024, "{bytes} bytes");
}
