//! Spans: what is exported, what is propagated, and what it must never cost.

use std::net::SocketAddr;

use http::Request;
use palanquin_tests::client;
use palanquin_tests::client::Client;
use palanquin_tests::config::HTTP2;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::config::cluster_with;
use palanquin_tests::otlp::Collector;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::raw::ClosedPort;
use palanquin_tests::time::eventually;
use palanquin_tests::upstream::Upstream;
use palanquin_tests::upstream::full;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traced(sampling: &str) -> Http {
    Http::to("blue").manager(&format!(
        "
tracing:
  {sampling}
  provider:
    name: envoy.tracers.opentelemetry
    typed_config:
      '@type': type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
      grpc_service: {{ envoy_grpc: {{ cluster_name: collector }} }}
      service_name: shop
"
    ))
}

async fn world(listener: Http, collector: SocketAddr) -> (Proxy, Upstream) {
    let blue = Upstream::echo("blue").await;
    let clusters =
        [cluster("blue", &[blue.address]), cluster_with("collector", &[collector], HTTP2)];
    (Proxy::http(listener, &clusters).await, blue)
}

fn with_parent(flags: &str) -> Request<palanquin_tests::upstream::Body> {
    let parent = format!("00-{TRACE}-{PARENT}-{flags}");
    let request = Request::get("/p?q=1").header("traceparent", parent);
    request.header("tracestate", "vendor=1").body(full("")).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[tokio::test]
async fn a_request_gives_a_server_and_a_client_span_in_the_clients_trace() {
    let collector = Collector::start().await;
    let (proxy, blue) = world(traced(""), collector.address).await;
    client::send(proxy.address().await, with_parent("01")).await;
    let (server, client) = collector.request().await;
    assert_eq!(hex(&server.span.trace_id), TRACE);
    assert_eq!(hex(&client.span.trace_id), TRACE);
    assert_eq!(hex(&server.span.parent_span_id), PARENT);
    assert_eq!(client.span.parent_span_id, server.span.span_id);
    assert_eq!(server.resource("service.name").as_deref(), Some("shop"));
    assert_eq!(server.attribute("http.response.status_code").as_deref(), Some("200"));
    assert_eq!(server.attribute("url.path").as_deref(), Some("/p"));
    let seen = blue.only();
    let expected = format!("00-{TRACE}-{}-01", hex(&client.span.span_id));
    assert_eq!(seen.header("traceparent"), Some(expected.as_str()));
    assert_eq!(seen.header("tracestate"), Some("vendor=1"));
}

#[tokio::test]
async fn a_request_without_a_trace_begins_one() {
    let collector = Collector::start().await;
    let (proxy, blue) = world(traced(""), collector.address).await;
    proxy.get("/").await;
    let (server, client) = collector.request().await;
    assert!(server.span.parent_span_id.is_empty());
    let seen = blue.only();
    let traceparent = seen.header("traceparent").unwrap();
    let (trace, span) = (hex(&server.span.trace_id), hex(&client.span.span_id));
    assert_eq!(traceparent, format!("00-{trace}-{span}-01"));
}

#[tokio::test]
async fn a_trace_that_is_not_sampled_is_propagated_but_not_exported() {
    let collector = Collector::start().await;
    let (proxy, blue) = world(traced(""), collector.address).await;
    let mut connection = Client::http1(proxy.address().await).await;
    connection.send(with_parent("00")).await;
    let seen = blue.only();
    let traceparent = seen.header("traceparent").unwrap();
    assert!(traceparent.starts_with(&format!("00-{TRACE}-")), "{traceparent}");
    assert!(traceparent.ends_with("-00"), "{traceparent}");
    // The next one is sampled: what the first would have sent would have come before it.
    connection.get("/").await;
    let spans = collector.spans(2).await;
    assert!(spans.iter().all(|received| hex(&received.span.trace_id) != TRACE));
}

#[tokio::test]
async fn nothing_is_exported_with_a_sampling_of_zero() {
    let collector = Collector::start().await;
    let (proxy, blue) = world(traced("random_sampling: { value: 0 }"), collector.address).await;
    proxy.get("/").await;
    let seen = blue.only();
    assert!(seen.header("traceparent").is_none_or(|text| text.ends_with("-00")));
    proxy.stat_is("http.ingress.tracing.not_traceable", 1).await;
    assert!(collector.so_far().is_empty());
}

#[tokio::test]
async fn an_invalid_traceparent_is_replaced() {
    let collector = Collector::start().await;
    let (proxy, blue) = world(traced(""), collector.address).await;
    let invalid = format!("00-{}-{PARENT}-01", "0".repeat(32));
    let request = Request::get("/").header("traceparent", &invalid).body(full("")).unwrap();
    client::send(proxy.address().await, request).await;
    let (server, _) = collector.request().await;
    assert!(server.span.parent_span_id.is_empty());
    let seen = blue.only();
    assert!(seen.header("traceparent").unwrap().contains(&hex(&server.span.trace_id)));
}

#[tokio::test]
async fn a_failed_request_is_an_error_on_its_span() {
    let collector = Collector::start().await;
    let closed = ClosedPort::reserve();
    let clusters = [
        cluster("blue", &[closed.address]),
        cluster_with("collector", &[collector.address], HTTP2),
    ];
    let proxy = Proxy::http(traced(""), &clusters).await;
    proxy.get("/").await;
    let (server, _) = collector.request().await;
    assert_eq!(server.attribute("http.response.status_code").as_deref(), Some("503"));
    assert_eq!(server.attribute("response_flags").as_deref(), Some("UF"));
    let status = server.span.status.unwrap();
    assert_eq!(status.code, 2, "ERROR");
}

#[tokio::test]
async fn a_collector_that_is_away_costs_no_request() {
    let closed = ClosedPort::reserve();
    let (proxy, _blue) = world(traced(""), closed.address).await;
    let mut connection = Client::http1(proxy.address().await).await;
    for _ in 0..1000 {
        assert_eq!(connection.get("/").await.status(), 200);
    }
    eventually("spans are counted as dropped", async || {
        (proxy.stat("tracing.opentelemetry.spans_dropped").await > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn spans_still_on_their_way_are_exported_at_the_end() {
    let collector = Collector::start().await;
    let (proxy, _blue) = world(traced(""), collector.address).await;
    proxy.get("/").await;
    proxy.shutdown();
    proxy.ended().await;
    assert_eq!(collector.so_far().len(), 2);
}

#[tokio::test]
async fn the_request_id_tells_the_next_proxy_that_a_request_is_traced() {
    let collector = Collector::start().await;
    let none = "random_sampling: { value: 0 }";
    let (first, blue) = world(traced(""), collector.address).await;
    let (second, green) = world(traced(none), collector.address).await;
    first.get("/").await;
    collector.request().await;
    let id = blue.only().header("x-request-id").unwrap().to_owned();
    assert_eq!(id.as_bytes()[14], b'9');

    let again = Request::get("/").header("x-request-id", &id).body(full("")).unwrap();
    client::send(second.address().await, again).await;
    assert!(green.only().header("traceparent").unwrap().ends_with("-01"));
    second.stat_is("http.ingress.tracing.random_sampling", 1).await;
}
