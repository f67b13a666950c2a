//! Tracing settings of a connection manager and of a route.

use std::sync::Arc;

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
    /// Where spans go.
    pub exporter: Arc<Exporter>,
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
    /// Tags beyond the connection manager's.
    pub custom_tags: Vec<CustomTag>,
}

/// `type.tracing.v3.CustomTag`.
#[derive(Debug, Clone)]
pub struct CustomTag {
    /// Its name.
    pub tag: Arc<str>,
    /// Its value.
    pub value: TagValue,
}

/// Where a tag's value comes from.
#[derive(Debug, Clone)]
pub enum TagValue {
    /// This text (also an environment variable, read when lowered).
    Literal(Arc<str>),
    /// A request header, or the default.
    Header(http::HeaderName, Option<Arc<str>>),
    /// Metadata is not read yet; reported when lowered.
    Format(super::format::Format),
}

/// `config.trace.v3.OpenTelemetryConfig`.
#[derive(Debug, Clone, PartialEq, Eq)]
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
