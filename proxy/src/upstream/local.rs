//! One worker's side of a cluster: where its rotations stand, and its connections.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::rc::Weak;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use foldhash::fast::FixedState;
use http::StatusCode;
use http::uri::Scheme;
use smallvec::SmallVec;

use palanquin_config::ir::Priority;
use palanquin_config::ir::cluster::UpstreamProtocol;
use palanquin_filter_api::MetadataValue;
use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::cluster as stat;

use super::balance::Labels;
use super::balance::LocalBalancer;
use super::balance::SubsetUse;
use super::breaker::LocalBreaker;
use super::cluster::Cluster;
use super::failure::SendFailure;
use super::host::Host;
use super::host_set::HostSet;
use super::pool::Pool;
use super::pool::Sent;
use super::pool::protocol_of;
use crate::codec::Outgoing;
use crate::codec::h1;
use crate::codec::h2;
use crate::worker::Rng;

/// What a pick depends on.
#[derive(Debug, Clone, Copy)]
pub struct PickCx<'a> {
    /// Labels the route asks for.
    pub subset: &'a [(Arc<str>, MetadataValue)],
    /// Labels the weighted cluster asks for.
    pub weighted_subset: &'a [(Arc<str>, MetadataValue)],
    /// Labels a filter asks for.
    pub labels: &'a [(Arc<str>, Arc<str>)],
    /// Hosts to avoid if others are there: tried before.
    pub avoid: &'a [Arc<Host>],
    /// How often a pick may be repeated for that.
    pub re_picks: u32,
    /// The worker's.
    pub rng: &'a Rng,
}

/// A cluster on one worker. Made on first use.
pub struct LocalCluster {
    shared: Rc<Shared>,
    breakers: [LocalBreaker; 2],
    balancer: LocalBalancer,
    hosts: RefCell<Arc<HostSet>>,
    /// By the address of the `Host` in memory, which the peer keeps alive.
    peers: RefCell<HashMap<*const Host, Peer, FixedState>>,
}

/// What the pools of a cluster share.
pub(super) struct Shared {
    pub(super) cluster: Arc<Cluster>,
    pub(super) http1: Rc<h1::ClientSettings>,
    pub(super) http2: h2::ClientSettings,
    local: Weak<LocalCluster>,
    is_looked_after: Cell<bool>,
}

/// The pools at one host.
struct Peer {
    _host: Arc<Host>,
    pools: SmallVec<[(PoolKey, Rc<Pool>); 1]>,
}

/// Breakers count by priority, and a connection speaks one protocol.
type PoolKey = (Priority, UpstreamProtocol);

impl LocalCluster {
    /// This worker's side of `cluster`. Must be used within a `LocalRuntime` or `LocalSet`.
    pub fn new(cluster: Arc<Cluster>) -> Rc<Self> {
        Rc::new_cyclic(|local| {
            let config = &cluster.config;
            let breaker = |priority| LocalBreaker::new(Arc::clone(cluster.breaker(priority)));
            let trailers = if config.http1.enable_trailers {
                h1::Trailers::Forward
            } else {
                h1::Trailers::Drop
            };
            let http1 = h1::ClientSettings { trailers, ..h1::ClientSettings::default() };
            let http2 = h2::ClientSettings {
                max_concurrent_streams: config.http2.max_concurrent_streams,
                initial_stream_window_size: config.http2.initial_stream_window_size,
                initial_connection_window_size: config.http2.initial_connection_window_size,
                max_header_list_size: MAX_RESPONSE_HEADERS,
                scheme: Scheme::HTTP,
                keepalive: config
                    .http2
                    .keepalive
                    .map(|(interval, timeout)| h2::KeepaliveSettings { interval, timeout }),
            };
            Self {
                breakers: [breaker(Priority::Default), breaker(Priority::High)],
                balancer: LocalBalancer::new(config.balancer.clone()),
                hosts: RefCell::new(cluster.hosts()),
                peers: RefCell::default(),
                shared: Rc::new(Shared {
                    http1: Rc::new(http1),
                    http2,
                    local: Weak::clone(local),
                    is_looked_after: Cell::new(false),
                    cluster,
                }),
            }
        })
    }

    /// What all workers share of it.
    pub fn shared(&self) -> &Arc<Cluster> {
        &self.shared.cluster
    }

    /// `cluster.<name>.*`.
    pub fn stats(&self) -> &Arc<Scope> {
        self.shared.cluster.stats()
    }

    /// The limits for requests of this priority.
    pub fn breaker(&self, priority: Priority) -> &LocalBreaker {
        &self.breakers[priority as usize]
    }

    /// Picks the host of an attempt.
    ///
    /// # Errors
    /// [`SendFailure::NoHealthyUpstream`].
    pub fn pick(&self, cx: &PickCx<'_>) -> Result<Arc<Host>, SendFailure> {
        self.refresh();
        let hosts = self.hosts.borrow();
        let labels =
            Labels { route: cx.subset, weighted_cluster: cx.weighted_subset, filter: cx.labels };
        for left in (0..=cx.re_picks.max(RE_PICKS)).rev() {
            let picked = self.balancer.pick(&hosts, &labels, cx.rng);
            if picked.panic {
                self.stats().inc(stat::LB_HEALTHY_PANIC);
            }
            match picked.subset {
                SubsetUse::Fallback => self.stats().inc(stat::LB_SUBSETS_FALLBACK),
                SubsetUse::None => {}
                SubsetUse::Selected => self.stats().inc(stat::LB_SUBSETS_SELECTED),
            }
            let Some(place) = picked.host else { break };
            let host = &hosts.members()[place].host;
            if left == 0 || !cx.avoid.iter().any(|tried| Arc::ptr_eq(tried, host)) {
                return Ok(Arc::clone(host));
            }
        }
        self.stats().inc(stat::UPSTREAM_CX_NONE_HEALTHY);
        Err(SendFailure::NoHealthyUpstream)
    }

    /// Sends `request` to `host` and waits for the head of the response. The request's body is consumed;
    /// [`SendFailure::is_request_touched`] says whether any of it may have left.
    ///
    /// Dropping the future gives up: a place in the queue is left, a connection in use is closed (HTTP/1)
    /// or its stream reset (HTTP/2).
    ///
    /// # Errors
    /// See [`SendFailure`].
    pub async fn send(
        &self,
        host: &Arc<Host>,
        request: &mut Outgoing,
        priority: Priority,
    ) -> Result<Sent, SendFailure> {
        let protocol = protocol_of(self.shared.cluster.config.protocol, request.head.version);
        self.pool(host, priority, protocol).send(request).await
    }

    /// Counts a response of an upstream that goes downstream.
    pub fn count_response(&self, status: StatusCode, elapsed: Duration) {
        self.count_local_response(status);
        self.stats().record(stat::UPSTREAM_RQ_TIME, elapsed);
    }

    /// Counts an answer the proxy gives in an upstream's stead.
    pub fn count_local_response(&self, status: StatusCode) {
        let stats = self.stats();
        stats.inc(stat::UPSTREAM_RQ_COMPLETED);
        stats.code(ALL_CODES, status);
        stats.code(EXTERNAL_CODES, status);
    }

    /// Closes connections that are idle for too long, too old, closed by the peer, or to hosts that are
    /// gone. True while there is a connection to look after. `now` is an argument for tests' sake; a task
    /// calls this as long as there is something to do.
    pub fn sweep(&self, now: Instant) -> bool {
        self.refresh();
        let pools: SmallVec<[Rc<Pool>; 8]> =
            self.peers.borrow().values().flat_map(Peer::pools).cloned().collect();
        let mut is_needed = false;
        for pool in pools {
            is_needed |= pool.sweep(now);
        }
        is_needed
    }

    /// Takes in a changed host set: rotations begin anew, pools of hosts that are gone are drained.
    fn refresh(&self) {
        if self.shared.cluster.is_current(&self.hosts.borrow()) {
            return;
        }
        let hosts = self.shared.cluster.hosts();
        self.balancer.reset();
        let gone: Vec<Peer> = {
            let stays: std::collections::HashSet<*const Host> =
                hosts.members().iter().map(|member| Arc::as_ptr(&member.host)).collect();
            self.peers
                .borrow_mut()
                .extract_if(|host, _| !stays.contains(host))
                .map(|(_, peer)| peer)
                .collect()
        };
        *self.hosts.borrow_mut() = hosts;
        for pool in gone.iter().flat_map(Peer::pools) {
            pool.drain();
        }
    }

    fn pool(&self, host: &Arc<Host>, priority: Priority, protocol: UpstreamProtocol) -> Rc<Pool> {
        let mut peers = self.peers.borrow_mut();
        let peer = peers
            .entry(Arc::as_ptr(host))
            .or_insert_with(|| Peer { _host: Arc::clone(host), pools: SmallVec::new() });
        let key = (priority, protocol);
        if let Some((_, pool)) = peer.pools.iter().find(|(other, _)| *other == key) {
            return Rc::clone(pool);
        }
        let breaker = self.breaker(priority).clone();
        let pool = Pool::new(Rc::clone(&self.shared), Arc::clone(host), breaker, protocol);
        peer.pools.push((key, Rc::clone(&pool)));
        pool
    }
}

impl Peer {
    fn pools(&self) -> impl Iterator<Item = &Rc<Pool>> {
        self.pools.iter().map(|(_, pool)| pool)
    }
}

impl Shared {
    /// Has a task sweep the cluster while connections are idle: one timer for all of them.
    pub(super) fn look_after(&self) {
        if self.is_looked_after.replace(true) {
            return;
        }
        let local = Weak::clone(&self.local);
        let period = self.period();
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(period).await;
                let Some(local) = local.upgrade() else { return };
                if !local.sweep(Instant::now()) {
                    local.shared.is_looked_after.set(false);
                    return;
                }
            }
        });
    }

    /// Often enough for the shortest timeout and to notice soon that a peer closed.
    fn period(&self) -> Duration {
        let config = &self.cluster.config;
        let shortest = config.idle_timeout.into_iter().chain(config.max_connection_duration).min();
        shortest.map_or(SLOWEST_SWEEP, |limit| limit / 4).clamp(FASTEST_SWEEP, SLOWEST_SWEEP)
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        // Responses that still come hold their pool; they close their connections when they end.
        for pool in self.peers.get_mut().values().flat_map(Peer::pools) {
            pool.drain();
        }
    }
}

impl fmt::Debug for LocalCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCluster")
            .field("name", &self.shared.cluster.config.name)
            .finish_non_exhaustive()
    }
}

/// How often a pick is repeated at least, to avoid hosts that were tried. Envoy's default is 1, which finds the same
/// host of two again in one case of four; Istio sets 5.
const RE_PICKS: u32 = 5;

/// Bytes of a response's header section on HTTP/2; Envoy's `max_response_headers_kb`.
const MAX_RESPONSE_HEADERS: u32 = 60 * 1024;

/// `upstream_rq_200` among the code families of a cluster.
const ALL_CODES: usize = 0;

/// `external.upstream_rq_200`.
const EXTERNAL_CODES: usize = 1;

const FASTEST_SWEEP: Duration = Duration::from_millis(50);
const SLOWEST_SWEEP: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use palanquin_filter_api::stats::Registry;

    use super::super::testing;
    use super::*;

    fn local(hosts: u16) -> Rc<LocalCluster> {
        let config = testing::cluster((0..hosts).map(testing::nowhere).collect());
        LocalCluster::new(Cluster::new(Arc::new(config), &Registry::new(1), None).unwrap())
    }

    fn pick(local: &LocalCluster, avoid: &[Arc<Host>]) -> Result<Arc<Host>, SendFailure> {
        let rng = Rng::seeded(1);
        local.pick(&PickCx {
            subset: &[],
            weighted_subset: &[],
            labels: &[],
            avoid,
            re_picks: 1,
            rng: &rng,
        })
    }

    #[test]
    fn a_host_that_was_tried_is_avoided_while_there_is_another() {
        let local = local(3);
        let first = pick(&local, &[]).unwrap();
        let second = pick(&local, &[Arc::clone(&first)]).unwrap();
        let third = pick(&local, &[Arc::clone(&first), Arc::clone(&second)]).unwrap();
        let names = std::collections::HashSet::from([first.name(), second.name(), third.name()]);
        assert_eq!(names.len(), 3);
        let all = [first, second, third];
        assert!(pick(&local, &all).is_ok());
    }

    #[test]
    fn without_a_host_the_pick_fails_and_is_counted() {
        let local = local(0);
        assert_eq!(pick(&local, &[]).unwrap_err(), SendFailure::NoHealthyUpstream);
        assert_eq!(local.stats().counter(stat::UPSTREAM_CX_NONE_HEALTHY), 1);
        assert_eq!(local.stats().counter(stat::LB_HEALTHY_PANIC), 1);
    }
}
