//! Access logs: where, what, and when.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use palanquin_filter_api::ResponseFlags;
use palanquin_filter_api::StreamInfo;

use super::format::Capture;
use super::format::Format;
use super::format::FormatCx;
use super::format::JsonFormat;
use super::format::Needs;
use super::matcher::HeaderField;
use super::matcher::HeaderMatcher;
use super::matcher::MetadataMatcher;
use super::matcher::RequestView;

/// `config.accesslog.v3.AccessLog`.
#[derive(Debug)]
pub struct AccessLog {
    /// Where lines go.
    pub sink: Sink,
    /// What a line says.
    pub line: Line,
    /// Which requests are told; `None`: all.
    pub filter: Option<LogFilter>,
    /// What must be kept of messages for *all* access logs of the connection manager: the same value
    /// in each of them, so the data path takes it from the first.
    pub capture: Arc<Capture>,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Sink {
    /// A file, appended to.
    File(PathBuf),
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
}

/// What a line says.
#[derive(Debug)]
pub enum Line {
    /// JSON; a line end is added.
    Json(JsonFormat),
    /// Text; the format has its own line end.
    Text(Format),
}

/// Which requests are told (`AccessLogFilter`).
#[derive(Debug)]
pub enum LogFilter {
    /// All of these agree.
    And(Vec<Self>),
    /// `duration_filter`, in milliseconds.
    Duration(Comparison),
    /// `grpc_status_filter`: bit `n` for status `n`, and whether these are left out instead. A response
    /// without a gRPC status counts as what its HTTP status means.
    GrpcStatus {
        /// The statuses.
        statuses: u32,
        /// They are left out.
        exclude: bool,
    },
    /// `header_filter`, on the request.
    Header(HeaderMatcher),
    /// `log_type_filter`: whether logs at the end of a request are meant. It is the only type we write.
    LogType(bool),
    /// `metadata_filter`, on dynamic metadata.
    Metadata {
        /// The matcher; `None`: any request whose metadata is there.
        matcher: Option<MetadataMatcher>,
        /// The answer when there is no such value.
        when_missing: bool,
    },
    /// `not_health_check_filter`. No filter of ours answers health checks yet, so all requests pass.
    NotHealthCheck,
    /// One of these agrees.
    Or(Vec<Self>),
    /// `response_flag_filter`: one of these flags; with none, any flag at all.
    ResponseFlag(ResponseFlags),
    /// `runtime_filter`: this share, in parts per million. There is no runtime, so the default counts.
    Share(u32),
    /// `status_code_filter`.
    StatusCode(Comparison),
    /// `traceable_filter`: the request is traced.
    Traceable,
}

/// `ComparisonFilter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// How.
    pub operator: Ordering,
    /// With what.
    pub value: u64,
}

/// `ComparisonFilter.Op`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordering {
    /// `EQ`
    Equal,
    /// `GE`
    AtLeast,
    /// `LE`
    AtMost,
    /// `NE`
    NotEqual,
}

/// What filters and formats know of a finished request.
#[derive(Debug, Clone, Copy)]
pub struct LogCx<'a> {
    /// What formats read.
    pub format: FormatCx<'a>,
    /// The request headers that filters look at ([`super::format::CapturedRequest::matched`]).
    pub matched: Option<&'a HeaderMap>,
    /// Whether the request is traced.
    pub traced: bool,
    /// A random number, fresh for each request.
    pub random: u64,
}

impl AccessLog {
    /// Envoy's default format.
    pub const DEFAULT_FORMAT: &'static str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

    /// Appends the line of a request to `out`, if the filter lets it pass.
    pub fn write(&self, cx: &LogCx<'_>, out: &mut Vec<u8>) {
        if self.filter.as_ref().is_some_and(|filter| !filter.passes(cx)) {
            return;
        }
        match &self.line {
            Line::Text(format) => format.write_line(&cx.format, out),
            Line::Json(format) => {
                format.write(&cx.format, out);
                out.push(b'\n');
            }
        }
    }
}

impl Line {
    /// Adds the headers this line reads.
    pub fn needs(&self, needs: &mut Needs) {
        match self {
            Self::Json(format) => format.needs(needs),
            Self::Text(format) => format.needs(needs),
        }
    }
}

impl LogFilter {
    /// Whether a request is told.
    pub fn passes(&self, cx: &LogCx<'_>) -> bool {
        let stream = cx.format.stream;
        match self {
            Self::And(filters) => filters.iter().all(|filter| filter.passes(cx)),
            Self::Duration(comparison) => {
                let timing = &stream.info.timing;
                let duration = timing.since_start(timing.end).unwrap_or(Duration::ZERO);
                comparison.holds(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
            }
            Self::GrpcStatus { statuses, exclude } => {
                let status = grpc_status(&stream.info);
                (statuses & 1_u32.checked_shl(status.into()).unwrap_or(0) != 0) != *exclude
            }
            Self::Header(matcher) => matches_header(matcher, cx),
            Self::LogType(end) => *end,
            Self::Metadata { matcher: None, .. } => true,
            Self::Metadata { matcher: Some(matcher), when_missing } => {
                match stream.metadata.get(&matcher.namespace, &matcher.path) {
                    None => *when_missing,
                    Some(value) => matcher.value.matches(value) != matcher.invert,
                }
            }
            Self::NotHealthCheck => true,
            Self::Or(filters) => filters.iter().any(|filter| filter.passes(cx)),
            Self::ResponseFlag(flags) if flags.is_empty() => !stream.info.flags.is_empty(),
            Self::ResponseFlag(flags) => ResponseFlags::ALL
                .iter()
                .any(|(flag, ..)| flags.contains(*flag) && stream.info.flags.contains(*flag)),
            Self::Share(share) => cx.random % 1_000_000 < u64::from(*share),
            Self::StatusCode(comparison) => {
                let status = stream.info.response_code.map_or(0, |status| status.as_u16());
                comparison.holds(status.into())
            }
            Self::Traceable => cx.traced,
        }
    }

    /// Adds the headers this filter looks at.
    pub fn needs(&self, needs: &mut Needs) {
        match self {
            Self::And(filters) | Self::Or(filters) => {
                for filter in filters {
                    filter.needs(needs);
                }
            }
            Self::Header(HeaderMatcher { name: HeaderField::Name(name), .. }) => {
                needs.add_matched(name);
            }
            _ => {}
        }
    }
}

impl Comparison {
    fn holds(self, found: u64) -> bool {
        match self.operator {
            Ordering::Equal => found == self.value,
            Ordering::AtLeast => found >= self.value,
            Ordering::AtMost => found <= self.value,
            Ordering::NotEqual => found != self.value,
        }
    }
}

/// The gRPC status of a response, or what a gRPC client makes of its HTTP status.
fn grpc_status(info: &StreamInfo) -> u8 {
    use palanquin_filter_api::GrpcStatus;
    match (info.grpc_status, info.response_code) {
        (Some(status), _) => status,
        (None, Some(code)) => GrpcStatus::from_http(code).0,
        (None, None) => 2,
    }
}

fn matches_header(matcher: &HeaderMatcher, cx: &LogCx<'_>) -> bool {
    let Some(request) = cx.format.request else { return false };
    let empty = HeaderMap::new();
    matcher.matches(&RequestView {
        method: request.method,
        scheme: request.scheme,
        authority: std::str::from_utf8(request.authority).unwrap_or_default(),
        path_and_query: request.path,
        headers: cx.matched.unwrap_or(&empty),
    })
}
