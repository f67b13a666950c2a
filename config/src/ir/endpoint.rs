//! Endpoints of a cluster.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use palanquin_filter_api::MetadataMap;

use super::Digest;

/// `endpoint.v3.ClusterLoadAssignment`: every endpoint of a cluster, flat.
#[derive(Debug, Default)]
pub struct EndpointSet {
    /// Digest of the resource it was lowered from.
    pub digest: Digest,
    /// The endpoints in configured order.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Localities by [`Endpoint::locality`].
    pub localities: Vec<Locality>,
    /// A priority counts as healthy while this share (percent) of it is. Default 140.
    pub overprovisioning_factor: u32,
}

/// `endpoint.v3.LbEndpoint`.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where it listens.
    pub address: Address,
    /// Its host name, for `auto_host_rewrite`; empty when none.
    pub hostname: Arc<str>,
    /// Its weight among its locality's. Default 1.
    pub weight: u32,
    /// Its priority, 0 first.
    pub priority: u32,
    /// Its place in [`EndpointSet::localities`].
    pub locality: u16,
    /// What the control plane knows of its health.
    pub health: Health,
    /// Its labels under `envoy.lb`.
    pub labels: MetadataMap,
    /// Its labels under `envoy.transport_socket_match`.
    pub transport_labels: MetadataMap,
}

/// `core.v3.Locality` with its weight.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locality {
    /// Region.
    pub region: Arc<str>,
    /// Zone.
    pub zone: Arc<str>,
    /// Sub-zone.
    pub sub_zone: Arc<str>,
    /// `load_balancing_weight`, if locality weights are used.
    pub weight: Option<u32>,
    /// Priority.
    pub priority: u32,
}

/// `core.v3.HealthStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Health {
    /// Used.
    #[default]
    Healthy,
    /// Used after the healthy ones.
    Degraded,
    /// Not used.
    Unhealthy,
    /// Not used for new requests.
    Draining,
}

/// Where something listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// IP address and port.
    Socket(SocketAddr),
    /// A Unix socket's path.
    Pipe(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Pipe(path) => path.display().fmt(f),
        }
    }
}
