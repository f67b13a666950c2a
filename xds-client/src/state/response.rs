//! A discovery response, the same for both protocols.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use palanquin_proto::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use palanquin_proto::envoy::service::discovery::v3::DiscoveryResponse;
use palanquin_proto::envoy::service::discovery::v3::Resource as Wrapper;
use prost::Message;
use prost::Name;
use prost_types::Any;

use crate::error::ResourceError;
use crate::resource::peek_name;

/// One response of the control plane, read but not judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The type of all its resources.
    pub type_url: String,
    /// `version_info`, or `system_version_info` in the incremental protocol.
    pub version: Arc<str>,
    /// What the answer must echo.
    pub nonce: String,
    /// `control_plane.identifier`, empty if absent.
    pub control_plane: String,
    /// The resources in the order of the response.
    pub resources: Vec<Entry>,
    /// Names the server says do not exist (any more). Incremental only.
    pub removed: Vec<Arc<str>>,
    /// Resources that could not be read.
    pub invalid: Vec<Unreadable>,
    /// `resource_errors`: what the server could not deliver, for the log.
    pub server_errors: Vec<ResourceError>,
}

/// One resource of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, never empty.
    pub name: Arc<str>,
    /// Its own version or that of the response.
    pub version: Arc<str>,
    /// The encoded message; a heartbeat has none.
    pub body: Option<Bytes>,
    /// How long it lives without a heartbeat.
    pub ttl: Option<Duration>,
}

/// A resource that could not be read, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its name or, without one, its place in the response.
    pub error: ResourceError,
    /// Whether the error carries a real name.
    pub is_named: bool,
}

impl From<DiscoveryResponse> for Response {
    fn from(message: DiscoveryResponse) -> Self {
        let mut response = Self {
            type_url: message.type_url,
            version: message.version_info.into(),
            nonce: message.nonce,
            control_plane: message.control_plane.map(|it| it.identifier).unwrap_or_default(),
            server_errors: server_errors(message.resource_errors),
            ..Self::default()
        };
        for (position, any) in message.resources.into_iter().enumerate() {
            // The wrapper carries a TTL, or a name that the message itself does not have.
            let wrapper = if any.type_url == Wrapper::type_url() {
                Wrapper::decode(&*any.value).map_err(|error| error.to_string())
            } else {
                Ok(Wrapper { resource: Some(any), ..Wrapper::default() })
            };
            match wrapper {
                Ok(wrapper) => response.read(position, wrapper, Versions::Shared),
                Err(problem) => response.refuse(position, "", problem),
            }
        }
        response
    }
}

impl From<DeltaDiscoveryResponse> for Response {
    fn from(message: DeltaDiscoveryResponse) -> Self {
        let more_removed = message.removed_resource_names.into_iter().map(|it| it.name);
        let mut response = Self {
            type_url: message.type_url,
            version: message.system_version_info.into(),
            nonce: message.nonce,
            control_plane: message.control_plane.map(|it| it.identifier).unwrap_or_default(),
            removed: message
                .removed_resources
                .into_iter()
                .chain(more_removed)
                .map(Arc::from)
                .collect(),
            server_errors: server_errors(message.resource_errors),
            ..Self::default()
        };
        for (position, wrapper) in message.resources.into_iter().enumerate() {
            response.read(position, wrapper, Versions::Own);
        }
        response
    }
}

/// Where a resource's version stands.
enum Versions {
    /// In the resource.
    Own,
    /// In the response.
    Shared,
}

impl Response {
    fn read(&mut self, position: usize, wrapper: Wrapper, versions: Versions) {
        let Wrapper { mut name, version, resource, ttl, .. } = wrapper;
        if let Some(Any { type_url, .. }) = &resource
            && *type_url != self.type_url
        {
            let problem = format!(
                "type URL {type_url} embedded in an individual Any does not match the message-wide \
                 type URL {} in DiscoveryResponse",
                self.type_url
            );
            return self.refuse(position, &name, problem);
        }
        let body = resource.map(|any| Bytes::from(any.value));
        if let Some(body) = &body {
            let Some(inner) = peek_name(body) else {
                return self.refuse(
                    position,
                    &name,
                    "the resource is no valid protobuf message".into(),
                );
            };
            if name.is_empty() {
                inner.clone_into(&mut name);
            }
        }
        if name.is_empty() {
            return self.refuse(position, "", "the resource has no name".into());
        }
        let ttl = match ttl.map(Duration::try_from).transpose() {
            Ok(ttl) => ttl,
            Err(error) => return self.refuse(position, &name, format!("ttl: {error}")),
        };
        let version = match versions {
            Versions::Own => version.into(),
            Versions::Shared => self.version.clone(),
        };
        self.resources.push(Entry { name: name.into(), version, body, ttl });
    }

    fn refuse(&mut self, position: usize, name: &str, problem: String) {
        let is_named = !name.is_empty();
        let name = if is_named { name.into() } else { format!("resources[{position}]") };
        self.invalid.push(Unreadable { error: ResourceError::new(name, problem), is_named });
    }
}

fn server_errors(
    errors: Vec<palanquin_proto::envoy::service::discovery::v3::ResourceError>,
) -> Vec<ResourceError> {
    errors
        .into_iter()
        .map(|error| {
            let name = error.resource_name.map(|it| it.name).unwrap_or_default();
            ResourceError::new(name, error.error_detail.map(|it| it.message).unwrap_or_default())
        })
        .collect()
}
