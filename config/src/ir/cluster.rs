//! Clusters: where endpoints come from and how they are talked to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use palanquin_filter_api::DynamicMetadata;
use palanquin_filter_api::MetadataMap;

use super::Digest;
use super::endpoint::EndpointSet;
use super::tls::UpstreamTls;

/// `cluster.v3.Cluster`.
#[derive(Debug)]
pub struct Cluster {
    /// Its name.
    pub name: Arc<str>,
    /// `alt_stat_name`, or the name: `cluster.<this>.*`.
    pub stat_name: Arc<str>,
    /// Digest of the resource it was lowered from.
    pub digest: Digest,
    /// Where its endpoints come from.
    pub discovery: Discovery,
    /// How an endpoint is picked.
    pub balancer: Balancer,
    /// The weights of localities count (`locality_weighted_lb_config`, `wrr_locality`); otherwise only
    /// those of endpoints do.
    pub locality_weighted: bool,
    /// Subsets of endpoints by label.
    pub subsets: Option<Subsets>,
    /// Below this share of healthy endpoints (percent) all are used. Default 50.
    pub panic_threshold_percent: f64,
    /// For TCP and TLS together. Default 5 s.
    pub connect_timeout: Duration,
    /// How much is buffered for a connection. Default 1 MiB.
    pub buffer_limit: u32,
    /// What is spoken.
    pub protocol: UpstreamProtocol,
    /// HTTP/1 settings.
    pub http1: UpstreamHttp1,
    /// HTTP/2 settings.
    pub http2: Http2Settings,
    /// A connection without a request is closed after this. Default 1 h; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// A connection is closed after this, once it is free.
    pub max_connection_duration: Option<Duration>,
    /// Requests per connection; `None`: any number.
    pub max_requests_per_connection: Option<u32>,
    /// A stream is reset after this.
    pub max_stream_duration: Option<Duration>,
    /// Thresholds by [`super::Priority`].
    pub breakers: [Thresholds; 2],
    /// Encryption; `None`: plaintext.
    pub tls: Option<Arc<UpstreamTls>>,
    /// `transport_socket_matches`: encryption by an endpoint's labels, first match wins; an endpoint that
    /// none matches uses [`Self::tls`]. See [`Self::tls_for`].
    pub transport_matches: Vec<TransportMatch>,
    /// TCP keep-alive of upstream connections.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// `metadata`.
    pub metadata: DynamicMetadata,
}

impl Cluster {
    /// The encryption for an endpoint with these labels (`envoy.transport_socket_match`).
    pub fn tls_for(&self, labels: &MetadataMap) -> Option<&Arc<UpstreamTls>> {
        self.transport_matches
            .iter()
            .find(|candidate| candidate.matches(labels))
            .map_or(self.tls.as_ref(), |candidate| candidate.tls.as_ref())
    }
}

/// `Cluster.TransportSocketMatch`.
#[derive(Debug)]
pub struct TransportMatch {
    /// Its name, for logs.
    pub name: Arc<str>,
    /// Labels an endpoint must carry, all of them; without any it matches every endpoint.
    pub labels: MetadataMap,
    /// Encryption; `None`: plaintext.
    pub tls: Option<Arc<UpstreamTls>>,
}

impl TransportMatch {
    /// Whether an endpoint with these labels is meant.
    pub fn matches(&self, labels: &MetadataMap) -> bool {
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// Where endpoints come from.
#[derive(Debug)]
pub enum Discovery {
    /// `STATIC`.
    Static(Arc<EndpointSet>),
    /// `STRICT_DNS` and `LOGICAL_DNS`.
    Dns(Dns),
    /// `EDS`.
    Eds {
        /// The name to ask for: `service_name`, or the cluster's.
        service_name: Arc<str>,
        /// After this the cluster is used without endpoints; zero: never. Default 15 s.
        initial_fetch_timeout: Duration,
        /// A file that holds the assignment instead of a control plane.
        path: Option<std::path::PathBuf>,
    },
}

/// Endpoints by name, resolved again and again.
#[derive(Debug)]
pub struct Dns {
    /// Endpoints whose address is still a name.
    pub targets: Vec<DnsTarget>,
    /// Localities by the `locality` of a target's template.
    pub localities: Vec<super::endpoint::Locality>,
    /// As [`EndpointSet::overprovisioning_factor`].
    pub overprovisioning_factor: u32,
    /// Whether every address is an endpoint (`STRICT_DNS`) or only the first (`LOGICAL_DNS`).
    pub strict: bool,
    /// How often to ask. Default 5 s.
    pub refresh_rate: Duration,
    /// How often after a failure; (base, max). Default the refresh rate.
    pub failure_refresh_rate: Option<(Duration, Duration)>,
    /// The record's time to live decides when to ask again.
    pub respect_ttl: bool,
    /// Which addresses count.
    pub family: DnsFamily,
}

/// One name to resolve, with what its endpoints have in common.
#[derive(Debug, Clone)]
pub struct DnsTarget {
    /// The host name, or an address.
    pub host: Arc<str>,
    /// The port.
    pub port: u16,
    /// The endpoint as configured, less its address.
    pub template: super::endpoint::Endpoint,
}

/// `Cluster.DnsLookupFamily`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DnsFamily {
    /// IPv6, and IPv4 if there is none (Envoy's default).
    #[default]
    Auto,
    /// Both.
    All,
    /// IPv4 only.
    V4Only,
    /// IPv6 only.
    V6Only,
    /// IPv4, and IPv6 if there is none.
    V4Preferred,
}

/// How an endpoint is picked.
#[derive(Debug, Clone, PartialEq)]
pub enum Balancer {
    /// The better of `choices` random endpoints by active requests; weighted when weights differ.
    LeastRequest {
        /// How many are compared. Default 2.
        choices: u32,
    },
    /// Any.
    Random,
    /// One after the other, by weight.
    RoundRobin,
}

/// `Cluster.LbSubsetConfig`.
#[derive(Debug, Clone)]
pub struct Subsets {
    /// What to do when no endpoint carries the labels asked for.
    pub fallback: SubsetFallback,
    /// The sets of keys by which subsets exist.
    pub selectors: Vec<BTreeSet<Arc<str>>>,
}

/// `LbSubsetFallbackPolicy`.
#[derive(Debug, Clone, Default)]
pub enum SubsetFallback {
    /// No endpoint.
    #[default]
    NoFallback,
    /// Any endpoint.
    AnyEndpoint,
    /// The endpoints with these labels.
    DefaultSubset(MetadataMap),
}

/// What is spoken with the endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, by prior knowledge or with ALPN `h2`.
    Http2,
    /// What ALPN agrees on (`auto_config`).
    Alpn,
    /// What the downstream request came with (`use_downstream_protocol_config`).
    Downstream,
}

/// HTTP/1 towards endpoints.
#[derive(Debug, Clone, Default)]
pub struct UpstreamHttp1 {
    /// Trailers are passed on.
    pub enable_trailers: bool,
}

/// `core.v3.Http2ProtocolOptions`, for both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http2Settings {
    /// Streams at a time. Default 1024 upstream (Envoy 1.40). Downstream 100, and 1,000 at most: what one client may
    /// make us do at once.
    pub max_concurrent_streams: u32,
    /// Bytes in flight per stream.
    pub initial_stream_window_size: u32,
    /// Bytes in flight per connection.
    pub initial_connection_window_size: u32,
    /// Extended CONNECT (RFC 8441) is allowed.
    pub allow_connect: bool,
    /// Pings keep the connection: (interval, timeout).
    pub keepalive: Option<(Duration, Duration)>,
}

/// `CircuitBreakers.Thresholds`.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// Connections. Default 1024.
    pub max_connections: u32,
    /// Requests that wait for a connection. Default 1024.
    pub max_pending_requests: u32,
    /// Requests in flight. Default 1024.
    pub max_requests: u32,
    /// Retries in flight. Default 3. Unused when a budget is set.
    pub max_retries: u32,
    /// Retries as a share of active requests: (percent, least number).
    pub retry_budget: Option<(f64, u32)>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 1024,
            max_retries: 3,
            retry_budget: None,
        }
    }
}

/// `core.v3.TcpKeepalive`.
#[derive(Debug, Clone, Default)]
pub struct TcpKeepalive {
    /// Unanswered probes before the connection is dead.
    pub probes: Option<u32>,
    /// Idle time before the first probe.
    pub time: Option<Duration>,
    /// Between two probes.
    pub interval: Option<Duration>,
}
