//! HTTP/1.1 on both sides: framing, connections, streaming.

use palanquin_tests::client::Client;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::raw::RawConnection;
use palanquin_tests::raw::RawUpstream;
use palanquin_tests::upstream::Upstream;
use palanquin_tests::upstream::full;

#[tokio::test]
async fn a_connection_serves_many_requests_until_the_client_closes_it() {
    let blue = Upstream::echo("blue").await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[blue.address])]).await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    for path in ["/1", "/2", "/3"] {
        client.write(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        assert_eq!(client.read_message().await.text(), "blue");
    }
    client.finish().await;
    client.expect_close().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let blue = Upstream::echo("blue").await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[blue.address])]).await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client
        .write(
            "POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\none\
             POST /2 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n\
             GET /3 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        )
        .await;
    for body in ["one", "two", "blue"] {
        assert_eq!(client.read_message().await.text(), body);
    }
    client.expect_close().await;
}

#[tokio::test]
async fn bodies_stream_both_ways_before_they_end() {
    let origin = RawUpstream::start().await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[origin.address])]).await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client
        .write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        .await;
    let mut upstream = origin.accept().await;
    let head = upstream.read_head().await;
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert_eq!(upstream.read_exact(6).await, b"1\r\na\r\n", "before the request ends");
    upstream.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nb\r\n").await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 200"));
    assert_eq!(client.read_exact(6).await, b"1\r\nb\r\n", "before the response ends");
    client.write("0\r\n\r\n").await;
    assert_eq!(upstream.read_exact(5).await, b"0\r\n\r\n");
    upstream.write("0\r\n\r\n").await;
    assert_eq!(client.read_exact(5).await, b"0\r\n\r\n");
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let blue = Upstream::echo("blue").await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[blue.address])]).await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|index| (index % 251) as u8).collect();
    let request = http::Request::post("/").body(full(body.clone())).unwrap();
    let answer = Client::http1(proxy.address().await).await.send(request).await;
    assert!(answer.body == body, "{} bytes came back", answer.body.len());
}

#[tokio::test]
async fn an_upload_waits_for_an_upstream_that_does_not_read() {
    let origin = RawUpstream::start().await;
    let proxy = Proxy::http(
        Http::to("blue").listener("per_connection_buffer_limit_bytes: 65536"),
        &[cluster("blue", &[origin.address])],
    )
    .await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    let size = 64 << 20;
    client.write(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n")).await;
    let mut upstream = origin.accept().await;
    upstream.read_head().await;
    // Nobody reads: the kernel's buffers and the proxy's fill, then writing stops.
    let chunk = vec![0; 1 << 20];
    let mut written = 0;
    while client.try_write(&chunk).await {
        written += chunk.len();
        assert!(written < size, "the proxy took the whole body in");
    }
}

#[tokio::test]
async fn a_response_without_length_ends_with_the_upstreams_connection() {
    let origin = RawUpstream::start().await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[origin.address])]).await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = origin.accept().await;
    upstream.read_head().await;
    upstream.write("HTTP/1.1 200 OK\r\n\r\nall of it").await;
    drop(upstream);
    let answer = client.read_message().await;
    assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.text(), "all of it");
}

#[tokio::test]
async fn http_10_is_refused_unless_it_is_allowed() {
    let blue = Upstream::echo("blue").await;
    let clusters = [cluster("blue", &[blue.address])];
    let strict = Proxy::http(Http::to("blue"), &clusters).await;
    let mut client = RawConnection::connect(strict.address().await).await;
    client.write("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.read_message().await.status(), 426);
    let allowed = Http::to("blue")
        .manager("http_protocol_options: { accept_http_10: true, default_host_for_http_10: old }");
    let lenient = Proxy::http(allowed, &clusters).await;
    let mut client = RawConnection::connect(lenient.address().await).await;
    client.write("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.read_message().await.status(), 200);
    client.expect_close().await;
    assert_eq!(blue.only().host(), "old");
}

#[tokio::test]
async fn expect_100_continue_is_answered_before_the_body_is_sent() {
    let blue = Upstream::echo("blue").await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[blue.address])]).await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client
        .write("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n")
        .await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 100"));
    client.write("body").await;
    assert_eq!(client.read_message().await.text(), "body");
}
