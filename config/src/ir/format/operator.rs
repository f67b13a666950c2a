//! What a command operator reads: `%REQ(:PATH)%` is `Operator::Request(..)`.
//!
//! Parsing happens when configuration is lowered; whether an operator exists, and whether its
//! parameter makes sense, is known then. Operators of Envoy 1.40 whose fact we do not measure are
//! accepted as [`Operator::Unmeasured`] so that a configuration loads; the lowering warns about them.

use std::sync::Arc;

use http::HeaderName;

use super::FormatErrorKind;
use super::names::{PARAMETRIC, PLAIN, UNMEASURED};
use super::time::TimeFormat;

/// A compiled operator, less its length limit.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operator {
    AccessLogType,
    BytesReceived,
    BytesSent,
    /// The first that has a value.
    Coalesce(Vec<(Self, Option<usize>)>),
    ConnectionId,
    ConnectionTerminationDetails,
    Constant(Option<Arc<str>>),
    Duration(Point, Point, Precision),
    DynamicMetadata(Box<str>, Vec<Box<str>>),
    EmitTime(TimeFormat),
    FilterChainName,
    FilterState(Box<str>),
    GrpcStatus(GrpcStatusStyle),
    ListenerName,
    LocalReplyBody,
    Address(Address, AddressPart),
    Path(PathSource, Query),
    Protocol,
    QueryParameter(Box<str>, PathSource),
    QueryParameters(PathSource),
    Request(Field, Option<Field>),
    RequestWithoutQuery(Field, Option<Field>),
    RequestHeadersBytes,
    RequestedServerName,
    Response(Field, Option<Field>),
    ResponseCode,
    /// With spaces as they are, or as underscores.
    ResponseCodeDetails {
        spaces: bool,
    },
    ResponseFlags,
    ResponseFlagsLong,
    ResponseHeadersBytes,
    ResponseTrailersBytes,
    RouteMetadata(Box<str>, Vec<Box<str>>),
    RouteName,
    SpanId,
    StartTime(TimeFormat),
    StreamId,
    Tenant,
    Tls(Side, TlsFact),
    TraceId,
    Trailer(HeaderName, Option<HeaderName>),
    Unmeasured(&'static str),
    UpstreamCluster,
    UpstreamClusterRaw,
    UpstreamProtocol,
    UpstreamRequestAttemptCount,
    UpstreamTransportFailureReason,
}

/// A header, or what HTTP/2 calls a pseudo-header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Authority,
    Header(HeaderName),
    Method,
    Path,
    Scheme,
    Status,
}

/// A moment of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// First byte of the request received (`DS_RX_BEG`).
    Start,
    /// Last byte of the request received (`DS_RX_END`).
    RequestEnd,
    /// First byte sent upstream (`US_TX_BEG`).
    UpstreamStart,
    /// Response head received from upstream (`US_RX_BEG`).
    UpstreamResponse,
    /// First byte of the response sent (`DS_TX_BEG`).
    ResponseStart,
    /// Over (`DS_TX_END`).
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    Micros,
    Millis,
    Nanos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrpcStatusStyle {
    Camel,
    Number,
    Snake,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Address {
    DownstreamDirectRemote,
    DownstreamLocal,
    DownstreamRemote,
    UpstreamHost,
    UpstreamHostName,
    UpstreamLocal,
    UpstreamRemote,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressPart {
    Port,
    Whole,
    WithoutPort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathSource {
    Original,
    OriginalOrPath,
    Path,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Query {
    Without,
    With,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Downstream,
    Upstream,
}

/// A fact of a TLS handshake.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TlsFact {
    ChainFingerprints1,
    ChainFingerprints256,
    ChainSerials,
    Cipher,
    Group,
    IssuerFingerprint256,
    IssuerSerial,
    LocalDnsSan,
    LocalEmailSan,
    LocalIpSan,
    LocalOtherSan,
    LocalSubject,
    LocalUriSan,
    PeerCertificate,
    PeerDnsSan,
    PeerEmailSan,
    PeerFingerprint1,
    PeerFingerprint256,
    PeerIpSan,
    PeerIssuer,
    PeerNotAfter(TimeFormat),
    PeerNotBefore(TimeFormat),
    PeerOtherSan,
    PeerSerial,
    PeerSubject,
    PeerUriSan,
    Version,
}

/// Every operator's name, for hints.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PLAIN.iter().map(|(name, _)| *name).chain(PARAMETRIC.iter().copied())
}

/// Compiles one operator. `parameter` is `None` when there were no parentheses.
pub(super) fn operator(name: &str, parameter: Option<&str>) -> Result<Operator, FormatErrorKind> {
    if let Some((_, operator)) = PLAIN.iter().find(|(known, _)| *known == name) {
        return match parameter {
            None => Ok(operator.clone()),
            Some(_) => Err(bad(name, "takes no parameter")),
        };
    }
    if let Some(known) = UNMEASURED.iter().find(|known| **known == name) {
        return Ok(Operator::Unmeasured(known));
    }
    if !PARAMETRIC.contains(&name) {
        return Err(FormatErrorKind::UnknownOperator(name.into()));
    }
    let given = parameter.unwrap_or_default();
    match name {
        "COALESCE" => coalesce(given),
        "COMMON_DURATION" => duration(given),
        "DOWNSTREAM_PEER_CERT_V_END" => {
            Ok(Operator::Tls(Side::Downstream, TlsFact::PeerNotAfter(TimeFormat::compile(given))))
        }
        "DOWNSTREAM_PEER_CERT_V_START" => {
            Ok(Operator::Tls(Side::Downstream, TlsFact::PeerNotBefore(TimeFormat::compile(given))))
        }
        "UPSTREAM_PEER_CERT_V_END" => {
            Ok(Operator::Tls(Side::Upstream, TlsFact::PeerNotAfter(TimeFormat::compile(given))))
        }
        "UPSTREAM_PEER_CERT_V_START" => {
            Ok(Operator::Tls(Side::Upstream, TlsFact::PeerNotBefore(TimeFormat::compile(given))))
        }
        "DYNAMIC_METADATA" => metadata(name, given, Operator::DynamicMetadata),
        "EMIT_TIME" => Ok(Operator::EmitTime(TimeFormat::compile(given))),
        "ENVIRONMENT" if given.is_empty() => Err(bad(name, "needs a variable's name")),
        "ENVIRONMENT" => {
            Ok(Operator::Constant(std::env::var(given).ok().map(|value| Arc::from(&*value))))
        }
        "FILTER_STATE" => filter_state(given),
        "GRPC_STATUS" => Ok(Operator::GrpcStatus(match given {
            "" | "CAMEL_STRING" => GrpcStatusStyle::Camel,
            "NUMBER" => GrpcStatusStyle::Number,
            "SNAKE_STRING" => GrpcStatusStyle::Snake,
            _ => return Err(bad(name, "takes CAMEL_STRING, SNAKE_STRING or NUMBER")),
        })),
        "HOSTNAME" => Ok(Operator::Constant(hostname())),
        "METADATA" => match given.split_once(':') {
            Some(("DYNAMIC", rest)) => metadata(name, rest, Operator::DynamicMetadata),
            Some(("ROUTE", rest)) => metadata(name, rest, Operator::RouteMetadata),
            _ => Ok(Operator::Unmeasured("METADATA of anything but DYNAMIC and ROUTE")),
        },
        "PATH" => {
            let (query, source) = given.split_once(':').unwrap_or((given, ""));
            let query = match query {
                "" | "WQ" => Query::With,
                "NQ" => Query::Without,
                _ => return Err(bad(name, "takes WQ or NQ first")),
            };
            Ok(Operator::Path(path_source(name, source)?, query))
        }
        "QUERY_PARAM" if given.is_empty() => Err(bad(name, "needs a parameter's name")),
        "QUERY_PARAM" => Ok(Operator::QueryParameter(given.into(), PathSource::OriginalOrPath)),
        "QUERY_PARAMS" => Ok(Operator::QueryParameters(match path_source(name, given)? {
            // Observed: here the original path falls back to the present one, unlike in PATH.
            PathSource::Original => PathSource::OriginalOrPath,
            source => source,
        })),
        "REQ" | "REQ_WITHOUT_QUERY" | "RESP" => {
            let (first, second) = alternatives(name, given)?;
            let first = field(name, first)?;
            let second = second.map(|second| field(name, second)).transpose()?;
            Ok(match name {
                "REQ" => Operator::Request(first, second),
                "RESP" => Operator::Response(first, second),
                _ => Operator::RequestWithoutQuery(first, second),
            })
        }
        "RESPONSE_CODE_DETAILS" => match given {
            "" => Ok(Operator::ResponseCodeDetails { spaces: false }),
            "ALLOW_WHITESPACES" => Ok(Operator::ResponseCodeDetails { spaces: true }),
            _ => Err(bad(name, "takes ALLOW_WHITESPACES or nothing")),
        },
        "START_TIME" => Ok(Operator::StartTime(TimeFormat::compile(given))),
        _ => {
            let (first, second) = alternatives(name, given)?;
            let second = second.map(|second| header(name, second)).transpose()?;
            Ok(Operator::Trailer(header(name, first)?, second))
        }
    }
}

fn bad(name: &str, expected: &'static str) -> FormatErrorKind {
    FormatErrorKind::Parameter { operator: name.into(), expected }
}

fn metadata(
    name: &str,
    given: &str,
    operator: fn(Box<str>, Vec<Box<str>>) -> Operator,
) -> Result<Operator, FormatErrorKind> {
    let mut parts = given.split(':');
    let namespace = parts.next().unwrap_or_default();
    if namespace.is_empty() {
        return Err(bad(name, "needs NAMESPACE:KEY..."));
    }
    Ok(operator(namespace.into(), parts.map(Into::into).collect()))
}

fn filter_state(given: &str) -> Result<Operator, FormatErrorKind> {
    let (key, style) = given.split_once(':').unwrap_or((given, "TYPED"));
    if key.is_empty() {
        return Err(bad("FILTER_STATE", "needs a key"));
    }
    // Our filter state is text, so both forms print it plainly.
    match style {
        "PLAIN" | "TYPED" => Ok(Operator::FilterState(key.into())),
        style if style.starts_with("FIELD:") => Ok(Operator::Unmeasured("FILTER_STATE with FIELD")),
        _ => Err(bad("FILTER_STATE", "takes PLAIN, TYPED or FIELD after the key")),
    }
}

fn duration(given: &str) -> Result<Operator, FormatErrorKind> {
    const NAME: &str = "COMMON_DURATION";
    let parts: Vec<_> = given.split(':').collect();
    let [from, to, precision] = *parts.as_slice() else {
        return Err(bad(NAME, "takes START:END:PRECISION"));
    };
    let precision = match precision {
        "ms" => Precision::Millis,
        "ns" => Precision::Nanos,
        "us" => Precision::Micros,
        _ => return Err(bad(NAME, "takes ms, us or ns as precision")),
    };
    let point = |name| match name {
        "DS_RX_BEG" => Some(Point::Start),
        "DS_RX_END" => Some(Point::RequestEnd),
        "DS_TX_BEG" => Some(Point::ResponseStart),
        "DS_TX_END" => Some(Point::End),
        "US_RX_BEG" => Some(Point::UpstreamResponse),
        "US_TX_BEG" => Some(Point::UpstreamStart),
        _ => None,
    };
    // Filters may name points of their own in Envoy, so any other name is only unmeasured.
    Ok(match (point(from), point(to)) {
        (Some(from), Some(to)) => Operator::Duration(from, to, precision),
        _ => Operator::Unmeasured("COMMON_DURATION between these points"),
    })
}

fn coalesce(given: &str) -> Result<Operator, FormatErrorKind> {
    let bad = || bad("COALESCE", "takes {\"operators\": [...]} in JSON");
    let parsed: serde_json::Value = serde_json::from_str(given).map_err(|_| bad())?;
    let list = parsed.get("operators").and_then(|list| list.as_array()).ok_or_else(bad)?;
    let mut alternatives = Vec::new();
    for entry in list {
        let text = |key| entry.get(key).and_then(serde_json::Value::as_str);
        let command = entry.as_str().or_else(|| text("command")).ok_or_else(bad)?;
        if command == "COALESCE" {
            return Err(bad());
        }
        let limit = entry.get("max_length").and_then(serde_json::Value::as_u64);
        let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        alternatives.push((operator(command, text("param"))?, limit));
    }
    if alternatives.is_empty() { Err(bad()) } else { Ok(Operator::Coalesce(alternatives)) }
}

fn path_source(name: &str, given: &str) -> Result<PathSource, FormatErrorKind> {
    match given {
        "" | "ORIG_OR_PATH" => Ok(PathSource::OriginalOrPath),
        "ORIG" => Ok(PathSource::Original),
        "PATH" => Ok(PathSource::Path),
        _ => Err(bad(name, "takes ORIG, PATH or ORIG_OR_PATH as source")),
    }
}

/// Splits `X?Y`.
fn alternatives<'a>(
    name: &str,
    given: &'a str,
) -> Result<(&'a str, Option<&'a str>), FormatErrorKind> {
    let (first, second) = match given.split_once('?') {
        Some((first, second)) => (first, Some(second)),
        None => (given, None),
    };
    if first.is_empty() {
        return Err(bad(name, "needs a header's name"));
    }
    if second.is_some_and(|second| second.contains('?')) {
        return Err(bad(name, "takes one alternative header at most"));
    }
    Ok((first, second.filter(|second| !second.is_empty())))
}

fn field(name: &str, header_name: &str) -> Result<Field, FormatErrorKind> {
    Ok(match &*header_name.to_ascii_lowercase() {
        ":authority" | "host" => Field::Authority,
        ":method" => Field::Method,
        ":path" => Field::Path,
        ":scheme" => Field::Scheme,
        ":status" => Field::Status,
        _ => Field::Header(header(name, header_name)?),
    })
}

fn header(name: &str, header_name: &str) -> Result<HeaderName, FormatErrorKind> {
    HeaderName::from_bytes(header_name.as_bytes())
        .map_err(|_| bad(name, "needs a valid header name"))
}

/// The host's name as the kernel tells it; read once per format, when it is lowered.
fn hostname() -> Option<Arc<str>> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .ok()?;
    Some(Arc::from(name.trim())).filter(|name: &Arc<str>| !name.is_empty())
}
