//! Spans as a collector receives them. Names and attributes were observed from Envoy 1.40.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use http::HeaderValue;
use http::Request;
use http::StatusCode;
use http::Version;
use opentelemetry_proto::tonic::collector::trace::v1 as collector;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use palanquin_config::ir::format::TraceIds;
use palanquin_config::ir::tracing::{CustomTag, Direction, Exporter, Sampler, TagValue, Tracing};
use palanquin_filter_api::stats::Registry;
use palanquin_filter_api::stats::tracing as stat;
use palanquin_filter_api::{ConnectionInfo, StreamCx, StreamInfo, Upstreams};
use tokio::sync::mpsc;
use tonic::transport::Endpoint;

use super::*;
use crate::telemetry::Telemetry;

struct NoUpstreams;

impl Upstreams for NoUpstreams {
    fn find(&self, _: &str) -> Option<Arc<str>> {
        None
    }
}

/// Answers every export, and passes on what it got.
struct FakeCollector(mpsc::UnboundedSender<collector::ExportTraceServiceRequest>);

#[tonic::async_trait]
impl collector::trace_service_server::TraceService for FakeCollector {
    async fn export(
        &self,
        request: tonic::Request<collector::ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<collector::ExportTraceServiceResponse>, tonic::Status> {
        assert_eq!(request.metadata().get("x-k").unwrap(), "v");
        let _ = self.0.send(request.into_inner());
        Ok(tonic::Response::new(collector::ExportTraceServiceResponse::default()))
    }
}

fn tracing() -> Arc<Tracing> {
    Arc::new(Tracing {
        client_sampling: 1_000_000,
        random_sampling: 1_000_000,
        overall_sampling: 1_000_000,
        custom_tags: vec![
            CustomTag { tag: "lit".into(), value: TagValue::Literal("L".into()) },
            CustomTag {
                tag: "hdr".into(),
                value: TagValue::Header(http::HeaderName::from_static("x-h"), None),
            },
        ],
        max_path_tag_length: 12,
        spawn_upstream_span: true,
        operation: None,
        upstream_operation: None,
        no_context_propagation: false,
        sampler: Sampler::Shares,
        direction: Direction::Inbound,
        exporter: Arc::new(Exporter {
            cluster: "otel".into(),
            authority: "".into(),
            timeout: Duration::from_secs(10),
            metadata: vec![("x-k".into(), "v".into())],
            service_name: "svc".into(),
            resource: vec![("a".into(), "b".into())],
        }),
    })
}

fn stream() -> StreamCx {
    let connection = ConnectionInfo {
        id: 7,
        remote: "192.0.2.7:5000".parse().unwrap(),
        direct_remote: "127.0.0.1:56896".parse().unwrap(),
        local: "127.0.0.1:21800".parse().unwrap(),
        listener: "l1".into(),
        filter_chain: "".into(),
        sni: None,
        tls: None,
    };
    let mut info = StreamInfo::begin(Rc::new(connection), Instant::now());
    info.protocol = Some(Version::HTTP_11);
    info.request_id = Some(HeaderValue::from_static("rid"));
    info.response_code = Some(StatusCode::SERVICE_UNAVAILABLE);
    info.response_code_details = Some("via_upstream".into());
    info.bytes_sent = 6;
    info.upstream.cluster = Some("up".into());
    info.upstream.cluster_stat_name = Some("alt_up".into());
    info.upstream.protocol = Some(Version::HTTP_2);
    info.upstream.transport_failure = Some("delayed_connect_error".into());
    let mut stream = StreamCx::new(info, Rc::new(NoUpstreams));
    stream.span_attributes.push(("tenant.id", "acme".into()));
    stream
}

fn request() -> Request<()> {
    let mut request = Request::get("/p/plain?q=1")
        .header("host", "ex.test:8080")
        .header("x-h", "hv")
        .header("tracestate", "a=1,b=2")
        .body(())
        .unwrap();
    let agent = HeaderValue::from_bytes(b"u\xff").unwrap();
    request.headers_mut().insert("user-agent", agent);
    request
}

fn attributes(span: &Span) -> BTreeMap<&str, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => format!("#{number}"),
        other => format!("{other:?}"),
    };
    span.attributes
        .iter()
        .map(|pair| {
            let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
            (pair.key.as_str(), text(value.unwrap()))
        })
        .collect()
}

#[tokio::test]
async fn a_request_with_a_retry_arrives_as_three_spans() {
    let (sender, mut received) = mpsc::unbounded_channel();
    let incoming = tonic::transport::server::TcpIncoming::bind("127.0.0.1:0".parse().unwrap());
    let incoming = incoming.unwrap();
    let address = incoming.local_addr().unwrap();
    let service = collector::trace_service_server::TraceServiceServer::new(FakeCollector(sender));
    let server = tokio::spawn(
        tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming),
    );
    let registry = Registry::new(1);
    let node = Node { id: "n1".into(), cluster: "c1".into(), zone: "z".into() };
    let (telemetry, records) = Telemetry::start(&registry, node).unwrap();
    let span_stats = stats(&registry);
    let connect: Connect =
        Box::new(move |_| Endpoint::try_from(format!("http://{address}")).unwrap().connect_lazy());
    let exporting =
        tokio::spawn(export(records, connect, Arc::clone(&span_stats), Duration::from_secs(10)));

    let ids = TraceIds { trace_id: [0xab; 16], span_id: [1; 8] };
    let mut incoming = request();
    let mut span = RequestSpan::begin(&incoming, "http", &tracing(), None, ids, 5);
    span.set_parent(Some([9; 8]));
    let stream = stream();
    span.set_tags(&incoming, &stream);
    span.begin_attempt(incoming.headers_mut(), &"127.0.0.1:21803".into());
    let first = incoming.headers()["traceparent"].clone();
    span.attempt_done(None);
    span.begin_attempt(incoming.headers_mut(), &"127.0.0.1:21801".into());
    let second = incoming.headers()["traceparent"].clone();
    span.attempt_done(Some(StatusCode::SERVICE_UNAVAILABLE));
    let worker = telemetry.worker();
    Box::new(span).finish(&stream, &worker);
    drop(worker);
    drop(telemetry);

    let export = received.recv().await.unwrap();
    exporting.await.unwrap();
    server.abort();
    assert_eq!(span_stats.counter(stat::SPANS_SENT), 3);
    assert_eq!(span_stats.counter(stat::SPANS_DROPPED), 0);
    let resource = &export.resource_spans[0];
    let names: Vec<_> =
        resource.resource.as_ref().unwrap().attributes.iter().map(|pair| &*pair.key).collect();
    assert!(names.contains(&"service.name") && names.contains(&"a"));
    let spans = &resource.scope_spans[0].spans;
    let [server, failed, answered] = spans.as_slice() else { panic!("{spans:?}") };

    assert_eq!(server.name, "ingress");
    assert_eq!(server.kind, SpanKind::Server as i32);
    assert_eq!(server.trace_id, [0xab; 16]);
    assert_eq!(server.span_id, [1; 8]);
    assert_eq!(server.parent_span_id, [9; 8]);
    assert_eq!(server.trace_state, "a=1,b=2");
    assert_eq!(server.status.as_ref().unwrap().code, 2);
    let tags = attributes(server);
    for (name, want) in [
        ("component", "proxy"),
        ("node_id", "n1"),
        ("zone", "z"),
        ("guid:x-request-id", "rid"),
        ("http.url", "http://ex.test:8080/p/plain?q=1"),
        ("http.method", "GET"),
        ("http.protocol", "HTTP/1.1"),
        ("http.status_code", "503"),
        ("peer.address", "127.0.0.1"),
        ("request_size", "0"),
        ("response_size", "6"),
        ("response_flags", "-"),
        ("downstream_cluster", "-"),
        ("upstream_cluster", "up"),
        ("upstream_cluster.name", "alt_up"),
        ("error", "true"),
        ("lit", "L"),
        ("hdr", "hv"),
        ("tenant.id", "acme"),
        ("http.request.method", "GET"),
        ("http.response.status_code", "#503"),
        ("url.path", "/p/plain"),
        ("url.query", "q=1"),
        ("server.address", "ex.test"),
        ("server.port", "#8080"),
        ("client.address", "192.0.2.7"),
        ("network.peer.port", "#56896"),
        ("error.type", "503"),
        ("user_agent", "u\u{fffd}"),
    ] {
        assert_eq!(tags.get(name).map(String::as_str), Some(want), "{name}");
    }

    for (client, status, resend) in [(failed, "0", None), (answered, "503", Some("1"))] {
        assert_eq!(client.name, "router up egress");
        assert_eq!(client.kind, SpanKind::Client as i32);
        assert_eq!(client.parent_span_id, [1; 8]);
        assert_eq!(client.status.as_ref().unwrap().code, 2);
        let tags = attributes(client);
        assert_eq!(tags["http.status_code"], status);
        assert_eq!(tags.get("retry.count").map(String::as_str), resend);
    }
    assert_eq!(attributes(failed)["error.reason"], "delayed_connect_error");
    assert_eq!(attributes(answered)["upstream_address"], "127.0.0.1:21801");
    assert_eq!(attributes(answered)["http.protocol"], "HTTP/2");
    for (header, client) in [(first, failed), (second, answered)] {
        let id: [u8; 8] = client.span_id.as_slice().try_into().unwrap();
        let hex = format!("{:016x}", u64::from_be_bytes(id));
        assert_eq!(header, format!("00-{}-{hex}-01", "ab".repeat(16)));
    }
}

#[tokio::test]
async fn spans_are_counted_when_the_collector_is_away() {
    let registry = Registry::new(1);
    let (telemetry, records) = Telemetry::start(&registry, Node::default()).unwrap();
    let span_stats = stats(&registry);
    // A port that nobody listens on: bound, and closed again.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let connect: Connect =
        Box::new(move |_| Endpoint::try_from(format!("http://{address}")).unwrap().connect_lazy());
    let mut tracing = tracing();
    let exporter = Exporter { timeout: Duration::from_millis(50), ..(*tracing.exporter).clone() };
    Arc::get_mut(&mut tracing).unwrap().exporter = Arc::new(exporter);
    let ids = TraceIds { trace_id: [1; 16], span_id: [1; 8] };
    let span = RequestSpan::begin(&request(), "http", &tracing, None, ids, 5);
    let worker = telemetry.worker();
    Box::new(span).finish(&stream(), &worker);
    drop(worker);
    drop(telemetry);
    export(records, connect, Arc::clone(&span_stats), Duration::from_secs(10)).await;
    assert_eq!(span_stats.counter(stat::SPANS_DROPPED), 1);
    assert_eq!(span_stats.counter(stat::EXPORT_FAILED), 1);
}

#[tokio::test]
async fn a_full_queue_drops_and_counts_but_never_waits() {
    let registry = Registry::new(1);
    // Nobody takes from the queue.
    let (telemetry, _records) = Telemetry::start(&registry, Node::default()).unwrap();
    let worker = telemetry.worker();
    let ids = TraceIds { trace_id: [1; 16], span_id: [1; 8] };
    let (tracing, request, stream) = (tracing(), request(), stream());
    for _ in 0..65 * 512 {
        let span = RequestSpan::begin(&request, "http", &tracing, None, ids, 5);
        Box::new(span).finish(&stream, &worker);
    }
    assert_eq!(stats(&registry).counter(stat::SPANS_DROPPED), 512);
}
