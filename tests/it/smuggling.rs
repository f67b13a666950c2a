//! Requests that two parsers could read in two ways never reach an upstream.

use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::raw::Payload;
use palanquin_tests::raw::RawConnection;
use palanquin_tests::raw::RawUpstream;
use palanquin_tests::upstream::Upstream;

/// Each is refused with 400 or by closing the connection.
const AMBIGUOUS: &[(&str, &str)] = &[
    (
        "length and chunks",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nbody!",
    ),
    ("a list of lengths", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4, 5\r\n\r\nbody!"),
    ("a signed length", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +4\r\n\r\nbody"),
    ("a hexadecimal length", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x4\r\n\r\nbody"),
    (
        "an unknown coding last",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "an unknown coding",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a space before the colon", "GET / HTTP/1.1\r\nhost: a\r\nx-a : b\r\n\r\n"),
    ("a folded line", "GET / HTTP/1.1\r\nhost: a\r\nx-a: b\r\n c\r\n\r\n"),
    ("a NUL in a value", "GET / HTTP/1.1\r\nhost: a\r\nx-a: b\0c\r\n\r\n"),
    ("a CR in a value", "GET / HTTP/1.1\r\nhost: a\r\nx-a: b\rc\r\n\r\n"),
    ("no name", "GET / HTTP/1.1\r\nhost: a\r\n: b\r\n\r\n"),
    ("no host", "GET / HTTP/1.1\r\nx-a: b\r\n\r\n"),
    ("two hosts", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
    ("a space in the target", "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n"),
    (
        "a chunk size that overflows",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n10000000000000000\r\n",
    ),
    (
        "a chunk size with a sign",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n\r\n",
    ),
];

#[tokio::test]
async fn an_ambiguous_request_is_refused_and_what_follows_it_is_not_served() {
    let blue = Upstream::echo("blue").await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[blue.address])]).await;
    let address = proxy.address().await;
    for (what, bytes) in AMBIGUOUS {
        let mut client = RawConnection::connect(address).await;
        client.write(bytes).await;
        client.write("GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n").await;
        if let Some(answer) = client.try_read_message(Payload::AsFramed).await {
            assert!(matches!(answer.status(), 400 | 501), "{what}: {}", answer.start);
            client.expect_close().await;
        }
    }
    assert!(blue.seen().iter().all(|seen| seen.path() != "/smuggled"));
    assert_eq!(proxy.get("/").await.status(), 200, "others are served");
}

#[tokio::test]
async fn a_response_with_length_and_chunks_is_not_passed_on_as_both() {
    let origin = RawUpstream::start().await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[origin.address])]).await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = origin.accept().await;
    upstream.read_head().await;
    upstream
        .write(
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        )
        .await;
    let answer = client.read_message().await;
    assert!(
        answer.field("content-length").is_none() || answer.field("transfer-encoding").is_none(),
        "{answer:?}"
    );
}

#[tokio::test]
async fn bytes_after_a_response_are_not_the_answer_to_the_next_request() {
    let origin = RawUpstream::start().await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[origin.address])]).await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client.write("GET /1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut first = origin.accept().await;
    first.read_head().await;
    first
        .write("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
        .await;
    assert_eq!(client.read_message().await.text(), "1");
    client.write("GET /2 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut second = origin.accept().await;
    assert!(second.read_head().await.starts_with("GET /2 "));
    second.write("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2").await;
    assert_eq!(client.read_message().await.text(), "2");
}

#[tokio::test]
async fn a_header_cannot_pass_for_one_of_the_proxys_own() {
    let blue = Upstream::echo("blue").await;
    let listener = Http::to("blue").manager("use_remote_address: true");
    let proxy = Proxy::http(listener, &[cluster("blue", &[blue.address])]).await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client
        .write("GET / HTTP/1.1\r\nhost: a\r\nx-envoy-internal: true\r\nx-forwarded-client-cert: URI=spiffe://x\r\nx-forwarded-proto: https\r\n\r\n")
        .await;
    client.read_message().await;
    let seen = blue.only();
    assert_eq!(seen.header("x-forwarded-client-cert"), None);
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
}
