//! Endpoints by name: `STRICT_DNS` and `LOGICAL_DNS` clusters, resolved again and again on the control
//! thread.
//!
//! As Envoy: a name that does not exist, or has no address, empties its endpoints; a resolver that does
//! not answer changes nothing. The cluster is warm once the first of its names was asked for, however that
//! went. Unlike Envoy a `LOGICAL_DNS` cluster stays with its address as long as the name has it, so that
//! name servers that rotate their answers do not cost connections.

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::future::join_all;
use tokio::task::AbortHandle;

use palanquin_config::ir::Digest;
use palanquin_config::ir::cluster::Discovery;
use palanquin_config::ir::cluster::Dns;
use palanquin_config::ir::cluster::DnsFamily;
use palanquin_config::ir::cluster::DnsTarget;
use palanquin_config::ir::endpoint::Address;
use palanquin_config::ir::endpoint::Endpoint;
use palanquin_config::ir::endpoint::EndpointSet;
use palanquin_filter_api::stats::cluster as stat;

use super::cluster::Cluster;
use crate::worker::Rng;

mod schedule;
mod system;
#[cfg(test)]
mod tests;

use schedule::Schedule;

pub use system::SystemResolver;

/// Resolves names.
pub trait Resolve {
    /// The addresses of `host`. A name that does not exist has none; that is an answer, not an error.
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        family: DnsFamily,
    ) -> LocalBoxFuture<'a, Result<Answer, ResolveError>>;
}

/// What a resolver found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// In the order of preference.
    pub addresses: Vec<IpAddr>,
    /// For how long it is valid; `None` when it does not say.
    pub ttl: Option<Duration>,
}

/// No resolver answered, or not to the question.
#[derive(Debug, Clone, thiserror::Error)]
#[error("name resolution failed: {reason}")]
pub struct ResolveError {
    /// The resolver's own words.
    pub reason: String,
}

/// Keeps the endpoints of a cluster resolved, by the system's resolver, until the task is aborted. Call it
/// on the control thread, within its `LocalRuntime`.
pub fn start(cluster: Arc<Cluster>) -> AbortHandle {
    let resolver = Rc::new(SystemResolver::default());
    tokio::task::spawn_local(keep_resolved(cluster, resolver)).abort_handle()
}

/// Keeps the endpoints of a cluster resolved; never ends. Drop it when the cluster goes. A cluster of
/// another discovery type has nothing to resolve.
pub async fn keep_resolved(cluster: Arc<Cluster>, resolver: Rc<dyn Resolve>) {
    let Discovery::Dns(dns) = &cluster.config.discovery else { return };
    let resolved = RefCell::new(vec![Vec::new(); dns.targets.len()]);
    let targets = dns.targets.iter().enumerate().map(|(place, target)| Watched {
        cluster: &cluster,
        dns,
        target,
        place,
        resolved: &resolved,
        resolver: &*resolver,
    });
    join_all(targets.map(Watched::run)).await;
}

/// One name of a cluster.
struct Watched<'a> {
    cluster: &'a Cluster,
    dns: &'a Dns,
    target: &'a DnsTarget,
    place: usize,
    /// The addresses of every name of the cluster.
    resolved: &'a RefCell<Vec<Vec<IpAddr>>>,
    resolver: &'a dyn Resolve,
}

impl Watched<'_> {
    #[expect(clippy::infinite_loop, reason = "runs until its task is aborted")]
    async fn run(self) {
        let mut schedule = Schedule::new(self.dns);
        let rng = Rng::from_system();
        loop {
            let stats = self.cluster.stats();
            stats.inc(stat::UPDATE_ATTEMPT);
            let pause = match self.resolver.resolve(&self.target.host, self.dns.family).await {
                Ok(answer) => {
                    stats.inc(stat::UPDATE_SUCCESS);
                    if answer.addresses.is_empty() {
                        stats.inc(stat::UPDATE_EMPTY);
                    }
                    let pause = schedule.after_success(answer.ttl);
                    self.take(answer.addresses);
                    pause
                }
                Err(error) => {
                    stats.inc(stat::UPDATE_FAILURE);
                    let cluster = &self.cluster.config.name;
                    tracing::debug!(%error, %cluster, host = %self.target.host, "name resolution failed");
                    schedule.after_failure(&rng)
                }
            };
            self.cluster.set_warm();
            tokio::time::sleep(pause).await;
        }
    }

    /// Publishes the endpoints if the addresses changed.
    fn take(&self, found: Vec<IpAddr>) {
        let is_changed = {
            let known = &mut self.resolved.borrow_mut()[self.place];
            let found = if self.dns.strict { distinct(found) } else { keep_one(known, found) };
            let is_same = found.len() == known.len() && found.iter().all(|ip| known.contains(ip));
            if !is_same {
                *known = found;
            }
            !is_same
        };
        if is_changed || !self.cluster.is_warm() {
            let endpoints = endpoints(self.dns, &self.resolved.borrow());
            self.cluster.update_endpoints(Arc::new(endpoints));
        } else {
            self.cluster.stats().inc(stat::UPDATE_NO_REBUILD);
        }
    }
}

fn distinct(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut seen = HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    addresses
}

/// The one address of a logical cluster: the one in use if it is still there, or the first.
fn keep_one(known: &[IpAddr], found: Vec<IpAddr>) -> Vec<IpAddr> {
    let kept = known.first().filter(|address| found.contains(address));
    kept.or_else(|| found.first()).copied().into_iter().collect()
}

/// The endpoints of all names; an address that several give counts once, for the first of them.
fn endpoints(dns: &Dns, resolved: &[Vec<IpAddr>]) -> EndpointSet {
    let mut seen = HashSet::new();
    let endpoints = dns
        .targets
        .iter()
        .zip(resolved)
        .flat_map(|(target, addresses)| addresses.iter().map(move |ip| (target, *ip)))
        .filter(|(target, ip)| seen.insert(SocketAddr::new(*ip, target.port)))
        .map(|(target, ip)| Arc::new(endpoint(target, ip)))
        .collect();
    EndpointSet {
        digest: Digest::default(),
        endpoints,
        localities: dns.localities.clone(),
        overprovisioning_factor: dns.overprovisioning_factor,
    }
}

fn endpoint(target: &DnsTarget, ip: IpAddr) -> Endpoint {
    let mut endpoint = target.template.clone();
    endpoint.address = Address::Socket(SocketAddr::new(ip, target.port));
    if endpoint.hostname.is_empty() {
        endpoint.hostname = Arc::clone(&target.host);
    }
    endpoint
}
