//! Tracing settings of a connection manager and of a route.

use std::sync::Arc;

use super::format::Format;

/// `HttpConnectionManager.Tracing`.
#[derive(Debug)]
pub struct Tracing {
    /// Requests with `x-client-trace-id` that are traced, in parts per million. Default all.
    pub client_sampling: u32,
    /// Requests that are traced by chance, in parts per million. Default all.
    pub random_sampling: u32,
    /// The share kept after both, in parts per million. Default all.
    pub overall_sampling: u32,
    /// Tags of every span.
    pub custom_tags: Vec<CustomTag>,
    /// `max_path_tag_length`: longer paths are cut. Default 256.
    pub max_path_tag_length: u32,
    /// Whether the upstream call has a span of its own.
    pub spawn_upstream_span: bool,
    /// The name of the server span; `None`: Envoy's, or a decorator's.
    pub operation: Option<Format>,
    /// The name of the client span; `None`: Envoy's.
    pub upstream_operation: Option<Format>,
    /// `traceparent` and `tracestate` are left as they came.
    pub no_context_propagation: bool,
    /// Who decides.
    pub sampler: Sampler,
    /// Which way the listener's traffic goes; it names the server span.
    pub direction: Direction,
    /// Where spans go.
    pub exporter: Arc<Exporter>,
}

/// Who decides whether a request without a sampled parent is recorded (`OpenTelemetryConfig.sampler`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sampler {
    /// Every request (`always_on`).
    AlwaysOn,
    /// The shares of the connection manager.
    #[default]
    Shares,
}

/// `core.v3.TrafficDirection` of the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Towards what we stand in front of. Also a listener that does not say.
    #[default]
    Inbound,
    /// Away from it.
    Outbound,
}

/// `route.v3.Tracing`: sampling of one route.
#[derive(Debug)]
pub struct RouteTracing {
    /// As [`Tracing::client_sampling`].
    pub client_sampling: u32,
    /// As [`Tracing::random_sampling`].
    pub random_sampling: u32,
    /// As [`Tracing::overall_sampling`].
    pub overall_sampling: u32,
    /// Tags beyond the connection manager's; one of the same name replaces it.
    pub custom_tags: Vec<CustomTag>,
    /// As [`Tracing::operation`].
    pub operation: Option<Format>,
    /// As [`Tracing::upstream_operation`].
    pub upstream_operation: Option<Format>,
}

/// `type.tracing.v3.CustomTag`.
#[derive(Debug, Clone)]
pub struct CustomTag {
    /// Its name.
    pub tag: Arc<str>,
    /// Its value.
    pub value: TagValue,
}

/// Where a tag's value comes from. A tag without a value is left out.
#[derive(Debug, Clone)]
pub enum TagValue {
    /// A text with operators.
    Format(Format),
    /// A request header, or the default.
    Header(http::HeaderName, Option<Arc<str>>),
    /// This text (also an environment variable, read when lowered).
    Literal(Arc<str>),
    /// Dynamic metadata, or the default.
    Metadata {
        /// The namespace.
        namespace: Arc<str>,
        /// Keys down to the value.
        path: Vec<Arc<str>>,
        /// What to write when there is none.
        default: Option<Arc<str>>,
    },
}

/// `config.trace.v3.OpenTelemetryConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Exporter {
    /// The cluster of the collector (`grpc_service.envoy_grpc.cluster_name`).
    pub cluster: Arc<str>,
    /// `:authority` for the collector; the cluster's name when empty.
    pub authority: Arc<str>,
    /// `grpc_service.timeout`. Default 10 s.
    pub timeout: std::time::Duration,
    /// `grpc_service.initial_metadata`.
    pub metadata: Vec<(Arc<str>, Arc<str>)>,
    /// `service.name`. Default `unknown_service:envoy`.
    pub service_name: Arc<str>,
    /// Resource attributes beyond it.
    pub resource: Vec<(Arc<str>, Arc<str>)>,
}
