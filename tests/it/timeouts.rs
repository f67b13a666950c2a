//! Timeouts of routes and connections.

use http::Request;
use palanquin_tests::client;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::raw::RawConnection;
use palanquin_tests::raw::RawUpstream;
use palanquin_tests::upstream::Upstream;
use palanquin_tests::upstream::full;

#[tokio::test]
async fn an_upstream_slower_than_the_route_allows_is_answered_504() {
    let (blue, _gate) = Upstream::gated("blue").await;
    let proxy = Proxy::http(
        Http::routes("- { match: { prefix: / }, route: { cluster: blue, timeout: 0.05s } }"),
        &[cluster("blue", &[blue.address])],
    )
    .await;
    let answer = proxy.get("/").await;
    assert_eq!((answer.status(), answer.text()), (504, "upstream request timeout"));
    proxy.stat_is("cluster.blue.upstream_rq_timeout", 1).await;
}

#[tokio::test]
async fn the_client_can_shorten_the_timeout_of_a_route() {
    let (blue, _gate) = Upstream::gated("blue").await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[blue.address])]).await;
    let request =
        Request::get("/").header("x-envoy-upstream-rq-timeout-ms", "50").body(full("")).unwrap();
    assert_eq!(client::send(proxy.address().await, request).await.status(), 504);
}

#[tokio::test]
async fn a_timeout_after_the_response_began_resets_the_stream() {
    let origin = RawUpstream::start().await;
    let proxy = Proxy::http(
        Http::routes("- { match: { prefix: / }, route: { cluster: blue, timeout: 0.1s } }"),
        &[cluster("blue", &[origin.address])],
    )
    .await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = origin.accept().await;
    upstream.read_head().await;
    upstream.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 200"));
    assert_eq!(client.read_to_end().await, b"half", "and no more: cut off, not ended");
}

#[tokio::test]
async fn an_idle_downstream_connection_is_closed() {
    let proxy = Proxy::http(
        Http::routes("- { match: { prefix: / }, direct_response: { status: 200 } }")
            .manager("common_http_protocol_options: { idle_timeout: 0.05s }"),
        &[],
    )
    .await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.read_message().await.status(), 200);
    client.expect_close().await;
}

#[tokio::test]
async fn a_request_head_that_does_not_end_is_answered_408() {
    let proxy = Proxy::http(
        Http::routes("- { match: { prefix: / }, direct_response: { status: 200 } }")
            .manager("request_headers_timeout: 0.05s"),
        &[],
    )
    .await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client.write("GET / HTTP/1.1\r\nhost:").await;
    assert_eq!(client.read_message().await.status(), 408);
    client.expect_close().await;
}

#[tokio::test]
async fn a_request_that_stalls_is_answered_408_after_the_request_timeout() {
    let blue = Upstream::echo("blue").await;
    let proxy = Proxy::http(
        Http::to("blue").manager("request_timeout: 0.05s"),
        &[cluster("blue", &[blue.address])],
    )
    .await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf").await;
    assert_eq!(client.read_message().await.status(), 408);
}
