//! Endpoints: `ClusterLoadAssignment`.

use std::sync::Arc;

use palanquin_filter_api::MetadataMap;
use palanquin_proto::envoy::config::core::v3::HealthStatus;
use palanquin_proto::envoy::config::core::v3::Metadata;
use palanquin_proto::envoy::config::endpoint::v3 as pb;

use super::Environment;
use super::Lowered;
use super::Lowering;
use super::Rejected;
use super::core::Target;
use super::core::metadata_map;
use crate::ir::Digest;
use crate::ir::cluster::DnsTarget;
use crate::ir::endpoint::Address;
use crate::ir::endpoint::Endpoint;
use crate::ir::endpoint::EndpointSet;
use crate::ir::endpoint::Health;
use crate::ir::endpoint::Locality;

/// `overprovisioning_factor` when it is not set, in percent.
pub(super) const OVERPROVISIONING: u32 = 140;
/// The highest priority number of the API.
const MAX_PRIORITY: u32 = 128;

/// Lowers a `ClusterLoadAssignment` as a control plane (or a file) sent it.
pub fn lower_cluster_load_assignment(
    environment: Environment<'_>,
    bytes: &[u8],
) -> Result<Lowered<EndpointSet>, Rejected> {
    let mut cx = Lowering::new(environment);
    let message: Option<pb::ClusterLoadAssignment> = cx.decode(bytes);
    let name = message.as_ref().map(|message| message.cluster_name.clone()).unwrap_or_default();
    let value = message.map(|message| cx.endpoints(&message, Digest::of(bytes)));
    cx.finish("ClusterLoadAssignment", &name, value)
}

/// An assignment whose addresses may be names.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    pub(super) endpoints: Vec<(Target, Endpoint)>,
    pub(super) localities: Vec<Locality>,
    pub(super) overprovisioning_factor: u32,
}

impl Lowering<'_> {
    /// An assignment whose addresses must be resolved. Wrong endpoints are left out (and reported).
    pub(super) fn endpoints(
        &mut self,
        message: &pb::ClusterLoadAssignment,
        digest: Digest,
    ) -> EndpointSet {
        let assignment = self.assignment(message, Names::Refused);
        let endpoints = assignment.endpoints.into_iter().map(|(_, endpoint)| Arc::new(endpoint));
        EndpointSet {
            digest,
            endpoints: endpoints.collect(),
            localities: assignment.localities,
            overprovisioning_factor: assignment.overprovisioning_factor,
        }
    }

    /// The targets of a cluster that resolves names.
    pub(super) fn dns_targets(
        &mut self,
        message: &pb::ClusterLoadAssignment,
    ) -> (Vec<DnsTarget>, Vec<Locality>, u32) {
        let assignment = self.assignment(message, Names::Accepted);
        let targets = assignment
            .endpoints
            .into_iter()
            .filter_map(|(target, template)| {
                let (host, port) = match target {
                    Target::Name { host, port } => (host, port),
                    Target::Resolved(Address::Socket(address)) => {
                        (address.ip().to_string(), address.port())
                    }
                    // Reported where it was read.
                    Target::Resolved(Address::Pipe(_)) => return None,
                };
                Some(DnsTarget { host: host.into(), port, template })
            })
            .collect();
        (targets, assignment.localities, assignment.overprovisioning_factor)
    }

    fn assignment(&mut self, message: &pb::ClusterLoadAssignment, names: Names) -> Assignment {
        if message.cluster_name.is_empty() {
            self.error_in("cluster_name", "must not be empty");
        }
        let policy = message.policy.as_ref();
        if policy.is_some_and(|policy| !policy.drop_overloads.is_empty()) {
            self.field("policy", |cx| {
                cx.warning_in("drop_overloads", "is not supported yet: no request is dropped");
            });
        }
        let mut assignment = Assignment {
            overprovisioning_factor: policy
                .and_then(|policy| policy.overprovisioning_factor)
                .unwrap_or(OVERPROVISIONING),
            ..Assignment::default()
        };
        for (index, locality) in message.endpoints.iter().enumerate() {
            self.item("endpoints", index, |cx| cx.locality(locality, names, &mut assignment));
        }
        assignment
    }

    fn locality(
        &mut self,
        message: &pb::LocalityLbEndpoints,
        names: Names,
        assignment: &mut Assignment,
    ) {
        if message.priority > MAX_PRIORITY {
            self.error_in("priority", format!("{} is more than {MAX_PRIORITY}", message.priority));
        }
        if message.load_balancing_weight == Some(0) {
            self.error_in("load_balancing_weight", "must be 1 or more");
        }
        if message.lb_config.is_some() {
            self.error_in("leds_cluster_locality_config", "LEDS is not supported yet");
        }
        let Ok(place) = u16::try_from(assignment.localities.len()) else {
            self.error("more than 65535 localities");
            return;
        };
        let locality = message.locality.clone().unwrap_or_default();
        assignment.localities.push(Locality {
            region: locality.region.into(),
            zone: locality.zone.into(),
            sub_zone: locality.sub_zone.into(),
            weight: message.load_balancing_weight,
            priority: message.priority,
        });
        let endpoints = self.list("lb_endpoints", &message.lb_endpoints, |cx, endpoint| {
            let (target, mut endpoint) = cx.lb_endpoint(endpoint, names)?;
            endpoint.locality = place;
            endpoint.priority = message.priority;
            Some((target, endpoint))
        });
        let sum: u64 = endpoints.iter().map(|(_, endpoint)| u64::from(endpoint.weight)).sum();
        if sum > u64::from(u32::MAX) {
            self.error_in("lb_endpoints", format!("the sum of weights exceeds {}", u32::MAX));
        }
        assignment.endpoints.extend(endpoints);
    }

    fn lb_endpoint(
        &mut self,
        message: &pb::LbEndpoint,
        names: Names,
    ) -> Option<(Target, Endpoint)> {
        use palanquin_proto::envoy::config::core::v3::address::Address as AddressKind;
        use pb::lb_endpoint::HostIdentifier;
        let Some(HostIdentifier::Endpoint(endpoint)) = &message.host_identifier else {
            self.error("an endpoint is necessary")
                .hint("endpoint: {address: {socket_address: ...}}");
            return None;
        };
        let weight = message.load_balancing_weight.unwrap_or(1);
        if weight == 0 {
            self.error_in("load_balancing_weight", "must be 1 or more");
        }
        let internal = endpoint
            .address
            .as_ref()
            .is_some_and(|a| matches!(a.address, Some(AddressKind::EnvoyInternalAddress(_))));
        if internal {
            // Ambient meshes send them beside ordinary endpoints.
            self.warning_in("endpoint", "internal addresses are not supported yet: never used");
            return None;
        }
        let target = self.field("endpoint", |cx| {
            cx.field("address", |cx| match names {
                Names::Accepted => {
                    let target = cx.target(endpoint.address.as_ref())?;
                    if let Target::Resolved(Address::Pipe(_)) = target {
                        cx.error("a name or an IP address is necessary in a DNS cluster");
                        return None;
                    }
                    Some(target)
                }
                Names::Refused => cx.address(endpoint.address.as_ref()).map(Target::Resolved),
            })
        })?;
        let address = match &target {
            Target::Resolved(address) => address.clone(),
            // Resolution replaces it.
            Target::Name { port, .. } => {
                Address::Socket((std::net::Ipv4Addr::UNSPECIFIED, *port).into())
            }
        };
        let health = match message.health_status() {
            HealthStatus::Unknown | HealthStatus::Healthy => Health::Healthy,
            HealthStatus::Degraded => Health::Degraded,
            HealthStatus::Unhealthy | HealthStatus::Timeout => Health::Unhealthy,
            HealthStatus::Draining => Health::Draining,
        };
        Some((
            target,
            Endpoint {
                address,
                hostname: endpoint.hostname.as_str().into(),
                weight,
                priority: 0,
                locality: 0,
                health,
                labels: labels(message.metadata.as_ref(), "envoy.lb"),
                transport_labels: labels(message.metadata.as_ref(), "envoy.transport_socket_match"),
            },
        ))
    }
}

/// Whether an endpoint's address may be a name.
#[derive(Debug, Clone, Copy)]
enum Names {
    Accepted,
    Refused,
}

fn labels(metadata: Option<&Metadata>, namespace: &str) -> MetadataMap {
    metadata
        .and_then(|metadata| metadata.filter_metadata.get(namespace))
        .map(metadata_map)
        .unwrap_or_default()
}
