//! A cluster as all workers share it: configuration, hosts, breakers, statistics, TLS.

use std::fmt::Write as _;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use palanquin_config::ir::Priority;
use palanquin_config::ir::cluster::Cluster as Config;
use palanquin_config::ir::cluster::Discovery;
use palanquin_config::ir::endpoint::EndpointSet;
use palanquin_config::ir::endpoint::Health;
use palanquin_filter_api::stats::Registry;
use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::cluster as stat;
use palanquin_filter_api::stats::cluster_certificate;
use palanquin_tls::TlsConfigError;

use super::breaker::Breaker;
use super::breaker::Resource;
use super::connect::Dialer;
use super::host_set::HostSet;
use super::host_set::Membership;
use crate::tls_cell::CellStats;

/// One cluster. Made and updated on the control thread.
#[derive(Debug)]
pub struct Cluster {
    /// Its configuration.
    pub config: Arc<Config>,
    hosts: ArcSwap<HostSet>,
    stats: Arc<Scope>,
    breakers: [Arc<Breaker>; 2],
    dialer: Dialer,
    warm: watch::Sender<bool>,
}

impl Cluster {
    /// The cluster of `config`. From `previous`, a cluster of the same name, it takes over breaker counts,
    /// hosts with their counts, and, until new ones are discovered, the endpoints.
    ///
    /// A `STATIC` cluster is warm at once, another when its endpoints were first discovered.
    ///
    /// # Errors
    /// When its TLS settings cannot be used.
    pub fn new(
        config: Arc<Config>,
        registry: &Registry,
        previous: Option<&Self>,
    ) -> Result<Arc<Self>, TlsConfigError> {
        let prefix = format!("cluster.{}", config.stat_name);
        let labels = vec![("envoy_cluster_name", Arc::clone(&config.stat_name))];
        let stats = registry.scope(&stat::KIND, &prefix, labels.clone());
        let dialer = Dialer::new(
            &config,
            &CellStats {
                registry: registry.clone(),
                certificates: &cluster_certificate::KIND,
                prefix,
                labels,
                scope: Arc::clone(&stats),
                updated: stat::CLIENT_SSL_CONTEXT_UPDATE_BY_SDS,
            },
        )?;
        let breakers = [Priority::Default, Priority::High].map(|priority| {
            let thresholds = &config.breakers[priority as usize];
            let carried = previous.filter(|previous| Arc::ptr_eq(&previous.stats, &stats));
            match carried {
                Some(previous) => {
                    let breaker = Arc::clone(&previous.breakers[priority as usize]);
                    breaker.set_limits(thresholds);
                    breaker
                }
                None => Arc::new(Breaker::new(thresholds, priority, Arc::clone(&stats))),
            }
        });

        let before = previous.map(|previous| previous.hosts.load_full());
        let endpoints = match &config.discovery {
            Discovery::Static(endpoints) => Arc::clone(endpoints),
            Discovery::Dns(_) | Discovery::Eds { .. } => {
                before.as_ref().map(|hosts| Arc::clone(hosts.source())).unwrap_or_default()
            }
        };
        let hosts = HostSet::build(endpoints, &config, before.as_deref());
        let is_changed = match &before {
            Some(before) => hosts.membership_since(before) == Membership::Changed,
            None => !hosts.members().is_empty(),
        };
        let is_static = matches!(config.discovery, Discovery::Static(_));
        let cluster = Self {
            config,
            hosts: ArcSwap::from_pointee(hosts),
            stats,
            breakers,
            dialer,
            warm: watch::Sender::new(is_static),
        };
        cluster.show_membership(is_changed);
        Ok(Arc::new(cluster))
    }

    /// Replaces the endpoints: requests that pick from now on see them. Hosts that stay keep their counts
    /// and connections. The cluster is warm from now on.
    pub fn update_endpoints(&self, endpoints: Arc<EndpointSet>) {
        let before = self.hosts.load_full();
        if before.has_digest(endpoints.digest) {
            self.stats.inc(stat::UPDATE_NO_REBUILD);
        } else {
            let hosts = HostSet::build(endpoints, &self.config, Some(&before));
            let is_changed = hosts.membership_since(&before) == Membership::Changed;
            self.hosts.store(Arc::new(hosts));
            self.show_membership(is_changed);
        }
        self.set_warm();
    }

    /// Says that waiting for endpoints is over, though there may be none.
    pub fn set_warm(&self) {
        self.warm.send_replace(true);
    }

    /// Whether endpoints were discovered, or waiting for them is over.
    pub fn is_warm(&self) -> bool {
        *self.warm.borrow()
    }

    /// Waits until [`Self::is_warm`].
    pub async fn warmed(&self) {
        // The sender is `self`'s: it cannot go away meanwhile.
        drop(self.warm.subscribe().wait_for(|warm| *warm).await);
    }

    /// The hosts of now.
    pub fn hosts(&self) -> Arc<HostSet> {
        self.hosts.load_full()
    }

    /// Whether `hosts` are the hosts of now: a load and a comparison.
    pub fn is_current(&self, hosts: &Arc<HostSet>) -> bool {
        Arc::ptr_eq(&self.hosts.load(), hosts)
    }

    /// `cluster.<name>.*`.
    pub fn stats(&self) -> &Arc<Scope> {
        &self.stats
    }

    /// The limits for requests of this priority.
    pub fn breaker(&self, priority: Priority) -> &Arc<Breaker> {
        &self.breakers[priority as usize]
    }

    /// Makes connections to its hosts.
    pub fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// The lines of `/clusters` about it, as Envoy writes them.
    pub fn write_admin(&self, added_via_api: bool, out: &mut String) {
        let name = &self.config.name;
        let mut line = |key: &dyn std::fmt::Display, value: &dyn std::fmt::Display| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{name}::{key}::{value}");
        };
        line(&"observability_name", &self.config.stat_name);
        for (label, priority) in
            [("default_priority", Priority::Default), ("high_priority", Priority::High)]
        {
            let breaker = self.breaker(priority);
            let limits = [
                ("max_connections", breaker.limit(Resource::Connections)),
                ("max_pending_requests", breaker.limit(Resource::Pending)),
                ("max_requests", breaker.limit(Resource::Requests)),
                ("max_retries", breaker.limit(Resource::Retries)),
            ];
            for (what, limit) in limits {
                line(&format_args!("{label}::{what}"), &limit);
            }
        }
        line(&"added_via_api", &added_via_api);
        let hosts = self.hosts();
        for member in hosts.members() {
            let host = member.host.name();
            for (what, count) in member.host.stats.all() {
                line(&format_args!("{host}::{what}"), &count);
            }
            let locality = hosts.locality(member).cloned().unwrap_or_default();
            let health = match member.endpoint.health {
                Health::Healthy => "healthy",
                Health::Degraded => "/eds_status_degraded",
                Health::Unhealthy | Health::Draining => "/failed_eds_health",
            };
            let facts: [(&str, &dyn std::fmt::Display); 10] = [
                ("hostname", &member.endpoint.hostname),
                ("health_flags", &health),
                ("weight", &member.endpoint.weight),
                ("region", &locality.region),
                ("zone", &locality.zone),
                ("sub_zone", &locality.sub_zone),
                ("canary", &false),
                ("priority", &member.endpoint.priority),
                ("success_rate", &-1),
                ("local_origin_success_rate", &-1),
            ];
            for (what, value) in facts {
                line(&format_args!("{host}::{what}"), value);
            }
        }
    }

    fn show_membership(&self, is_changed: bool) {
        let hosts = self.hosts.load();
        let count = |health| hosts.count(health) as u64;
        self.stats.set(stat::MEMBERSHIP_TOTAL, hosts.members().len() as u64);
        self.stats.set(stat::MEMBERSHIP_HEALTHY, count(Health::Healthy));
        self.stats.set(stat::MEMBERSHIP_DEGRADED, count(Health::Degraded));
        if is_changed {
            self.stats.inc(stat::MEMBERSHIP_CHANGE);
        }
    }
}

#[cfg(test)]
mod tests {
    use palanquin_config::ir::cluster::Thresholds;

    use super::super::breaker::LocalBreaker;
    use super::super::testing;
    use super::*;

    /// Read off Envoy 1.40 with the same cluster.
    const LINES: &str = "\
test::observability_name::test
test::default_priority::max_connections::1024
test::default_priority::max_pending_requests::1024
test::default_priority::max_requests::1024
test::default_priority::max_retries::3
test::high_priority::max_connections::1024
test::high_priority::max_pending_requests::1024
test::high_priority::max_requests::1024
test::high_priority::max_retries::3
test::added_via_api::false
test::127.0.0.1:10000::cx_active::0
test::127.0.0.1:10000::cx_connect_fail::0
test::127.0.0.1:10000::cx_total::0
test::127.0.0.1:10000::rq_active::0
test::127.0.0.1:10000::rq_error::0
test::127.0.0.1:10000::rq_pending_active::0
test::127.0.0.1:10000::rq_success::0
test::127.0.0.1:10000::rq_timeout::0
test::127.0.0.1:10000::rq_total::0
test::127.0.0.1:10000::hostname::
test::127.0.0.1:10000::health_flags::healthy
test::127.0.0.1:10000::weight::1
test::127.0.0.1:10000::region::
test::127.0.0.1:10000::zone::
test::127.0.0.1:10000::sub_zone::
test::127.0.0.1:10000::canary::false
test::127.0.0.1:10000::priority::0
test::127.0.0.1:10000::success_rate::-1
test::127.0.0.1:10000::local_origin_success_rate::-1
";

    fn made(config: Config, registry: &Registry, previous: Option<&Cluster>) -> Arc<Cluster> {
        Cluster::new(Arc::new(config), registry, previous).unwrap()
    }

    #[test]
    fn a_cluster_is_shown_as_envoy_shows_it() {
        let config = testing::cluster(vec![testing::nowhere(0)]);
        let mut shown = String::new();
        made(config, &Registry::new(1), None).write_admin(false, &mut shown);
        assert_eq!(shown, LINES);
    }

    #[test]
    fn a_changed_cluster_keeps_its_hosts_and_what_its_breakers_counted() {
        let registry = Registry::new(1);
        let before = made(testing::cluster(vec![testing::nowhere(0)]), &registry, None);
        let local = LocalBreaker::new(Arc::clone(before.breaker(Priority::Default)));
        let _held = local.try_acquire(Resource::Requests).unwrap();

        let mut config = testing::cluster(vec![testing::nowhere(0), testing::nowhere(1)]);
        config.breakers[0] = Thresholds { max_requests: 1, ..Thresholds::default() };
        let after = made(config, &registry, Some(&before));

        assert_eq!(after.breaker(Priority::Default).count(Resource::Requests), 1);
        assert!(local.try_acquire(Resource::Requests).is_none());
        assert!(Arc::ptr_eq(&before.hosts().members()[0].host, &after.hosts().members()[0].host));
        assert_eq!(after.stats().counter(stat::MEMBERSHIP_CHANGE), 2);
        assert_eq!(after.stats().gauge(stat::MEMBERSHIP_TOTAL), 2);
    }

    #[test]
    fn endpoints_that_did_not_change_are_not_arranged_anew() {
        let cluster = made(testing::cluster(Vec::new()), &Registry::new(1), None);
        let mut set = testing::set(vec![testing::nowhere(0)]);
        set.digest = palanquin_config::ir::Digest(7);
        let set = Arc::new(set);
        cluster.update_endpoints(Arc::clone(&set));
        let hosts = cluster.hosts();
        cluster.update_endpoints(set);
        assert!(cluster.is_current(&hosts));
        assert_eq!(cluster.stats().counter(stat::UPDATE_NO_REBUILD), 1);
    }
}
