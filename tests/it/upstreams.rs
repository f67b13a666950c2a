//! Upstreams that cannot be reached, are found by name, or misbehave.

use palanquin_tests::client::Client;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::config::cluster_with;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::raw::ClosedPort;
use palanquin_tests::raw::RawConnection;
use palanquin_tests::raw::RawUpstream;
use palanquin_tests::upstream::Upstream;

#[tokio::test]
async fn an_upstream_that_refuses_connections_is_answered_503_with_the_reason() {
    let closed = ClosedPort::reserve();
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[closed.address])]).await;
    let answer = proxy.get("/").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(
        answer.text(),
        "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
    );
    proxy.stat_is("cluster.blue.upstream_cx_connect_fail", 1).await;
}

#[tokio::test]
async fn a_cluster_without_hosts_is_answered_503() {
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[])]).await;
    let answer = proxy.get("/").await;
    assert_eq!((answer.status(), answer.text()), (503, "no healthy upstream"));
    proxy.stat_is("cluster.blue.upstream_cx_none_healthy", 1).await;
}

#[tokio::test]
async fn an_upstream_that_closes_without_an_answer_is_answered_503() {
    let origin = RawUpstream::start().await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[origin.address])]).await;
    let address = proxy.address().await;
    let (answer, ()) = tokio::join!(palanquin_tests::client::get(address, "/"), async {
        let mut connection = origin.accept().await;
        connection.read_head().await;
    });
    assert_eq!(answer.status(), 503);
    assert_eq!(
        answer.text(),
        "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
    );
}

#[tokio::test]
async fn an_upstream_that_does_not_speak_http_is_answered_502() {
    let origin = RawUpstream::start().await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[origin.address])]).await;
    let address = proxy.address().await;
    let (answer, ()) = tokio::join!(palanquin_tests::client::get(address, "/"), async {
        let mut connection = origin.accept().await;
        connection.read_head().await;
        connection.write("SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
        connection.expect_close().await;
    });
    assert_eq!(answer.status(), 502);
    proxy.stat_is("cluster.blue.upstream_cx_protocol_error", 1).await;
}

#[tokio::test]
async fn a_response_that_is_cut_off_is_cut_off_for_the_client_too() {
    let origin = RawUpstream::start().await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[origin.address])]).await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = origin.accept().await;
    upstream.read_head().await;
    upstream.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    drop(upstream);
    assert!(client.read_head().await.starts_with("HTTP/1.1 200"));
    let rest = client.read_to_end().await;
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn hosts_are_found_by_name() {
    let blue = Upstream::echo("blue").await;
    let port = blue.address.port();
    let fields = format!(
        "
name: blue
connect_timeout: 5s
type: STRICT_DNS
dns_lookup_family: V4_ONLY
load_assignment:
  cluster_name: blue
  endpoints:
  - lb_endpoints:
    - endpoint: {{ address: {{ socket_address: {{ address: localhost, port_value: {port} }} }} }}
"
    );
    let proxy = Proxy::http(Http::to("blue"), &[fields]).await;
    assert_eq!(proxy.get("/").await.text(), "blue");
}

#[tokio::test]
async fn a_request_limit_per_connection_is_kept() {
    let blue = Upstream::echo("blue").await;
    let fields = "
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    common_http_protocol_options: { max_requests_per_connection: 2 }
    explicit_http_config: { http_protocol_options: {} }
";
    let proxy =
        Proxy::http(Http::to("blue"), &[cluster_with("blue", &[blue.address], fields)]).await;
    let mut client = Client::http1(proxy.address().await).await;
    for _ in 0..6 {
        assert_eq!(client.get("/").await.status(), 200);
    }
    let connections: Vec<_> = blue.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0, 1, 1, 2, 2]);
}
