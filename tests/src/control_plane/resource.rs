//! Resources, written as YAML.

use palanquin_config::file::load_message;
use palanquin_proto::envoy::config::cluster::v3::Cluster;
use palanquin_proto::envoy::config::endpoint::v3::ClusterLoadAssignment;
use palanquin_proto::envoy::config::listener::v3::Listener;
use palanquin_proto::envoy::config::route::v3::RouteConfiguration;
use palanquin_proto::envoy::extensions::transport_sockets::tls::v3::Secret;
use prost::Message;
use prost::Name;
use prost_types::Any;

/// A type of resource, in the order in which a control plane should send them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// CDS.
    Cluster,
    /// EDS.
    Endpoints,
    /// LDS.
    Listener,
    /// RDS.
    Route,
    /// SDS.
    Secret,
}

impl Kind {
    /// Those that every proxy asks a control plane for.
    pub const ALL: [Self; 4] = [Self::Cluster, Self::Endpoints, Self::Listener, Self::Route];

    /// The type's URL.
    pub fn url(self) -> String {
        match self {
            Self::Cluster => Cluster::type_url(),
            Self::Endpoints => ClusterLoadAssignment::type_url(),
            Self::Listener => Listener::type_url(),
            Self::Route => RouteConfiguration::type_url(),
            Self::Secret => Secret::type_url(),
        }
    }

    pub(super) fn of(url: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Secret]).find(|kind| kind.url() == url)
    }
}

/// A resource for the table of the control plane.
#[derive(Debug, Clone)]
pub struct Resource {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) any: Any,
}

impl Resource {
    /// Any bytes under that name.
    pub fn raw(kind: Kind, name: &str, bytes: Vec<u8>) -> Self {
        Self { kind, name: name.to_owned(), any: Any { type_url: kind.url(), value: bytes } }
    }

    fn load<M: Message + Name + Default>(kind: Kind, yaml: &str, name: fn(&M) -> &str) -> Self {
        let message = load_message::<M>("resource", yaml)
            .unwrap_or_else(|report| panic!("{report}\nin\n{yaml}"))
            .message;
        Self::raw(kind, name(&message), message.encode_to_vec())
    }
}

/// A cluster.
pub fn cluster(yaml: &str) -> Resource {
    Resource::load::<Cluster>(Kind::Cluster, yaml, |message| &message.name)
}

/// The endpoints of a cluster.
pub fn endpoints(yaml: &str) -> Resource {
    Resource::load::<ClusterLoadAssignment>(Kind::Endpoints, yaml, |message| &message.cluster_name)
}

/// A listener.
pub fn listener(yaml: &str) -> Resource {
    Resource::load::<Listener>(Kind::Listener, yaml, |message| &message.name)
}

/// A route configuration.
pub fn route_table(yaml: &str) -> Resource {
    Resource::load::<RouteConfiguration>(Kind::Route, yaml, |message| &message.name)
}

/// A secret.
pub fn secret(yaml: &str) -> Resource {
    Resource::load::<Secret>(Kind::Secret, yaml, |message| &message.name)
}
