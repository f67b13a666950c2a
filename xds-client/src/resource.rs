//! What a resource is to this crate: a type URL, a name, a version and bytes.

use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use prost::encoding::DecodeContext;
use prost::encoding::WireType;

/// The name that stands for every resource of a type.
pub const WILDCARD: &str = "*";

/// How updates travel. Fixed for the life of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Incremental: each response carries what changed and names what was removed.
    Delta,
    /// State of the world: each response carries everything (listeners, clusters), or everything
    /// the server wants to tell about the requested names (the others).
    Sotw,
}

impl Protocol {
    /// The gRPC method of the aggregated service.
    pub fn aggregated_method(self) -> &'static str {
        match self {
            Self::Delta => {
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
            }
            Self::Sotw => {
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
            }
        }
    }
}

impl Protocol {
    /// The gRPC method of the service of secrets.
    pub fn secrets_method(self) -> &'static str {
        match self {
            Self::Delta => "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets",
            Self::Sotw => "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
        }
    }
}

/// A kind of resource and its rules in the protocol.
#[derive(Debug, Clone)]
pub struct ResourceType {
    type_url: Arc<str>,
    noun: &'static str,
    full_state_in_sotw: bool,
    max_unanswered: NonZeroUsize,
}

impl ResourceType {
    /// Any type. `noun` is for error texts ("cluster"). Absence never deletes, one update at a time.
    ///
    /// The resource's name must be the string field 1 of the message, as in every type that Envoy's
    /// API discovers.
    pub fn custom(type_url: impl Into<Arc<str>>, noun: &'static str) -> Self {
        let max_unanswered = NonZeroUsize::MIN;
        Self { type_url: type_url.into(), noun, full_state_in_sotw: false, max_unanswered }
    }

    /// Listeners (LDS).
    pub fn listener() -> Self {
        Self::custom("type.googleapis.com/envoy.config.listener.v3.Listener", "listener")
            .with_full_state_in_sotw()
    }

    /// Route configurations (RDS).
    pub fn route() -> Self {
        Self::custom("type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "route")
    }

    /// Clusters (CDS). Up to eight updates may be unanswered: as in Envoy, a later push is handled
    /// while the clusters of an earlier one still warm, and may be what ends the warming.
    pub fn cluster() -> Self {
        let eight = NonZeroUsize::MIN.saturating_add(7);
        Self::custom("type.googleapis.com/envoy.config.cluster.v3.Cluster", "cluster")
            .with_full_state_in_sotw()
            .with_max_unanswered(eight)
    }

    /// Endpoints (EDS).
    pub fn endpoint() -> Self {
        Self::custom(
            "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            "endpoint",
        )
    }

    /// Secrets (SDS).
    pub fn secret() -> Self {
        Self::custom(
            "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            "secret",
        )
    }

    /// A state-of-the-world response is complete: what it does not carry is removed (gRFC A53).
    #[must_use]
    pub fn with_full_state_in_sotw(mut self) -> Self {
        self.full_state_in_sotw = true;
        self
    }

    /// How many updates the owner may have in hand. Further responses are read and held; when
    /// four of a type are held, nothing more is read from the stream until an answer is given.
    #[must_use]
    pub fn with_max_unanswered(mut self, max_unanswered: NonZeroUsize) -> Self {
        self.max_unanswered = max_unanswered;
        self
    }

    /// The URL that an `Any` of this type carries.
    pub fn type_url(&self) -> &Arc<str> {
        &self.type_url
    }

    pub(crate) fn noun(&self) -> &'static str {
        self.noun
    }

    pub(crate) fn is_full_state_in_sotw(&self) -> bool {
        self.full_state_in_sotw
    }

    pub(crate) fn max_unanswered(&self) -> usize {
        self.max_unanswered.get()
    }
}

/// One resource as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The name, unique within its type.
    pub name: Arc<str>,
    /// Incremental: the resource's own version. State of the world: that of the response.
    pub version: Arc<str>,
    /// The encoded message; its type is the type of the update.
    pub body: Bytes,
    /// Whether there is anything new in it.
    pub change: Change,
}

/// How a resource compares with the one accepted last under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// New, or other bytes.
    Changed,
    /// The same bytes (by a 64-bit hash); lowering it again can be skipped.
    Unchanged,
}

/// Why resources are absent although no update said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// The time to live of `Resource.ttl` ran out and no heartbeat came.
    Expired,
    /// Nothing came within the initial fetch timeout. Envoy goes on with an empty resource; a
    /// later one is still delivered. The name `*` stands for the type as a whole.
    TimedOut,
}

/// Reads the name, string field 1, out of an encoded resource without decoding the rest. Holds for every
/// type that Envoy's API discovers, whatever the field is called there.
///
/// `None` if the bytes are no protobuf message or the name is no string. Walks all top-level
/// fields, since the last occurrence of a field counts.
pub fn peek_name(mut body: &[u8]) -> Option<&str> {
    let mut name = "";
    while !body.is_empty() {
        let (tag, wire_type) = prost::encoding::decode_key(&mut body).ok()?;
        if tag == 1 && wire_type == WireType::LengthDelimited {
            let length = usize::try_from(prost::encoding::decode_varint(&mut body).ok()?).ok()?;
            let (value, rest) = body.split_at_checked(length)?;
            name = std::str::from_utf8(value).ok()?;
            body = rest;
        } else {
            let context = DecodeContext::default();
            prost::encoding::skip_field(wire_type, tag, &mut body, context).ok()?;
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use palanquin_proto::envoy::config::endpoint::v3::ClusterLoadAssignment;
    use palanquin_proto::envoy::config::endpoint::v3::LocalityLbEndpoints;
    use prost::Message;

    use super::*;

    #[test]
    fn the_name_is_read_without_decoding_the_message() {
        let mut message = ClusterLoadAssignment { cluster_name: "c1".into(), ..Default::default() };
        message.endpoints.push(LocalityLbEndpoints::default());
        assert_eq!(peek_name(&message.encode_to_vec()), Some("c1"));
    }

    #[test]
    fn the_last_occurrence_of_the_name_counts() {
        assert_eq!(peek_name(b"\x0a\x01a\x10\x05\x0a\x01b"), Some("b"));
    }

    #[test]
    fn bytes_that_are_no_message_have_no_name() {
        assert_eq!(peek_name(b"\x0a\xff\xff\xff\xff\x0fabc"), None);
        assert_eq!(peek_name(b"\xff"), None);
        assert_eq!(peek_name(b"\x0a\x01\xff"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_peek_panic(body: Vec<u8>) {
            let _ = peek_name(&body);
        }
    }
}
