//! From a record to OpenTelemetry's spans, as bytes of OTLP, on the control thread.
//!
//! Names and attributes are Envoy's (observed from Envoy 1.40), so that what was built on them goes on
//! working, and beside them those of the semantic conventions 1.42. They do not collide: Envoy's
//! `http.status_code` is a text, `http.response.status_code` a number.

use std::borrow::Cow;
use std::fmt::Display;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use http::HeaderValue;
use http::StatusCode;
use http::Version;

use super::encode::Message;
use super::record::{Attempt, RequestFacts, Scheme, SpanName, SpanRecord, Tag};

/// Fields of `trace.v1.ScopeSpans` and of `trace.v1.Span`.
mod field {
    pub(super) const SPANS: u64 = 2;

    pub(super) const TRACE_ID: u64 = 1;
    pub(super) const SPAN_ID: u64 = 2;
    pub(super) const TRACE_STATE: u64 = 3;
    pub(super) const PARENT_SPAN_ID: u64 = 4;
    pub(super) const NAME: u64 = 5;
    pub(super) const KIND: u64 = 6;
    pub(super) const START: u64 = 7;
    pub(super) const END: u64 = 8;
    pub(super) const ATTRIBUTES: u64 = 9;
    pub(super) const STATUS: u64 = 15;
    pub(super) const FLAGS: u64 = 16;

    pub(super) const STATUS_CODE: u64 = 3;
}

/// `SpanKind`
const SERVER: u64 = 2;
const CLIENT: u64 = 3;
/// `STATUS_CODE_ERROR`
const ERROR: u64 = 2;
/// `SpanFlags`: the trace is sampled, and it is known whether the parent is remote.
const FLAGS: u32 = 0x101;
const PARENT_IS_REMOTE: u32 = 0x200;

/// What both sides of a request say.
struct Common<'a> {
    authority: Cow<'a, str>,
    path: Cow<'a, str>,
    url: String,
}

/// Appends a record's spans, the server's first, as fields of a `ScopeSpans`.
pub(super) fn spans(record: &SpanRecord, out: &mut Vec<u8>) {
    let request = &record.request;
    let (authority, path) = (authority(request), path(request));
    let url = format!("{}://{authority}{}", scheme(request), cut(&path, request.max_path));
    let common = Common { authority, path, url };
    let mut scope = Message::new(out);
    scope.message(field::SPANS, |span| server(record, &common, span));
    for number in 0..record.attempts.len() {
        scope.message(field::SPANS, |span| client(record, &common, number, span));
    }
}

fn server(record: &SpanRecord, common: &Common<'_>, span: &mut Message<'_>) {
    ids(record, record.span_id, record.parent, span);
    match &record.name {
        SpanName::Egress => {
            span.bytes(field::NAME, format!("egress {}", common.authority).as_bytes());
        }
        SpanName::Ingress => span.bytes(field::NAME, b"ingress"),
        SpanName::Given(name) => span.bytes(field::NAME, name.as_bytes()),
    }
    // Envoy calls the span of an outbound listener a client's when it is the only one.
    let is_alone = matches!(record.name, SpanName::Egress) && record.attempts.is_empty();
    span.number(field::KIND, if is_alone { CLIENT } else { SERVER });
    times(record, Duration::ZERO, record.duration, span);
    server_attributes(record, common, span);
    status(is_server_error(record), span);
    let remote = if record.parent.is_some() { PARENT_IS_REMOTE } else { 0 };
    span.fixed32(field::FLAGS, FLAGS | remote);
}

fn client(record: &SpanRecord, common: &Common<'_>, number: usize, span: &mut Message<'_>) {
    let attempt = &record.attempts[number];
    ids(record, attempt.span_id, Some(record.span_id), span);
    if let Some(name) = &record.upstream_name {
        span.bytes(field::NAME, name.as_bytes());
    } else {
        let cluster = record.outcome.cluster.as_deref().unwrap_or("-");
        span.bytes(field::NAME, format!("router {cluster} egress").as_bytes());
    }
    span.number(field::KIND, CLIENT);
    let ended = attempt.ended.unwrap_or(Duration::ZERO).max(attempt.begun);
    times(record, attempt.begun, ended, span);
    client_attributes(record, common, attempt, number, span);
    status(attempt.status.is_none_or(|status| status.as_u16() >= 400), span);
    span.fixed32(field::FLAGS, FLAGS);
}

fn ids(record: &SpanRecord, id: [u8; 8], parent: Option<[u8; 8]>, span: &mut Message<'_>) {
    span.bytes(field::TRACE_ID, &record.trace_id);
    span.bytes(field::SPAN_ID, &id);
    // It was brought into order when the request came.
    let state = record.request.tracestate.as_ref().and_then(|state| state.to_str().ok());
    span.bytes(field::TRACE_STATE, state.unwrap_or_default().as_bytes());
    span.bytes(field::PARENT_SPAN_ID, parent.as_ref().map_or(&[], |parent| &parent[..]));
}

fn times(record: &SpanRecord, begun: Duration, ended: Duration, span: &mut Message<'_>) {
    span.fixed64(field::START, nanos(record.start + begun));
    span.fixed64(field::END, nanos(record.start + ended));
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn status(is_error: bool, span: &mut Message<'_>) {
    span.message(field::STATUS, |status| {
        status.number(field::STATUS_CODE, if is_error { ERROR } else { 0 });
    });
}

fn server_attributes(record: &SpanRecord, common: &Common<'_>, span: &mut Message<'_>) {
    let (request, outcome) = (&record.request, &record.outcome);
    let path = &*common.path;
    let status = outcome.status.map_or(0, |status| status.as_u16());
    let mut all = Attributes::of(span);
    all.text("component", "proxy");
    all.text("node_id", &record.node.id);
    all.text("zone", &record.node.zone);
    all.header("guid:x-request-id", outcome.request_id.as_ref());
    all.header("guid:x-client-trace-id", request.client_trace_id.as_ref());
    all.text("http.url", &common.url);
    all.text("http.method", request.method.as_str());
    all.header_or_dash("downstream_cluster", request.downstream_cluster.as_ref());
    all.header_or_dash("user_agent", request.user_agent.as_ref());
    all.text("http.protocol", protocol(outcome.protocol));
    all.shown("peer.address", outcome.peer.ip());
    all.shown("request_size", outcome.received);
    all.shown("response_size", outcome.sent);
    all.shown("response_flags", outcome.flags);
    all.shown("http.status_code", status);
    all.cluster(record);
    if is_server_error(record) {
        all.text("error", "true");
    }
    if is_grpc(request) {
        all.text("grpc.path", path);
        all.text("grpc.authority", &common.authority);
        all.header("grpc.content_type", request.content_type.as_ref());
        if let Some(code) = outcome.grpc_status {
            all.shown("grpc.status_code", code);
        }
        all.text("rpc.system.name", "grpc");
        all.text("rpc.method", path.trim_start_matches('/'));
    }

    all.text("http.request.method", known_method(request));
    let (url_path, query) = path.split_once('?').unwrap_or((path, ""));
    all.text("url.path", cut(url_path, request.max_path));
    if !query.is_empty() {
        all.text("url.query", cut(query, request.max_path));
    }
    all.text("url.scheme", scheme(request));
    if status != 0 {
        all.number("http.response.status_code", status);
    }
    if is_server_error(record) {
        match &outcome.details {
            Some(details) if details != "via_upstream" => all.text("error.type", details),
            _ => all.shown("error.type", status),
        }
    }
    let (host, port) = split_port(&common.authority);
    if !host.is_empty() {
        all.text("server.address", host);
    }
    if let Some(port) = port {
        all.number("server.port", port);
    }
    all.shown("client.address", outcome.remote.ip());
    all.shown("network.peer.address", outcome.peer.ip());
    all.number("network.peer.port", outcome.peer.port());
    all.text("network.protocol.name", "http");
    all.text("network.protocol.version", version(outcome.protocol));
    all.header("user_agent.original", request.user_agent.as_ref());
    if let Some(route) = &outcome.route {
        all.text("palanquin.route.name", route);
    }
    for (name, value) in &record.attributes {
        all.text(name, value);
    }
    all.tags(record);
}

fn client_attributes(
    record: &SpanRecord,
    common: &Common<'_>,
    attempt: &Attempt,
    number: usize,
    span: &mut Message<'_>,
) {
    let (request, outcome) = (&record.request, &record.outcome);
    let mut all = Attributes::of(span);
    let failed = attempt.status.is_none();
    all.text("component", "proxy");
    all.text("http.protocol", if failed { "-" } else { protocol(outcome.upstream_protocol) });
    all.shown("http.status_code", attempt.status.map_or(0, |status| status.as_u16()));
    all.text("peer.address", &attempt.host);
    all.text("upstream_address", &attempt.host);
    if number + 1 == record.attempts.len() {
        all.shown("response_flags", outcome.flags);
    } else {
        all.text("response_flags", "-");
    }
    all.cluster(record);
    if number > 0 {
        all.shown("retry.count", number);
        all.number("http.request.resend_count", u16::try_from(number).unwrap_or(u16::MAX));
    }
    if failed || attempt.status.is_some_and(|status| status.is_server_error()) {
        all.text("error", "true");
    }
    if failed && let Some(reason) = &outcome.transport_failure {
        all.text("error.reason", reason);
    }

    all.text("http.request.method", known_method(request));
    all.text("url.full", &common.url);
    let (host, port) = split_port(&attempt.host);
    all.text("server.address", host);
    if let Some(port) = port {
        all.number("server.port", port);
    }
    if let Ok(peer) = attempt.host.parse::<SocketAddr>() {
        all.shown("network.peer.address", peer.ip());
        all.number("network.peer.port", peer.port());
    }
    if let Some(status) = attempt.status {
        all.number("http.response.status_code", status.as_u16());
        all.text("network.protocol.name", "http");
        all.text("network.protocol.version", version(outcome.upstream_protocol));
    }
    match attempt.status {
        Some(status) if status.as_u16() >= 400 => all.text("error.type", status.as_str()),
        None => all.text("error.type", "no_response"),
        Some(_) => {}
    }
    all.tags(record);
}

/// The attributes of a span, each written at once.
struct Attributes<'a, 'b> {
    span: &'a mut Message<'b>,
    scratch: String,
}

impl<'a, 'b> Attributes<'a, 'b> {
    fn of(span: &'a mut Message<'b>) -> Self {
        Self { span, scratch: String::new() }
    }

    fn text(&mut self, name: &str, value: &str) {
        self.span.text_attribute(field::ATTRIBUTES, name, value);
    }

    /// A text that shows `value`.
    fn shown(&mut self, name: &str, value: impl Display) {
        self.scratch.clear();
        write!(self.scratch, "{value}").expect("a String takes every write");
        self.span.text_attribute(field::ATTRIBUTES, name, &self.scratch);
    }

    fn number(&mut self, name: &str, value: u16) {
        self.span.number_attribute(field::ATTRIBUTES, name, value.into());
    }

    fn header(&mut self, name: &str, value: Option<&HeaderValue>) {
        if let Some(value) = value {
            self.text(name, &lossy(value));
        }
    }

    fn header_or_dash(&mut self, name: &str, value: Option<&HeaderValue>) {
        self.text(name, &value.map_or(Cow::Borrowed("-"), lossy));
    }

    fn cluster(&mut self, record: &SpanRecord) {
        if let Some(cluster) = &record.outcome.cluster {
            self.text("upstream_cluster", cluster);
            let stat_name = record.outcome.cluster_stat_name.as_ref().unwrap_or(cluster);
            self.text("upstream_cluster.name", stat_name);
        }
    }

    fn tags(&mut self, record: &SpanRecord) {
        for (name, tag) in &record.tags {
            match tag {
                Tag::Header(value) => self.text(name, &lossy(value)),
                Tag::Text(value) => self.text(name, value),
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

fn scheme(request: &RequestFacts) -> &'static str {
    match request.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}

fn authority(request: &RequestFacts) -> Cow<'_, str> {
    match request.uri.authority() {
        Some(authority) => Cow::Borrowed(authority.as_str()),
        None => request.host.as_ref().map_or(Cow::Borrowed(""), lossy),
    }
}

fn path(request: &RequestFacts) -> Cow<'_, str> {
    match &request.original_path {
        Some(path) => lossy(path),
        None => Cow::Borrowed(request.uri.path_and_query().map_or("", |path| path.as_str())),
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
fn lossy(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// The first `limit` bytes, less a character cut in two.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}
