//! Configuration for the cases, by the way every configuration comes: text, message, lowered.

use std::fmt::Write;
use std::sync::Arc;

use palanquin_config::extension::Registry;
use palanquin_config::file::load_message;
use palanquin_config::ir::cluster::Cluster;
use palanquin_config::ir::http::{BoundRoutes, ConnectionManager, Routes};
use palanquin_config::ir::listener::NetworkFilter;
use palanquin_config::lower::{Environment, lower_cluster, lower_listener};
use palanquin_filter_api::stats;
use palanquin_proto::envoy::config::cluster::v3 as cluster;
use palanquin_proto::envoy::config::listener::v3 as listener;
use prost::{Message, Name};

/// Calls `body` with what lowering needs: no filters but the router, statistics of one worker.
pub(super) fn with_environment<T>(body: impl FnOnce(Environment<'_>) -> T) -> T {
    let filters = Registry::new();
    let stats = stats::Registry::new(1);
    body(Environment { filters: &filters, stats: &stats })
}

/// A message from its text, in the form a control plane sends.
pub(super) fn message<M: Message + Name + Default>(yaml: &str) -> Vec<u8> {
    match load_message::<M>("micro.yaml", yaml) {
        Ok(loaded) => loaded.message.encode_to_vec(),
        Err(report) => panic!("{report}"),
    }
}

/// A cluster from its text.
pub(super) fn cluster(yaml: &str) -> Arc<Cluster> {
    let bytes = message::<cluster::Cluster>(yaml);
    with_environment(|environment| match lower_cluster(environment, &bytes) {
        Ok(lowered) => Arc::new(lowered.value),
        Err(rejected) => panic!("{rejected}"),
    })
}

/// A connection manager: `virtual_hosts` is a list in YAML, `more` further fields, each a line that begins with a comma.
pub(super) fn manager(virtual_hosts: &str, more: &str) -> Arc<ConnectionManager> {
    let bytes = message::<listener::Listener>(&format!(
        r#"{{name: web, address: {{socket_address: {{address: 127.0.0.1, port_value: 10000}}}}, filter_chains: [{{filters: [
{{name: hcm, typed_config: {{
"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
stat_prefix: web,
route_config: {{name: local, virtual_hosts: {virtual_hosts}}},
http_filters: [{{name: router, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]
{more}}}}}]}}]}}"#
    ));
    let lowered = with_environment(|environment| lower_listener(environment, &bytes));
    let listener = lowered.unwrap_or_else(|rejected| panic!("{rejected}")).value;
    match &listener.chains[0].network {
        NetworkFilter::Http(manager) => Arc::clone(manager),
        other => panic!("a connection manager was configured: {other:?}"),
    }
}

/// The routes of these virtual hosts.
pub(super) fn routes(virtual_hosts: &str) -> Arc<BoundRoutes> {
    match &manager(virtual_hosts, "").routes {
        Routes::Inline(routes) => Arc::clone(routes),
        Routes::Rds { .. } => panic!("the routes were configured inline"),
    }
}

/// `count` items of a YAML flow list.
pub(super) fn list(count: u32, item: impl Fn(u32) -> String) -> String {
    let mut out = String::from("[");
    for at in 0..count {
        // Writing to a string cannot fail.
        let _ = write!(out, "{}{}", if at > 0 { ",\n" } else { "" }, item(at));
    }
    out.push(']');
    out
}
