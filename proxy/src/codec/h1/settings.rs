//! What configuration may change about HTTP/1, with Envoy's defaults.

use std::time::Duration;

use http::HeaderValue;

/// Whether a name may hold an underscore (`headers_with_underscores_action`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Underscores {
    /// Pass the field on.
    #[default]
    Allow,
    /// Leave the field out.
    Drop,
    /// Refuse the request.
    Reject,
}

/// Whether trailers are passed on (`enable_trailers`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trailers {
    /// Check and drop them: Envoy's default for HTTP/1.
    #[default]
    Drop,
    /// Hand them over and write them.
    Forward,
}

/// Limits on a message head, for both sides.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Start line and fields together, in bytes.
    pub max_bytes: usize,
    /// Number of fields.
    pub max_fields: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { max_bytes: 60 * 1024, max_fields: 100 }
    }
}

/// A downstream listener's settings. Shared by its connections.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `accept_http_10`; off, HTTP/1.0 is answered 426.
    pub accept_http_10: bool,
    /// `default_host_for_http_10`: stands in for the host field an HTTP/1.0 request need not have.
    pub default_host: Option<HeaderValue>,
    /// `allow_custom_methods`; off, only registered methods are served.
    pub allow_custom_methods: bool,
    /// `delayed_close_timeout`: how long a client may take to read an answer after which bytes of it
    /// are thrown away. `None` closes at once.
    pub delayed_close_timeout: Option<Duration>,
    /// `idle_timeout`: a connection without a request is closed after it.
    pub idle_timeout: Option<Duration>,
    /// `max_request_headers_kb` (here in bytes) and `max_headers_count`; also bounds trailers.
    pub limits: HeadLimits,
    /// `max_requests_per_connection`; the last response says `connection: close`.
    pub max_requests: Option<u32>,
    /// `request_headers_timeout`: from the first byte of a request to its last header.
    pub request_headers_timeout: Option<Duration>,
    /// `proxy_100_continue`: the upstream is asked what it thinks of an expectation.
    pub proxy_100_continue: bool,
    /// `enable_trailers`.
    pub trailers: Trailers,
    /// `headers_with_underscores_action`.
    pub underscores: Underscores,
    /// How long a client may take none of a response's bytes (`stream_idle_timeout`, or the flush
    /// timeout where that is set apart).
    pub write_stall_timeout: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            accept_http_10: false,
            default_host: None,
            allow_custom_methods: false,
            delayed_close_timeout: Some(Duration::from_secs(1)),
            idle_timeout: Some(Duration::from_hours(1)),
            limits: HeadLimits::default(),
            max_requests: None,
            request_headers_timeout: None,
            proxy_100_continue: false,
            trailers: Trailers::Drop,
            underscores: Underscores::Allow,
            write_stall_timeout: Some(Duration::from_mins(5)),
        }
    }
}

/// A cluster's settings. Shared by its connections.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Bounds of a response head and of its trailers.
    pub limits: HeadLimits,
    /// `enable_trailers`.
    pub trailers: Trailers,
}

impl Default for ClientSettings {
    fn default() -> Self {
        // as Envoy: an answer's head may be larger than a request's
        let limits = HeadLimits { max_bytes: 80 * 1024, ..HeadLimits::default() };
        Self { limits, trailers: Trailers::Drop }
    }
}
