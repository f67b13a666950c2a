//! Reading an operator's value and writing it, as text or as JSON.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use http::HeaderValue;
use palanquin_filter_api::DynamicMetadata;
use palanquin_filter_api::MetadataMap;
use palanquin_filter_api::MetadataValue;
use palanquin_filter_api::ResponseFlags;
use palanquin_filter_api::StreamInfo;
use palanquin_filter_api::encoded_pem;

use super::FormatCx;
use super::context::ORIGINAL_PATH;
use super::decimal;
use super::facts::{grpc_status, protocol, read_address, tls_fact};
use super::json;
use super::operator::{Field, Operator, PathSource, Point, Precision, Query, Side};
use super::put;
use super::time::TimeFormat;

/// What an operator found. Borrowed: nothing is copied until it is written.
#[derive(Debug)]
pub(super) enum Found<'a> {
    Flags(ResponseFlags),
    FlagsLong(ResponseFlags),
    Ip(IpAddr),
    /// Several texts, joined with commas.
    List(&'a [Arc<str>]),
    /// The same of hexadecimal texts.
    Texts(&'a [String]),
    Metadata(&'a MetadataValue),
    MetadataMap(&'a MetadataMap),
    /// As PEM, percent-encoded.
    Certificate(&'a [u8]),
    Missing,
    Number(u64),
    Socket(SocketAddr),
    /// Bytes of a peer's choice.
    Text(&'a [u8]),
    /// A reason of ours, whose spaces become underscores.
    Reason(&'a str),
    /// With a length limit of its own, inside `COALESCE`.
    Limited(Box<Self>, usize),
    Time(SystemTime, &'a TimeFormat),
    TraceId([u8; 16]),
    SpanId([u8; 8]),
}

/// What is done to values that go into a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// Control characters become `\xNN`.
    Controls,
    /// They are written as they are.
    None,
}

impl Found<'_> {
    /// Appends the value, at most `limit` bytes of it. False when there is none.
    pub(super) fn write(&self, limit: Option<usize>, escape: Escape, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        match self {
            Self::Missing | Self::Metadata(MetadataValue::Null) => return false,
            Self::Text(text) => write_text(cut(text, limit), escape, out),
            Self::Metadata(MetadataValue::String(text)) => {
                write_text(cut(text.as_bytes(), limit), escape, out);
            }
            Self::Reason(reason) => {
                let joined = reason.replace(char::is_whitespace, "_");
                write_text(cut(joined.as_bytes(), limit), escape, out);
            }
            Self::List(texts) => match texts {
                [] => return false,
                [only] => write_text(cut(only.as_bytes(), limit), escape, out),
                _ => write_text(cut(texts.join(",").as_bytes(), limit), escape, out),
            },
            Self::Limited(inner, own) => {
                return inner.write(Some(limit.map_or(*own, |limit| limit.min(*own))), escape, out);
            }
            // What follows is ASCII without control characters, or JSON, which escapes itself.
            Self::Flags(flags) if flags.is_empty() => out.push(b'-'),
            Self::Flags(flags) => put(out, format_args!("{flags}")),
            Self::FlagsLong(flags) => put(out, format_args!("{}", flags.long())),
            Self::TraceId(id) => write_hex(id, out),
            Self::SpanId(id) => write_hex(id, out),
            Self::Certificate(der) => out.extend_from_slice(encoded_pem([*der]).as_bytes()),
            Self::Texts([]) => return false,
            Self::Texts(texts) => out.extend_from_slice(texts.join(",").as_bytes()),
            Self::Ip(address) => decimal::write_ip(*address, out),
            Self::Socket(address) => decimal::write_socket(*address, out),
            Self::Number(number) => decimal::write(*number, out),
            Self::Metadata(value) => json::write_metadata(value, out),
            Self::MetadataMap(fields) => json::write_metadata_map(fields, out),
            Self::Time(at, format) => format.write(*at, out),
        }
        if let Some(limit) = limit
            && out.len() - start > limit
            && !matches!(self, Self::Text(_) | Self::List(_) | Self::Reason(_))
        {
            out.truncate(start + cut(&out[start..], Some(limit)).len());
        }
        true
    }

    /// Appends the value as JSON: numbers and structures as such, all else as a string. False when
    /// there is none; then nothing was appended.
    pub(super) fn write_json(&self, limit: Option<usize>, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Missing | Self::Metadata(MetadataValue::Null) => false,
            Self::List([]) | Self::Texts([]) => false,
            Self::Number(number) if limit.is_none() => {
                decimal::write(*number, out);
                true
            }
            Self::Metadata(value) if limit.is_none() => {
                json::write_metadata(value, out);
                true
            }
            Self::MetadataMap(fields) if limit.is_none() => {
                json::write_metadata_map(fields, out);
                true
            }
            Self::Text(text) => {
                out.push(b'"');
                json::write_escaped(cut(text, limit), out);
                out.push(b'"');
                true
            }
            Self::Limited(inner, own) => {
                inner.write_json(Some(limit.map_or(*own, |limit| limit.min(*own))), out)
            }
            _ => {
                out.push(b'"');
                let start = out.len();
                self.write(limit, Escape::None, out);
                json::escape_from(start, out);
                out.push(b'"');
                true
            }
        }
    }

    fn is_missing(&self) -> bool {
        matches!(
            self,
            Self::Missing | Self::Metadata(MetadataValue::Null) | Self::List([]) | Self::Texts([])
        )
    }
}

impl Operator {
    /// Reads the value.
    pub(super) fn read<'a>(&'a self, cx: &FormatCx<'a>) -> Found<'a> {
        let info = &cx.stream.info;
        match self {
            Self::AccessLogType => Found::Text(b"DownstreamEnd"),
            Self::Address(address, part) => read_address(*address, *part, info),
            Self::BytesReceived => Found::Number(info.bytes_received),
            Self::BytesSent => Found::Number(info.bytes_sent),
            Self::Coalesce(alternatives) => alternatives
                .iter()
                .map(|(operator, limit)| (operator.read(cx), limit))
                .find(|(found, _)| !found.is_missing())
                .map_or(Found::Missing, |(found, limit)| match limit {
                    Some(limit) => Found::Limited(Box::new(found), *limit),
                    None => found,
                }),
            Self::ConnectionId => Found::Number(info.connection.id),
            Self::ConnectionTerminationDetails => text(info.connection_termination.as_deref()),
            Self::Constant(value) => text(value.as_deref()),
            Self::Duration(from, to, precision) => {
                let (Some(from), Some(to)) = (point(*from, info), point(*to, info)) else {
                    return Found::Missing;
                };
                let span = to.checked_duration_since(from).unwrap_or(Duration::ZERO);
                let number = match precision {
                    Precision::Micros => span.as_micros(),
                    Precision::Millis => span.as_millis(),
                    Precision::Nanos => span.as_nanos(),
                };
                Found::Number(u64::try_from(number).unwrap_or(u64::MAX))
            }
            Self::DynamicMetadata(namespace, path) => {
                metadata(&cx.stream.metadata, namespace, path)
            }
            Self::EmitTime(format) => Found::Time(SystemTime::now(), format),
            Self::FilterChainName => text(non_empty(&info.connection.filter_chain)),
            Self::FilterState(key) => {
                text(cx.stream.filter_state.get(&**key).map(|value| &**value))
            }
            Self::GrpcStatus(style) => match info.grpc_status {
                None => Found::Missing,
                Some(status) => grpc_status(status, *style),
            },
            Self::ListenerName => text(non_empty(&info.connection.listener)),
            Self::LocalReplyBody => Found::Text(cx.local_reply_body),
            Self::Path(source, query) => match (path(cx, *source), query) {
                (Some(path), Query::With) => Found::Text(path),
                (Some(path), Query::Without) => Found::Text(split_query(path).0),
                (None, _) => Found::Missing,
            },
            Self::Protocol => protocol(info.protocol),
            Self::QueryParameter(name, source) => path(cx, *source)
                .and_then(|path| split_query(path).1)
                .and_then(|query| parameter(query, name.as_bytes()))
                .map_or(Found::Missing, Found::Text),
            Self::QueryParameters(source) => path(cx, *source)
                .and_then(|path| split_query(path).1)
                .map_or(Found::Missing, Found::Text),
            Self::Request(first, second) => request(cx, first, second.as_ref()),
            Self::RequestHeadersBytes => {
                Found::Number(cx.request.and_then(|request| request.bytes()).unwrap_or(0))
            }
            Self::RequestWithoutQuery(first, second) => match request(cx, first, second.as_ref()) {
                Found::Text(value) => Found::Text(split_query(value).0),
                other => other,
            },
            Self::RequestedServerName => text(info.connection.sni.as_deref()),
            Self::Response(first, second) => match response(cx, first) {
                Found::Missing => {
                    second.as_ref().map_or(Found::Missing, |second| response(cx, second))
                }
                found => found,
            },
            Self::ResponseCode => {
                Found::Number(info.response_code.map_or(0, |status| u64::from(status.as_u16())))
            }
            Self::ResponseCodeDetails { spaces: true } => {
                text(info.response_code_details.as_deref())
            }
            Self::ResponseCodeDetails { spaces: false } => {
                reason(info.response_code_details.as_deref())
            }
            Self::ResponseFlags => Found::Flags(info.flags),
            Self::ResponseFlagsLong => Found::FlagsLong(info.flags),
            Self::ResponseHeadersBytes => Found::Number(cx.response.bytes().unwrap_or(0)),
            Self::ResponseTrailersBytes => Found::Number(cx.trailers.bytes().unwrap_or(0)),
            Self::RouteMetadata(namespace, path) => {
                cx.route.map_or(Found::Missing, |route| metadata(route, namespace, path))
            }
            Self::RouteName => text(info.route_name.as_deref().filter(|name| !name.is_empty())),
            Self::SpanId => cx.trace.map_or(Found::Missing, |ids| Found::SpanId(ids.span_id)),
            Self::StartTime(format) => Found::Time(info.timing.start_time, format),
            Self::StreamId => {
                info.request_id.as_ref().map_or(Found::Missing, |id| Found::Text(id.as_bytes()))
            }
            Self::Tenant => match cx.stream.filter_state.get(TENANT) {
                Some(tenant) => Found::Text(tenant.as_bytes()),
                None => {
                    cx.stream.metadata.get(TENANT, &["id"]).map_or(Found::Missing, Found::Metadata)
                }
            },
            Self::Tls(side, fact) => {
                let tls = match side {
                    Side::Downstream => info.connection.tls.as_deref(),
                    Side::Upstream => info.upstream.tls.as_deref(),
                };
                tls.map_or(Found::Missing, |tls| tls_fact(tls, fact))
            }
            Self::TraceId => cx.trace.map_or(Found::Missing, |ids| Found::TraceId(ids.trace_id)),
            Self::Trailer(first, second) => cx
                .trailers
                .get(first)
                .or_else(|| cx.trailers.get(second.as_ref()?))
                .map_or(Found::Missing, |value| Found::Text(value.as_bytes())),
            Self::Unmeasured(_) => Found::Missing,
            Self::UpstreamCluster => {
                let upstream = &info.upstream;
                text(upstream.cluster_stat_name.as_deref().or(upstream.cluster.as_deref()))
            }
            Self::UpstreamClusterRaw => text(info.upstream.cluster.as_deref()),
            Self::UpstreamProtocol => protocol(info.upstream.protocol),
            Self::UpstreamRequestAttemptCount => Found::Number(info.upstream.attempts.into()),
            Self::UpstreamTransportFailureReason => {
                reason(info.upstream.transport_failure.as_deref())
            }
        }
    }
}

/// The key of filter state and the namespace of metadata under which the tenant filter leaves its
/// decision.
const TENANT: &str = "palanquin.tenant";

pub(super) fn text(value: Option<&str>) -> Found<'_> {
    value.map_or(Found::Missing, |value| Found::Text(value.as_bytes()))
}

/// The value at `path`, or the whole namespace without one.
fn metadata<'a>(metadata: &'a DynamicMetadata, namespace: &str, path: &[Box<str>]) -> Found<'a> {
    if path.is_empty() {
        metadata.namespace(namespace).map_or(Found::Missing, Found::MetadataMap)
    } else {
        metadata.get(namespace, path).map_or(Found::Missing, Found::Metadata)
    }
}

fn reason(value: Option<&str>) -> Found<'_> {
    value.map_or(Found::Missing, Found::Reason)
}

pub(super) fn non_empty(value: &str) -> Option<&str> {
    Some(value).filter(|value| !value.is_empty())
}

fn request<'a>(cx: &FormatCx<'a>, first: &Field, second: Option<&Field>) -> Found<'a> {
    let Some(request) = cx.request else { return Found::Missing };
    let one = |field: &Field| match field {
        Field::Authority => Some(request.authority),
        Field::Header(name) => request.headers.get(name).map(HeaderValue::as_bytes),
        Field::Method => Some(request.method.as_bytes()),
        Field::Path => Some(request.path.as_bytes()),
        Field::Scheme => Some(request.scheme.as_bytes()),
        Field::Status => None,
    };
    // An empty pseudo-header is one that was not there.
    let one = |field: &Field| {
        one(field).filter(|value| !value.is_empty() || matches!(field, Field::Header(_)))
    };
    one(first).or_else(|| one(second?)).map_or(Found::Missing, Found::Text)
}

fn response<'a>(cx: &FormatCx<'a>, field: &Field) -> Found<'a> {
    match field {
        Field::Status => cx
            .stream
            .info
            .response_code
            .as_ref()
            .map_or(Found::Missing, |status| Found::Text(status.as_str().as_bytes())),
        Field::Header(name) => {
            cx.response.get(name).map_or(Found::Missing, |value| Found::Text(value.as_bytes()))
        }
        _ => Found::Missing,
    }
}

fn path<'a>(cx: &FormatCx<'a>, source: PathSource) -> Option<&'a [u8]> {
    let request = cx.request?;
    let original = || request.headers.get(&ORIGINAL_PATH).map(HeaderValue::as_bytes);
    let current = || Some(request.path.as_bytes()).filter(|path| !path.is_empty());
    match source {
        PathSource::Original => original(),
        PathSource::OriginalOrPath => original().or_else(current),
        PathSource::Path => current(),
    }
}

fn split_query(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|byte| *byte == b'?') {
        Some(at) => (&path[..at], Some(&path[at + 1..])),
        None => (path, None),
    }
}

fn parameter<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    query.split(|byte| *byte == b'&').find_map(|pair| match pair.strip_prefix(name)? {
        [] => Some(&[][..]),
        [b'=', value @ ..] => Some(value),
        _ => None,
    })
}

fn point(point: Point, info: &StreamInfo) -> Option<std::time::Instant> {
    let timing = &info.timing;
    match point {
        Point::Start => Some(timing.start),
        Point::RequestEnd => timing.request_end,
        Point::UpstreamStart => timing.upstream_start,
        Point::UpstreamResponse => timing.upstream_response,
        Point::ResponseStart => timing.response_start,
        Point::End => timing.end,
    }
}

/// The first `limit` bytes, less a character that would be cut in two.
fn cut(text: &[u8], limit: Option<usize>) -> &[u8] {
    match limit {
        Some(limit) if limit < text.len() => {
            let mut end = limit;
            // A continuation byte (10xxxxxx) never begins a character; three are the most there can be.
            while end > 0 && limit - end < 3 && text[end] & 0xC0 == 0x80 {
                end -= 1;
            }
            &text[..end]
        }
        _ => text,
    }
}

fn write_text(text: &[u8], escape: Escape, out: &mut Vec<u8>) {
    let plain = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    if escape == Escape::None || text.iter().all(plain) {
        out.extend_from_slice(text);
        return;
    }
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            if json::is_harmless(character) || character == '\t' {
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    put(out, format_args!("\\x{byte:02x}"));
                }
            }
        }
        for byte in chunk.invalid() {
            put(out, format_args!("\\x{byte:02x}"));
        }
    }
}

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}
