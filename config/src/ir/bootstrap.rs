//! The bootstrap: who we are, where resources come from, how the process runs.

use std::sync::Arc;
use std::time::Duration;

use palanquin_proto::envoy::config::core::v3::Node;

use super::cluster::Cluster;
use super::endpoint::Address;
use super::listener::Listener;
use super::tls::Secret;

/// `bootstrap.v3.Bootstrap`.
#[derive(Debug)]
pub struct Bootstrap {
    /// Who we are, as it is sent to control planes.
    pub node: Node,
    /// Static listeners.
    pub listeners: Vec<Arc<Listener>>,
    /// Static clusters.
    pub clusters: Vec<Arc<Cluster>>,
    /// Static secrets.
    pub secrets: Vec<StaticSecret>,
    /// Where dynamic resources come from.
    pub dynamic: DynamicResources,
    /// The admin endpoint; `None`: none.
    pub admin: Option<Admin>,
}

/// One of `static_resources.secrets`.
#[derive(Debug, Clone)]
pub struct StaticSecret {
    /// Its name.
    pub name: Arc<str>,
    /// The secret.
    pub secret: Secret,
}

/// `Bootstrap.DynamicResources`.
#[derive(Debug, Clone, Default)]
pub struct DynamicResources {
    /// The ADS server, when there is one.
    pub ads: Option<Ads>,
    /// Where listeners come from.
    pub lds: ResourceSource,
    /// Where clusters come from.
    pub cds: ResourceSource,
}

/// Where resources of a type come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ResourceSource {
    /// Nowhere.
    #[default]
    None,
    /// The ADS stream.
    Ads {
        /// After this it is known that none come; zero: never. Default 15 s.
        initial_fetch_timeout: Duration,
    },
    /// A file, watched.
    Path(std::path::PathBuf),
}

/// `ApiConfigSource` of the ADS server, or of another service with a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ads {
    /// Incremental or state of the world.
    pub delta: bool,
    /// The clusters of the control plane, tried in order.
    pub clusters: Vec<Arc<str>>,
    /// `:authority`; the cluster's name when empty.
    pub authority: Arc<str>,
    /// Metadata of the stream.
    pub metadata: Vec<(Arc<str>, Arc<str>)>,
    /// The node is sent with the first request only.
    pub node_on_first_message_only: bool,
}

/// `bootstrap.v3.Admin`.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where it listens.
    pub address: Address,
}
