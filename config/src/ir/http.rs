//! The HTTP connection manager's settings.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use palanquin_filter_api::FilterChain;
use palanquin_filter_api::stats::Scope;

use super::access_log::AccessLog;
use super::cluster::Http2Settings;
use super::listener::Cidr;
use super::route::RouteTable;
use super::tracing::Tracing;
use crate::extension::ChainTemplate;

/// `http_connection_manager.v3.HttpConnectionManager`.
#[derive(Debug)]
pub struct ConnectionManager {
    /// Distinct for every lowered connection manager: the snapshot keeps its bound routes under it.
    pub id: u64,
    /// `http.<stat_prefix>.*`
    pub stat_prefix: Arc<str>,
    /// Its statistics.
    pub stats: Arc<Scope>,
    /// What is spoken.
    pub codec: Codec,
    /// HTTP/1 settings.
    pub http1: Http1Settings,
    /// HTTP/2 settings.
    pub http2: Http2Settings,
    /// Where routes come from.
    pub routes: Routes,
    /// The filters; [`ChainTemplate::bind`] makes the chains of a route table.
    pub filters: ChainTemplate,
    /// Access logs.
    pub access_logs: Vec<Arc<AccessLog>>,
    /// Tracing; `None`: off.
    pub tracing: Option<Arc<Tracing>>,
    /// The `server` header's value. Default `envoy`.
    pub server_name: HeaderValue,
    /// What becomes of the `server` header.
    pub server_header: ServerHeader,
    /// Header section in bytes. Default 60 KiB.
    pub max_request_headers_bytes: u32,
    /// Number of headers. Default 100.
    pub max_headers: u32,
    /// Time for a complete request head; `None`: no limit of its own.
    pub request_headers_timeout: Option<Duration>,
    /// Time for a complete request; `None`: no limit.
    pub request_timeout: Option<Duration>,
    /// A stream without an event. Default 5 min; `None`: never.
    pub stream_idle_timeout: Option<Duration>,
    /// A whole stream; `None`: no limit.
    pub max_stream_duration: Option<Duration>,
    /// A connection without a request. Default 1 h; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// A connection in all; `None`: no limit.
    pub max_connection_duration: Option<Duration>,
    /// Requests per connection; `None`: any number.
    pub max_requests_per_connection: Option<u32>,
    /// How long a client may read after the last response before the socket is closed. Default 1 s.
    pub delayed_close_timeout: Option<Duration>,
    /// Whether the peer's address is the client's (edge), rather than what `x-forwarded-for` says.
    pub use_remote_address: bool,
    /// How many proxies in front are trusted.
    pub xff_num_trusted_hops: u32,
    /// `x-forwarded-for` is not appended.
    pub skip_xff_append: bool,
    /// Networks that count as internal.
    pub internal_addresses: InternalAddresses,
    /// `100 Continue` is the upstream's to send, not the proxy's.
    pub proxy_100_continue: bool,
    /// What goes to `via`; empty: nothing.
    pub via: Option<HeaderValue>,
    /// `x-request-id` is made. Default true.
    pub generate_request_id: bool,
    /// An external `x-request-id` is kept.
    pub preserve_external_request_id: bool,
    /// What is read from `x-request-id` and written into it (`request_id_extension`).
    pub request_id: RequestId,
    /// `x-request-id` is sent back.
    pub always_set_request_id_in_response: bool,
    /// What becomes of client certificates in `x-forwarded-client-cert`.
    pub forward_client_cert: ForwardClientCert,
    /// Path normalisation.
    pub path: PathNormalization,
    /// How ports in `host` are stripped.
    pub strip_port: StripPort,
    /// `strip_trailing_host_dot`.
    pub strip_trailing_host_dot: bool,
    /// Headers with underscores.
    pub underscores: Underscores,
    /// Upgrades allowed for routes that say nothing, in lower case: `websocket`.
    pub upgrades: Vec<(Box<str>, bool)>,
    /// `x-envoy-*` headers are not added (`Router.suppress_envoy_headers`).
    pub suppress_envoy_headers: bool,
    /// The router makes a client span of its own (`Router.start_child_span`, or Envoy's default with
    /// OpenTelemetry's `spawn_upstream_span`).
    pub spawn_upstream_span: bool,
}

/// `HttpConnectionManager.CodecType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// By ALPN, else by the connection's first bytes.
    #[default]
    Auto,
    /// HTTP/1.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
}

/// `core.v3.Http1ProtocolOptions`, downstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Http1Settings {
    /// HTTP/1.0 is served.
    pub accept_http_10: bool,
    /// The host for HTTP/1.0 requests without one.
    pub default_host_for_http_10: Option<HeaderValue>,
    /// Methods outside the registry are served.
    pub allow_custom_methods: bool,
    /// Trailers are passed on.
    pub enable_trailers: bool,
}

/// Where a connection manager's routes come from.
#[derive(Debug)]
pub enum Routes {
    /// `route_config`.
    Inline(Arc<BoundRoutes>),
    /// `rds`.
    Rds {
        /// The name to ask for.
        name: Arc<str>,
        /// After this the listener works without routes; zero: never. Default 15 s.
        initial_fetch_timeout: Duration,
        /// A file that holds the table instead of a control plane.
        path: Option<std::path::PathBuf>,
    },
}

/// A route table with the filter chains that one connection manager runs for it.
#[derive(Debug)]
pub struct BoundRoutes {
    /// The table.
    pub table: Arc<RouteTable>,
    /// The chain for requests without a route and for routes without overrides.
    pub default_chain: FilterChain,
    /// The chain of each route (and weighted cluster) by its index; empty when none has overrides.
    pub chains: Vec<FilterChain>,
}

impl BoundRoutes {
    /// The chain of the route (or weighted cluster) with that index.
    pub fn chain(&self, index: u32) -> &FilterChain {
        self.chains.get(index as usize).unwrap_or(&self.default_chain)
    }
}

/// `ServerHeaderTransformation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServerHeader {
    /// Ours always.
    #[default]
    Overwrite,
    /// Ours unless upstream sent one.
    AppendIfAbsent,
    /// Upstream's.
    PassThrough,
}

/// `InternalAddressConfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InternalAddresses {
    /// Networks; none by default, since Envoy 1.33 not even this host.
    pub ranges: Vec<Cidr>,
}

/// `ForwardClientCertDetails` and what of the certificate is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForwardClientCert {
    /// What becomes of the header.
    pub mode: ForwardClientCertMode,
    /// `Subject=`.
    pub subject: bool,
    /// `Cert=`, URL-encoded PEM.
    pub cert: bool,
    /// `Chain=`.
    pub chain: bool,
    /// `DNS=`.
    pub dns: bool,
    /// `URI=`.
    pub uri: bool,
}

/// `ForwardClientCertDetails`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardClientCertMode {
    /// Removed.
    #[default]
    Sanitize,
    /// Passed on if the connection is mTLS.
    ForwardOnly,
    /// Ours appended if the connection is mTLS.
    AppendForward,
    /// Ours instead if the connection is mTLS.
    SanitizeSet,
    /// Passed on as it is.
    AlwaysForwardOnly,
}

/// Path normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PathNormalization {
    /// RFC 3986: dot segments and percent-encoding of unreserved characters.
    pub normalize: bool,
    /// Several slashes become one.
    pub merge_slashes: bool,
    /// `%2F` and `%5C`.
    pub escaped_slashes: EscapedSlashes,
}

/// `PathWithEscapedSlashesAction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EscapedSlashes {
    /// As they are.
    #[default]
    Keep,
    /// 400.
    Reject,
    /// 307 to the path with slashes.
    UnescapeAndRedirect,
    /// Turned into slashes.
    UnescapeAndForward,
}

/// How a port in `host` is stripped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StripPort {
    /// It is not.
    #[default]
    None,
    /// Whatever it is.
    Any,
    /// If it is the listener's own.
    Matching,
}

/// `HeadersWithUnderscoresAction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Underscores {
    /// Passed on.
    #[default]
    Allow,
    /// The header is dropped.
    DropHeader,
    /// 400.
    Reject,
}

/// `extensions.request_id.uuid.v3.UuidRequestIdConfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    /// The id tells whether its request is traced, and why. Default true.
    pub pack_trace_reason: bool,
    /// The id decides by chance whether its request is traced, and whether it is at all. Default true; otherwise
    /// every request is traced.
    pub use_for_trace_sampling: bool,
}

impl Default for RequestId {
    fn default() -> Self {
        Self { pack_trace_reason: true, use_for_trace_sampling: true }
    }
}
