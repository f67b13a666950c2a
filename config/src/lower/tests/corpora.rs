//! Real control planes' configurations: each resource lowers, or is refused for a reason on our list.

use std::collections::BTreeMap;
use std::path::PathBuf;

use palanquin_filter_api::stats;

use crate::extension::Registry;
use crate::file;
use crate::lower::{Environment, Rejected};

/// Where the recordings are: beside the repository. Without them there is nothing to test.
fn corpus(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("SKIPPED: no {}", path.display());
    None
}

/// Reasons for which a resource of the corpora may be refused: something that it would be wrong to leave
/// out, and that we do not have yet.
const REASONS: &[&str] = &[
    "UDP and QUIC listeners are not supported yet",
    "and it authenticates requests",
    "and it authorizes",
    "and it stops forged requests",
    "and its code may enforce policy",
    "and its service may enforce policy",
    "and it may remove headers",
    "and may remove headers",
    "and decides who a client is",
    "no policy of the list is supported yet",
    "cluster type \"envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig\" is not supported",
    "transport socket \"envoy.extensions.transport_sockets.internal_upstream",
    "transport socket \"envoy.extensions.transport_sockets.proxy_protocol",
    "transport socket \"envoy.extensions.transport_sockets.quic",
    "URI templates are not supported yet",
    "matching trees are not supported yet",
    "internal listeners are not supported yet",
    "access log filter \"envoy.access_loggers.extension_filters.cel\" is not supported",
    "filter discovery (ECDS) is not supported yet",
    "formatted bodies are not supported yet",
    "ending CONNECT tunnels here is not supported yet",
    "MAGLEV is not supported yet",
    "RING_HASH is not supported yet",
    "a chain of its own for an upgrade is not supported yet",
    "unknown network filter \"envoy.extensions.filters.network.mongo_proxy",
];

#[derive(Default)]
struct Tally {
    lowered: usize,
    refused: BTreeMap<String, usize>,
    unexpected: Vec<String>,
}

impl Tally {
    fn count<T>(&mut self, source: &str, result: Result<T, Rejected>) {
        let Err(rejected) = result else {
            self.lowered += 1;
            return;
        };
        for problem in rejected.problems.errors() {
            match REASONS.iter().find(|reason| problem.message.contains(**reason)) {
                Some(reason) => *self.refused.entry((*reason).to_owned()).or_default() += 1,
                None => self.unexpected.push(format!("{source}: {} {problem}", rejected.name)),
            }
        }
    }

    fn lower(&mut self, source: &str, resource: &mut serde_json::Value) {
        wrap_unknown(resource);
        let stats = stats::Registry::new(1);
        let filters = Registry::new();
        let environment = Environment { filters: &filters, stats: &stats };
        let url = resource["@type"].as_str().unwrap_or_default().to_owned();
        if let Some(fields) = resource.as_object_mut() {
            fields.remove("@type");
        }
        let text = resource.to_string();
        match url.rsplit('.').next() {
            Some("Listener") => {
                let bytes = encoded::<palanquin_proto::envoy::config::listener::v3::Listener>(
                    source, &text,
                );
                self.count(source, crate::lower::lower_listener(environment, &bytes));
            }
            Some("Cluster") => {
                let bytes =
                    encoded::<palanquin_proto::envoy::config::cluster::v3::Cluster>(source, &text);
                self.count(source, crate::lower::lower_cluster(environment, &bytes));
            }
            Some("RouteConfiguration") => {
                let bytes = encoded::<palanquin_proto::envoy::config::route::v3::RouteConfiguration>(
                    source, &text,
                );
                self.count(source, crate::lower::lower_route_configuration(environment, &bytes));
            }
            Some("ClusterLoadAssignment") => {
                let bytes = encoded::<
                    palanquin_proto::envoy::config::endpoint::v3::ClusterLoadAssignment,
                >(source, &text);
                self.count(
                    source,
                    crate::lower::lower_cluster_load_assignment(environment, &bytes),
                );
            }
            _ => {}
        }
    }
}

fn encoded<M: prost::Message + prost::Name + Default>(source: &str, json: &str) -> Vec<u8> {
    let loaded = file::load_message::<M>(source, json).unwrap_or_else(|report| panic!("{report}"));
    loaded.message.encode_to_vec()
}

/// Types that our field table lacks come as bytes over xDS; in JSON they are written as a `TypedStruct`.
fn wrap_unknown(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(items) => items.iter_mut().for_each(wrap_unknown),
        serde_json::Value::Object(fields) => {
            fields.values_mut().for_each(wrap_unknown);
            let Some(url) = fields.get("@type").and_then(serde_json::Value::as_str) else { return };
            if palanquin_proto::schema::message_of_url(url).is_none() {
                let url = url.to_owned();
                *value = serde_json::json!({
                    "@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": url,
                });
            }
        }
        _ => {}
    }
}

fn unpacked(path: &std::path::Path) -> String {
    let output = std::process::Command::new("gzip").arg("-dc").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn envoy_gateways_resources_lower_or_are_refused_for_a_listed_reason() {
    let Some(path) = corpus("envoy-gateway/xds.jsonl.gz") else { return };
    let mut tally = Tally::default();
    for line in unpacked(&path).lines() {
        let mut set: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = set["name"].as_str().unwrap_or_default().to_owned();
        let Some(types) = set["resources"].as_object_mut() else { continue };
        for resource in types.values_mut().filter_map(|list| list.as_array_mut()).flatten() {
            tally.lower(&name, resource);
        }
    }
    println!("{} lowered, refused: {:#?}", tally.lowered, tally.refused);
    assert!(tally.lowered > 1000);
    assert!(tally.unexpected.is_empty(), "{}", tally.unexpected.join("\n"));
}

#[test]
fn istiods_resources_lower_or_are_refused_for_a_listed_reason() {
    let Some(path) = corpus("istiod") else { return };
    let mut tally = Tally::default();
    for variant in ["stock", "default", "ambient"] {
        for entry in std::fs::read_dir(path.join(variant)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "gz") {
                continue;
            }
            let mut capture: serde_json::Value = serde_json::from_str(&unpacked(&path)).unwrap();
            let Some(types) = capture["resources"].as_object_mut() else { continue };
            let name = path.display().to_string();
            for resource in types.values_mut().filter_map(|list| list.as_array_mut()).flatten() {
                tally.lower(&name, resource);
            }
        }
    }
    println!("{} lowered, refused: {:#?}", tally.lowered, tally.refused);
    assert!(tally.lowered > 1000);
    assert!(tally.unexpected.is_empty(), "{}", tally.unexpected.join("\n"));
}
