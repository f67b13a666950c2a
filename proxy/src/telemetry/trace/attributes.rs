//! From a record to OpenTelemetry's spans, on the control thread.
//!
//! Names and attributes are Envoy's (observed from Envoy 1.40), so that what was built on them goes on
//! working, and beside them those of the semantic conventions 1.42. They do not collide: Envoy's
//! `http.status_code` is a text, `http.response.status_code` a number.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::StatusCode;
use http::Version;
use opentelemetry::InstrumentationScope;
use opentelemetry::KeyValue;
use opentelemetry::StringValue;
use opentelemetry::Value;
use opentelemetry::trace::SpanContext;
use opentelemetry::trace::SpanId;
use opentelemetry::trace::SpanKind;
use opentelemetry::trace::Status;
use opentelemetry::trace::TraceFlags;
use opentelemetry::trace::TraceId;
use opentelemetry::trace::TraceState;
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sdk::trace::SpanEvents;
use opentelemetry_sdk::trace::SpanLinks;

use super::record::{Attempt, RequestFacts, Scheme, SpanName, SpanRecord, Tag};

/// Turns a record into its spans: the server's first.
pub(super) fn spans(record: &SpanRecord, scope: &InstrumentationScope, out: &mut Vec<SpanData>) {
    let state = trace_state(record.request.tracestate.as_ref());
    let span = |span_id: [u8; 8], state: &TraceState| {
        SpanContext::new(
            TraceId::from_bytes(record.trace_id),
            SpanId::from_bytes(span_id),
            TraceFlags::SAMPLED,
            false,
            state.clone(),
        )
    };
    let data = |context, parent: Option<[u8; 8]>, remote, kind, name: String| SpanData {
        span_context: context,
        parent_span_id: parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: remote,
        span_kind: kind,
        name: name.into(),
        start_time: record.start,
        end_time: record.start + record.duration,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: scope.clone(),
    };
    // Envoy calls the span of an outbound listener a client's when it is the only one.
    let kind = match record.name {
        SpanName::Egress if record.attempts.is_empty() => SpanKind::Client,
        _ => SpanKind::Server,
    };
    let mut server = data(
        span(record.span_id, &state),
        record.parent,
        record.parent.is_some(),
        kind,
        server_name(record),
    );
    server.attributes = server_attributes(record);
    if is_server_error(record) {
        server.status = Status::error("");
    }
    out.push(server);
    for (i, attempt) in record.attempts.iter().enumerate() {
        let name = match &record.upstream_name {
            Some(name) => name.to_string(),
            None => format!("router {} egress", record.outcome.cluster.as_deref().unwrap_or("-")),
        };
        let context = span(attempt.span_id, &state);
        let mut client = data(context, Some(record.span_id), false, SpanKind::Client, name);
        client.start_time = record.start + attempt.begun;
        client.end_time = record.start + attempt.ended.unwrap_or(Duration::ZERO).max(attempt.begun);
        client.attributes = client_attributes(record, attempt, i);
        if attempt.status.is_none_or(|status| status.as_u16() >= 400) {
            client.status = Status::error("");
        }
        out.push(client);
    }
}

fn server_name(record: &SpanRecord) -> String {
    match &record.name {
        SpanName::Egress => format!("egress {}", authority(&record.request)),
        SpanName::Ingress => "ingress".to_owned(),
        SpanName::Given(name) => name.to_string(),
    }
}

fn server_attributes(record: &SpanRecord) -> Vec<KeyValue> {
    let (request, outcome) = (&record.request, &record.outcome);
    let path = path(request);
    let status = outcome.status.map_or(0, |status| status.as_u16());
    let mut all = Attributes(Vec::with_capacity(40));
    all.text("component", "proxy");
    all.text("node_id", record.node.id.clone());
    all.text("zone", record.node.zone.clone());
    all.header("guid:x-request-id", outcome.request_id.as_ref());
    all.header("guid:x-client-trace-id", request.client_trace_id.as_ref());
    let url =
        format!("{}://{}{}", scheme(request), authority(request), cut(&path, request.max_path));
    all.text("http.url", url);
    all.text("http.method", request.method.to_string());
    all.header_or_dash("downstream_cluster", request.downstream_cluster.as_ref());
    all.header_or_dash("user_agent", request.user_agent.as_ref());
    all.text("http.protocol", protocol(outcome.protocol));
    all.text("peer.address", outcome.peer.ip().to_string());
    all.text("request_size", outcome.received.to_string());
    all.text("response_size", outcome.sent.to_string());
    all.text("response_flags", outcome.flags.to_string());
    all.text("http.status_code", status.to_string());
    all.cluster(record);
    if is_server_error(record) {
        all.text("error", "true");
    }
    if is_grpc(request) {
        all.text("grpc.path", path.clone());
        all.text("grpc.authority", authority(request));
        all.header("grpc.content_type", request.content_type.as_ref());
        if let Some(code) = outcome.grpc_status {
            all.text("grpc.status_code", code.to_string());
        }
        all.text("rpc.system.name", "grpc");
        all.text("rpc.method", path.trim_start_matches('/').to_owned());
    }

    all.text("http.request.method", known_method(request));
    let (url_path, query) = path.split_once('?').unwrap_or((&path, ""));
    all.text("url.path", cut(url_path, request.max_path).to_owned());
    if !query.is_empty() {
        all.text("url.query", cut(query, request.max_path).to_owned());
    }
    all.text("url.scheme", scheme(request));
    if status != 0 {
        all.number("http.response.status_code", status.into());
    }
    if is_server_error(record) {
        let reason = match &outcome.details {
            Some(details) if details != "via_upstream" => details.to_string(),
            _ => status.to_string(),
        };
        all.text("error.type", reason);
    }
    let authority = authority(request);
    let (host, port) = split_port(&authority);
    if !host.is_empty() {
        all.text("server.address", host.to_owned());
    }
    if let Some(port) = port {
        all.number("server.port", port.into());
    }
    all.text("client.address", outcome.remote.ip().to_string());
    all.text("network.peer.address", outcome.peer.ip().to_string());
    all.number("network.peer.port", outcome.peer.port().into());
    all.text("network.protocol.name", "http");
    all.text("network.protocol.version", version(outcome.protocol));
    all.header("user_agent.original", request.user_agent.as_ref());
    if let Some(route) = &outcome.route {
        all.text("palanquin.route.name", Arc::clone(route));
    }
    for &(name, ref value) in &record.attributes {
        all.text(name, Arc::clone(value));
    }
    all.tags(record);
    all.0
}

fn client_attributes(record: &SpanRecord, attempt: &Attempt, number: usize) -> Vec<KeyValue> {
    let (request, outcome) = (&record.request, &record.outcome);
    let mut all = Attributes(Vec::with_capacity(24));
    let failed = attempt.status.is_none();
    all.text("component", "proxy");
    all.text("http.protocol", if failed { "-" } else { protocol(outcome.upstream_protocol) });
    all.text("http.status_code", attempt.status.map_or(0, |status| status.as_u16()).to_string());
    all.text("peer.address", Arc::clone(&attempt.host));
    all.text("upstream_address", Arc::clone(&attempt.host));
    let is_last = number + 1 == record.attempts.len();
    all.text("response_flags", if is_last { outcome.flags.to_string() } else { "-".to_owned() });
    all.cluster(record);
    if number > 0 {
        all.text("retry.count", number.to_string());
        all.number("http.request.resend_count", i64::try_from(number).unwrap_or(i64::MAX));
    }
    if failed || attempt.status.is_some_and(|status| status.is_server_error()) {
        all.text("error", "true");
    }
    if failed && let Some(reason) = &outcome.transport_failure {
        all.text("error.reason", reason.to_string());
    }

    all.text("http.request.method", known_method(request));
    let url = format!(
        "{}://{}{}",
        scheme(request),
        authority(request),
        cut(&path(request), request.max_path)
    );
    all.text("url.full", url);
    let (host, port) = split_port(&attempt.host);
    all.text("server.address", host.to_owned());
    if let Some(port) = port {
        all.number("server.port", port.into());
    }
    if let Ok(peer) = attempt.host.parse::<SocketAddr>() {
        all.text("network.peer.address", peer.ip().to_string());
        all.number("network.peer.port", peer.port().into());
    }
    if let Some(status) = attempt.status {
        all.number("http.response.status_code", status.as_u16().into());
        all.text("network.protocol.name", "http");
        all.text("network.protocol.version", version(outcome.upstream_protocol));
    }
    match attempt.status {
        Some(status) if status.as_u16() >= 400 => {
            all.text("error.type", status.as_str().to_owned());
        }
        None => all.text("error.type", "no_response"),
        Some(_) => {}
    }
    all.tags(record);
    all.0
}

struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn text(&mut self, name: impl Into<opentelemetry::Key>, value: impl Into<StringValue>) {
        self.0.push(KeyValue::new(name, Value::String(value.into())));
    }

    fn number(&mut self, name: &'static str, value: i64) {
        self.0.push(KeyValue::new(name, value));
    }

    fn header(&mut self, name: &'static str, value: Option<&HeaderValue>) {
        if let Some(value) = value {
            self.text(name, lossy(value));
        }
    }

    fn header_or_dash(&mut self, name: &'static str, value: Option<&HeaderValue>) {
        self.text(name, value.map_or_else(|| "-".to_owned(), lossy));
    }

    fn cluster(&mut self, record: &SpanRecord) {
        if let Some(cluster) = &record.outcome.cluster {
            self.text("upstream_cluster", Arc::clone(cluster));
            let stat_name = record.outcome.cluster_stat_name.as_ref().unwrap_or(cluster);
            self.text("upstream_cluster.name", Arc::clone(stat_name));
        }
    }

    fn tags(&mut self, record: &SpanRecord) {
        for (name, tag) in &record.tags {
            match tag {
                Tag::Header(value) => self.text(Arc::clone(name), lossy(value)),
                Tag::Text(value) => self.text(Arc::clone(name), Arc::clone(value)),
            }
        }
    }
}

fn is_server_error(record: &SpanRecord) -> bool {
    let outcome = &record.outcome;
    // gRPC: statuses by which the server is at fault (Envoy's tracing utility).
    let grpc = matches!(outcome.grpc_status, Some(2 | 4 | 12 | 13 | 14 | 15));
    outcome.status.is_none_or(|status: StatusCode| status.is_server_error())
        || is_grpc(&record.request) && grpc
}

fn is_grpc(request: &RequestFacts) -> bool {
    let kind = request.content_type.as_ref();
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn trace_state(header: Option<&HeaderValue>) -> TraceState {
    use std::str::FromStr;
    let text = header.and_then(|value| value.to_str().ok());
    text.and_then(|text| TraceState::from_str(text).ok()).unwrap_or_default()
}

fn scheme(request: &RequestFacts) -> &'static str {
    match request.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}

fn authority(request: &RequestFacts) -> String {
    match request.uri.authority() {
        Some(authority) => authority.to_string(),
        None => request.host.as_ref().map_or_else(String::new, lossy),
    }
}

fn path(request: &RequestFacts) -> String {
    match &request.original_path {
        Some(path) => lossy(path),
        None => request.uri.path_and_query().map_or_else(String::new, ToString::to_string),
    }
}

/// Semantic conventions: a method that is none of the known ones is `_OTHER`.
fn known_method(request: &RequestFacts) -> &'static str {
    match request.method.as_str() {
        "CONNECT" => "CONNECT",
        "DELETE" => "DELETE",
        "GET" => "GET",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        "POST" => "POST",
        "PUT" => "PUT",
        "TRACE" => "TRACE",
        _ => "_OTHER",
    }
}

fn protocol(version: Option<Version>) -> &'static str {
    match version {
        None => "-",
        Some(Version::HTTP_10) => "HTTP/1.0",
        Some(Version::HTTP_2) => "HTTP/2",
        Some(Version::HTTP_3) => "HTTP/3",
        Some(_) => "HTTP/1.1",
    }
}

fn version(version: Option<Version>) -> &'static str {
    match version {
        Some(Version::HTTP_10) => "1.0",
        Some(Version::HTTP_2) => "2",
        Some(Version::HTTP_3) => "3",
        _ => "1.1",
    }
}

fn split_port(address: &str) -> (&str, Option<u16>) {
    match address.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (address, None),
        },
        _ => (address, None),
    }
}

/// Attributes are UTF-8: other bytes become U+FFFD.
fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// The first `limit` bytes, less a character cut in two.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}
