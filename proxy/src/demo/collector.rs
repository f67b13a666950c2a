//! A span receiver: OTLP over gRPC in, one readable block per trace out.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::TcpListener;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceService;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceServiceServer;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::Tell;

/// Attributes worth a look, in this order; a span has many more.
const SHOWN: [&str; 8] = [
    "tenant.id",
    "http.request.method",
    "url.path",
    "http.response.status_code",
    "upstream_cluster",
    "server.address",
    "server.port",
    "response_flags",
];

/// Serves until the event loop ends.
pub(super) async fn serve(listener: TcpListener, tell: Tell) {
    let served = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => {
            let server = Server::builder().add_service(TraceServiceServer::new(Collector(tell)));
            server.serve_with_incoming(TcpIncoming::from(listener)).await
        }
        Err(error) => return tracing::error!(%error, "span receiver cannot listen"),
    };
    if let Err(error) = served {
        tracing::error!(%error, "span receiver cannot serve");
    }
}

struct Collector(Tell);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut traces = BTreeMap::<Vec<u8>, Vec<Span>>::new();
        let scopes =
            request.into_inner().resource_spans.into_iter().flat_map(|all| all.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            traces.entry(span.trace_id.clone()).or_default().push(span);
        }
        for (id, spans) in traces {
            (self.0)(&describe(&id, spans));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A trace as a tree: a span stands below its parent, if that came with it.
fn describe(id: &[u8], mut spans: Vec<Span>) -> String {
    spans.sort_by_key(|span| span.start_time_unix_nano);
    let mut text = format!("trace {}", hex(id));
    let has = |id: &[u8]| spans.iter().any(|span| span.span_id == id);
    for root in spans.iter().filter(|span| !has(&span.parent_span_id)) {
        below(&mut text, root, &spans, 1);
    }
    text
}

fn below(text: &mut String, span: &Span, spans: &[Span], depth: usize) {
    line(text, span, depth);
    // Eight is deeper than a proxy's spans go, and stops a loop of spans that are each other's parents.
    for child in spans.iter().filter(|child| depth < 8 && child.parent_span_id == span.span_id) {
        below(text, child, spans, depth + 1);
    }
}

fn line(text: &mut String, span: &Span, depth: usize) {
    let kind = match span.kind() {
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        _ => "span",
    };
    let nanos = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
    let (micros, indent) = (nanos / 1000, depth * 2);
    let (whole, part) = (micros / 1000, micros % 1000);
    // Writing to a text cannot fail.
    let _ = write!(text, "\n{:indent$}{kind} {:?} {whole}.{part:03} ms", "", span.name);
    for key in SHOWN {
        if let Some(value) = attribute(span, key).filter(|value| value != "-") {
            let _ = write!(text, " {key}={value}");
        }
    }
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::BoolValue(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u8, parent: &[u8], name: &str) -> Span {
        Span {
            trace_id: vec![0xab; 16],
            span_id: vec![id],
            parent_span_id: parent.to_vec(),
            name: name.to_owned(),
            end_time_unix_nano: 1_234_567,
            ..Span::default()
        }
    }

    #[test]
    fn a_trace_is_told_with_children_below_their_parents() {
        let text = describe(&[0xab, 0xcd], vec![span(2, &[1], "child"), span(1, &[9], "parent")]);
        assert_eq!(text, "trace abcd\n  span \"parent\" 1.234 ms\n    span \"child\" 1.234 ms");
    }

    #[test]
    fn spans_that_are_each_others_parents_do_not_loop() {
        let text = describe(&[1], vec![span(1, &[2], "a"), span(2, &[1], "b"), span(3, &[3], "c")]);
        assert_eq!(text, "trace 01");
    }
}
