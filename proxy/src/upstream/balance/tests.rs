//! Picks over whole host sets.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use palanquin_config::ir::cluster::Balancer;
use palanquin_config::ir::cluster::Cluster;
use palanquin_config::ir::cluster::SubsetFallback;
use palanquin_config::ir::cluster::Subsets;
use palanquin_config::ir::endpoint::Endpoint;
use palanquin_config::ir::endpoint::Health;
use palanquin_config::ir::endpoint::Locality;
use palanquin_filter_api::MetadataMap;
use palanquin_filter_api::MetadataValue;

use super::Labels;
use super::LocalBalancer;
use super::Picked;
use super::SubsetUse;
use crate::upstream::host_set::HostSet;
use crate::upstream::testing;
use crate::worker::Rng;

fn hosts(endpoints: Vec<Endpoint>, cluster: &Cluster) -> HostSet {
    HostSet::build(Arc::new(testing::set(endpoints)), cluster, None)
}

fn plain() -> Cluster {
    testing::cluster(Vec::new())
}

fn weighted(weights: &[u32]) -> Vec<Endpoint> {
    (0..)
        .zip(weights)
        .map(|(n, weight)| Endpoint { weight: *weight, ..testing::nowhere(n) })
        .collect()
}

fn tally(set: &HostSet, policy: Balancer, labels: &Labels<'_>, picks: u32) -> Vec<u32> {
    let balancer = LocalBalancer::new(policy);
    let rng = Rng::seeded(7);
    let mut counts = vec![0; set.members().len()];
    for _ in 0..picks {
        counts[balancer.pick(set, labels, &rng).host.unwrap()] += 1;
    }
    counts
}

fn text(value: &str) -> MetadataValue {
    MetadataValue::String(value.into())
}

fn labelled(n: u16, labels: &[(&str, &str)]) -> Endpoint {
    let labels: MetadataMap = labels.iter().map(|(k, v)| (Arc::from(*k), text(v))).collect();
    Endpoint { labels, ..testing::nowhere(n) }
}

fn with_subsets(fallback: SubsetFallback) -> Cluster {
    let keys = |keys: &[&str]| keys.iter().map(|key| Arc::from(*key)).collect::<BTreeSet<_>>();
    let selectors = vec![keys(&["stage"]), keys(&["stage", "version"])];
    Cluster { subsets: Some(Subsets { fallback, selectors }), ..plain() }
}

fn staged() -> Vec<Endpoint> {
    vec![
        labelled(0, &[("stage", "prod"), ("version", "1")]),
        labelled(1, &[("stage", "prod"), ("version", "2")]),
        labelled(2, &[("stage", "dev"), ("version", "1")]),
        labelled(3, &[]),
    ]
}

#[test]
fn round_robin_gives_equal_hosts_equal_turns() {
    let set = hosts(weighted(&[1, 1, 1]), &plain());
    assert_eq!(tally(&set, Balancer::RoundRobin, &Labels::default(), 30), [10, 10, 10]);
}

#[test]
fn round_robin_follows_weights() {
    let set = hosts(weighted(&[1, 2, 5]), &plain());
    let counts = tally(&set, Balancer::RoundRobin, &Labels::default(), 800);
    for (count, expected) in counts.iter().zip([100_u32, 200, 500]) {
        assert!(count.abs_diff(expected) <= 1, "{counts:?}");
    }
}

#[test]
fn least_request_prefers_the_less_busy_host() {
    let set = hosts(weighted(&[1, 1]), &plain());
    for _ in 0..10 {
        set.members()[0].host.stats.request_begun();
    }
    let counts = tally(&set, Balancer::LeastRequest { choices: 2 }, &Labels::default(), 1_000);
    // The busy host is picked only when both samples hit it: a quarter of the time.
    assert!((150..350).contains(&counts[0]), "{counts:?}");
}

#[test]
fn least_request_with_weights_takes_load_into_account() {
    let set = hosts(weighted(&[1, 3]), &plain());
    let policy = || Balancer::LeastRequest { choices: 2 };
    let counts = tally(&set, policy(), &Labels::default(), 400);
    assert!(counts[0].abs_diff(100) <= 1, "{counts:?}");
    for _ in 0..8 {
        set.members()[1].host.stats.request_begun();
    }
    let counts = tally(&set, policy(), &Labels::default(), 400);
    assert!(counts[0].abs_diff(300) <= 2, "{counts:?}");
}

#[test]
fn random_ignores_weights() {
    let set = hosts(weighted(&[1, 99]), &plain());
    let counts = tally(&set, Balancer::Random, &Labels::default(), 1_000);
    assert!((400..600).contains(&counts[0]), "{counts:?}");
}

#[test]
fn in_panic_all_hosts_are_used() {
    let mut endpoints = weighted(&[1, 1, 1, 1]);
    for endpoint in endpoints.iter_mut().skip(1) {
        endpoint.health = Health::Unhealthy;
    }
    let set = hosts(endpoints.clone(), &plain());
    assert_eq!(tally(&set, Balancer::RoundRobin, &Labels::default(), 40), [10, 10, 10, 10]);
    let no_panic = Cluster { panic_threshold_percent: 0.0, ..plain() };
    let set = hosts(endpoints, &no_panic);
    assert_eq!(tally(&set, Balancer::RoundRobin, &Labels::default(), 40), [40, 0, 0, 0]);
}

#[test]
fn an_empty_cluster_has_no_host_and_counts_as_in_panic() {
    let set = hosts(Vec::new(), &plain());
    let picked =
        LocalBalancer::new(Balancer::RoundRobin).pick(&set, &Labels::default(), &Rng::seeded(1));
    assert_eq!(picked, Picked { host: None, panic: true, subset: SubsetUse::None });
}

#[test]
fn the_next_priority_takes_what_the_first_cannot() {
    let mut endpoints = weighted(&[1; 8]);
    for (i, endpoint) in endpoints.iter_mut().enumerate() {
        endpoint.priority = u32::from(i >= 4);
        if i < 2 {
            endpoint.health = Health::Unhealthy;
        }
    }
    let set = hosts(endpoints, &plain());
    let counts = tally(&set, Balancer::RoundRobin, &Labels::default(), 10_000);
    let first: u32 = counts[..4].iter().sum();
    // 140 % of one half: 70 % stay.
    assert!((6_800..7_200).contains(&first), "{counts:?}");
    assert_eq!((counts[0], counts[1]), (0, 0));
}

#[test]
fn localities_share_by_weight_where_weights_count() {
    let localities: Vec<_> = [1, 3]
        .into_iter()
        .map(|weight| Locality { weight: Some(weight), ..Locality::default() })
        .collect();
    let endpoints = || -> Vec<Endpoint> {
        (0..4).map(|n| Endpoint { locality: u16::from(n == 3), ..testing::nowhere(n) }).collect()
    };
    let build = |cluster: &Cluster| {
        let set = palanquin_config::ir::endpoint::EndpointSet {
            localities: localities.clone(),
            ..testing::set(endpoints())
        };
        HostSet::build(Arc::new(set), cluster, None)
    };
    let set = build(&Cluster { locality_weighted: true, ..plain() });
    let counts = tally(&set, Balancer::RoundRobin, &Labels::default(), 1_200);
    assert!(counts[3].abs_diff(900) <= 1, "{counts:?}");
    assert!(counts[..3].iter().all(|count| count.abs_diff(100) <= 1), "{counts:?}");
    let counts = tally(&build(&plain()), Balancer::RoundRobin, &Labels::default(), 1_200);
    assert_eq!(counts, [300; 4]);
}

#[test]
fn a_request_with_labels_goes_to_its_subset() {
    let set = hosts(staged(), &with_subsets(SubsetFallback::NoFallback));
    let route = [("stage".into(), text("prod"))];
    let tenant = [("version".into(), "2".into())];
    let labels = Labels { route: &route, ..Labels::default() };
    assert_eq!(tally(&set, Balancer::RoundRobin, &labels, 10), [5, 5, 0, 0]);
    let labels = Labels { route: &route, filter: &tenant, ..Labels::default() };
    assert_eq!(tally(&set, Balancer::RoundRobin, &labels, 10), [0, 10, 0, 0]);
    let dev = [("stage".into(), text("dev"))];
    let labels = Labels { route: &route, weighted_cluster: &dev, ..Labels::default() };
    assert_eq!(tally(&set, Balancer::RoundRobin, &labels, 10), [0, 0, 10, 0]);
}

#[test]
fn a_request_without_its_subset_goes_where_the_fallback_says() {
    let unknown = [("stage".into(), text("test"))];
    let labels = Labels { route: &unknown, ..Labels::default() };
    let pick = |fallback| {
        let set = hosts(staged(), &with_subsets(fallback));
        LocalBalancer::new(Balancer::RoundRobin).pick(&set, &labels, &Rng::seeded(1))
    };
    assert_eq!(pick(SubsetFallback::NoFallback).host, None);
    let any = pick(SubsetFallback::AnyEndpoint);
    assert!(any.host.is_some());
    assert_eq!(any.subset, SubsetUse::Fallback);
    let default = MetadataMap::from([("stage".into(), text("dev"))]);
    assert_eq!(pick(SubsetFallback::DefaultSubset(default)).host, Some(2));
}

#[test]
fn a_request_asks_for_all_keys_of_a_selector_or_gets_the_fallback() {
    let set = hosts(staged(), &with_subsets(SubsetFallback::NoFallback));
    let version_only = [("version".into(), text("1"))];
    let labels = Labels { route: &version_only, ..Labels::default() };
    let balancer = LocalBalancer::new(Balancer::RoundRobin);
    assert_eq!(balancer.pick(&set, &labels, &Rng::seeded(1)).host, None);
    assert_eq!(balancer.pick(&set, &Labels::default(), &Rng::seeded(1)).host, None);
}

fn health() -> impl Strategy<Value = Health> {
    prop_oneof![
        3 => Just(Health::Healthy),
        1 => Just(Health::Degraded),
        1 => Just(Health::Unhealthy),
        1 => Just(Health::Draining),
    ]
}

fn policy() -> impl Strategy<Value = Balancer> {
    prop_oneof![
        Just(Balancer::RoundRobin),
        Just(Balancer::Random),
        (2_u32..5).prop_map(|choices| Balancer::LeastRequest { choices }),
    ]
}

proptest! {
    #[test]
    fn an_unhealthy_host_is_never_picked_but_in_panic(
        endpoints in prop::collection::vec((health(), 1_u32..5, 0_u32..3), 1..20),
        policy in policy(),
        threshold in prop_oneof![Just(0.0), Just(50.0)],
    ) {
        let endpoints: Vec<_> = (0..).zip(endpoints).map(|(n, (health, weight, priority))| {
            Endpoint { health, weight, priority, ..testing::nowhere(n) }
        }).collect();
        let cluster = Cluster { panic_threshold_percent: threshold, ..plain() };
        let set = hosts(endpoints, &cluster);
        let balancer = LocalBalancer::new(policy);
        let rng = Rng::seeded(3);
        let usable = |health| matches!(health, Health::Healthy | Health::Degraded);
        let some_usable = set.members().iter().any(|member| usable(member.endpoint.health));
        for _ in 0..50 {
            let picked = balancer.pick(&set, &Labels::default(), &rng);
            prop_assert_eq!(picked.host.is_some(), some_usable || threshold > 0.0);
            if let Some(place) = picked.host && !picked.panic {
                prop_assert!(usable(set.members()[place].endpoint.health));
            }
            prop_assert!(!picked.panic || threshold > 0.0);
        }
    }

    #[test]
    fn round_robin_is_exact_over_whole_turns(weights in prop::collection::vec(1_u32..20, 1..10)) {
        let set = hosts(weighted(&weights), &plain());
        let total: u32 = weights.iter().sum();
        let counts = tally(&set, Balancer::RoundRobin, &Labels::default(), total * 4);
        for (count, weight) in counts.iter().zip(&weights) {
            // One more or less at either end of the stretch.
            prop_assert!(count.abs_diff(weight * 4) <= 2, "{:?} for {:?}", counts, weights);
        }
    }
}
