//! The hosts of a cluster at one moment, arranged for picking. Made on the control thread, swapped as a
//! whole, read by all workers.

use std::collections::HashMap;
use std::sync::Arc;

use palanquin_config::ir::Digest;
use palanquin_config::ir::cluster::Cluster;
use palanquin_config::ir::endpoint::Endpoint;
use palanquin_config::ir::endpoint::EndpointSet;
use palanquin_config::ir::endpoint::Health;
use palanquin_config::ir::endpoint::Locality;

use super::balance::group::Builder;
use super::balance::group::Group;
use super::balance::subset::SubsetIndex;
use super::host::EndpointId;
use super::host::Host;

/// The hosts of a cluster.
#[derive(Debug)]
pub struct HostSet {
    members: Box<[Member]>,
    localities: Box<[Locality]>,
    everyone: Group,
    subsets: Option<SubsetIndex>,
    cursors: u32,
    source: Arc<EndpointSet>,
}

/// A host as it is configured at the moment.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its identity and counts.
    pub host: Arc<Host>,
    /// Its weight, health, labels.
    pub endpoint: Arc<Endpoint>,
}

/// What an update changed, for the statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// Hosts came or went.
    Changed,
    /// The same hosts, perhaps with other weights, health or labels.
    Same,
}

impl HostSet {
    /// Arranges `endpoints` as the cluster's balancing settings say. Hosts of `previous` are the same
    /// hosts in the new set, with their counts and, on each worker, their connections.
    pub fn build(endpoints: Arc<EndpointSet>, cluster: &Cluster, previous: Option<&Self>) -> Self {
        let mut known: HashMap<EndpointId, Arc<Host>> = previous
            .into_iter()
            .flat_map(|set| set.members.iter())
            .map(|Member { host, .. }| (host.endpoint().clone(), Arc::clone(host)))
            .collect();
        let members: Box<[Member]> = endpoints
            .endpoints
            .iter()
            .map(|endpoint| {
                let id = EndpointId {
                    address: endpoint.address.clone(),
                    hostname: Arc::clone(&endpoint.hostname),
                    transport: cluster
                        .transport_matches
                        .iter()
                        .position(|candidate| candidate.matches(&endpoint.transport_labels)),
                };
                let host = known.entry(id).or_insert_with_key(|id| Arc::new(Host::new(id.clone())));
                Member { host: Arc::clone(host), endpoint: Arc::clone(endpoint) }
            })
            .collect();
        let localities: Box<[Locality]> = endpoints.localities.clone().into();
        let weighted = if cluster.locality_weighted { &*localities } else { &[] };
        let overprovisioning = match endpoints.overprovisioning_factor {
            0 => DEFAULT_OVERPROVISIONING,
            factor => factor,
        };
        let mut builder =
            Builder::new(&members, weighted, overprovisioning, cluster.panic_threshold_percent);
        let places: Vec<u32> = (0_u32..).zip(&members).map(|(place, _)| place).collect();
        let everyone = builder.group(&places);
        let subsets = cluster
            .subsets
            .as_ref()
            .filter(|subsets| !subsets.selectors.is_empty())
            .map(|subsets| SubsetIndex::build(subsets, &members, &mut builder));
        let cursors = builder.cursors();
        Self { members, localities, everyone, subsets, cursors, source: endpoints }
    }

    /// The hosts in configured order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The locality of a member, if it has one.
    pub fn locality(&self, member: &Member) -> Option<&Locality> {
        self.localities.get(usize::from(member.endpoint.locality))
    }

    /// How many hosts have this health.
    pub fn count(&self, health: Health) -> usize {
        self.members.iter().filter(|member| member.endpoint.health == health).count()
    }

    /// The endpoints it was made of.
    pub fn source(&self) -> &Arc<EndpointSet> {
        &self.source
    }

    /// True when it was made of endpoints with this digest.
    pub fn has_digest(&self, digest: Digest) -> bool {
        digest != Digest::default() && self.source.digest == digest
    }

    /// Whether hosts came or went since `previous`.
    pub fn membership_since(&self, previous: &Self) -> Membership {
        let same = self.members.len() == previous.members.len()
            && self
                .members
                .iter()
                .zip(&previous.members)
                .all(|(a, b)| Arc::ptr_eq(&a.host, &b.host));
        if same {
            return Membership::Same;
        }
        let hosts = |set: &Self| -> std::collections::HashSet<*const Host> {
            set.members.iter().map(|member| Arc::as_ptr(&member.host)).collect()
        };
        if hosts(self) == hosts(previous) { Membership::Same } else { Membership::Changed }
    }

    pub(super) fn everyone(&self) -> &Group {
        &self.everyone
    }

    pub(super) fn subsets(&self) -> Option<&SubsetIndex> {
        self.subsets.as_ref()
    }

    pub(super) fn cursors(&self) -> usize {
        self.cursors as usize
    }
}

/// Percent; `ClusterLoadAssignment.Policy.overprovisioning_factor`.
const DEFAULT_OVERPROVISIONING: u32 = 140;
