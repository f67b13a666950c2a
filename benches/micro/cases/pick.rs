//! Which host a request goes to.

use std::hint::black_box;
use std::sync::Arc;

use palanquin::upstream::{Cluster, LocalCluster, PickCx};
use palanquin::worker::Rng;
use palanquin_filter_api::MetadataValue;
use palanquin_filter_api::stats::Registry;

use super::{Case, config};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (policy, name) in [("ROUND_ROBIN", "round-robin"), ("LEAST_REQUEST", "least-request")] {
        for hosts in [3, 100, 1_000] {
            cases.push(pick(format!("pick/{name}/{hosts}"), hosts, policy, ""));
        }
    }
    cases.push(pick("pick/subset/100".to_owned(), 100, "ROUND_ROBIN", SUBSETS));
    cases
}

/// Ten subsets by one label.
const SUBSETS: &str =
    ", lb_subset_config: {fallback_policy: NO_FALLBACK, subset_selectors: [{keys: [stage]}]}";

fn pick(name: String, hosts: u32, policy: &'static str, more: &'static str) -> Case {
    Case::new(name, "pick of a host", move || {
        let endpoints = config::list(hosts, |at| {
            format!(
                "{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}, \
                 metadata: {{filter_metadata: {{envoy.lb: {{stage: s{}}}}}}}}}",
                10_000 + at,
                at % 10
            )
        });
        let config = config::cluster(&format!(
            "{{name: c, type: STATIC, connect_timeout: 1s, lb_policy: {policy}, \
             load_assignment: {{cluster_name: c, endpoints: [{{lb_endpoints: {endpoints}}}]}}{more}}}"
        ));
        let cluster = Cluster::new(config, &Registry::new(1), None).expect("it has no TLS");
        let (local, rng) = (LocalCluster::new(cluster), Rng::seeded(1));
        let stage = MetadataValue::String("s7".into());
        let wanted: Vec<(Arc<str>, MetadataValue)> =
            if more.is_empty() { Vec::new() } else { vec![("stage".into(), stage)] };
        let pick = move || {
            let (weighted_subset, labels, avoid) = (&[][..], &[][..], &[][..]);
            let cx =
                PickCx { subset: &wanted, weighted_subset, labels, avoid, re_picks: 1, rng: &rng };
            local.pick(black_box(&cx)).is_ok()
        };
        assert!(pick());
        move || {
            black_box(pick());
        }
    })
}
