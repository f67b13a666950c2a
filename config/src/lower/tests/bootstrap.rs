use std::time::Duration;

use super::{bootstrap, errors};
use crate::ir::cluster::{Balancer, Discovery};
use crate::ir::http::Routes;
use crate::ir::listener::NetworkFilter;
use crate::ir::route::{ClusterSpecifier, PathMatch, RouteAction};

const SIMPLE: &str = r#"
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}
static_resources:
  listeners:
  - name: web
    address: {socket_address: {address: 0.0.0.0, port_value: 10000}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          route_config:
            name: local
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: "/"}
                route: {cluster: CLUSTER}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: origin
    type: STATIC
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 8080}}}
"#;

#[test]
fn a_simple_bootstrap_gets_envoys_defaults() {
    let lowered = bootstrap(&SIMPLE.replace("CLUSTER", "origin")).unwrap();
    assert!(lowered.warnings.is_empty(), "{:?}", lowered.warnings);
    let listener = &lowered.value.listeners[0];
    assert_eq!((&*listener.name, &*listener.stat_prefix), ("web", "0.0.0.0_10000"));
    assert_eq!(listener.inspect_timeout, Some(Duration::from_secs(15)));
    let NetworkFilter::Http(hcm) = &listener.chains[0].network else { panic!("no HTTP") };
    assert_eq!(hcm.max_request_headers_bytes, 60 * 1024);
    assert_eq!(hcm.stream_idle_timeout, Some(Duration::from_mins(5)));
    assert_eq!(hcm.idle_timeout, Some(Duration::from_hours(1)));
    let Routes::Inline(bound) = &hcm.routes else { panic!("no routes") };
    assert_eq!(bound.table.domains.find("any.example"), Some(0));
    let route = &bound.table.virtual_hosts[0].routes[0];
    assert!(matches!(&route.matcher.path, PathMatch::Prefix(prefix) if &**prefix == "/"));
    let RouteAction::Forward(forward) = &route.action else { panic!("no forwarding") };
    assert!(matches!(&forward.cluster, ClusterSpecifier::Cluster(name) if &**name == "origin"));
    assert_eq!(forward.timeout, Some(Duration::from_secs(15)));
    let cluster = &lowered.value.clusters[0];
    assert_eq!(cluster.balancer, Balancer::RoundRobin);
    assert_eq!(cluster.connect_timeout, Duration::from_secs(5));
    assert_eq!(cluster.http2.max_concurrent_streams, 1024);
    let Discovery::Static(set) = &cluster.discovery else { panic!("not static") };
    assert_eq!(set.endpoints[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!(set.overprovisioning_factor, 140);
}

#[test]
fn a_route_to_an_unknown_cluster_names_the_field_and_the_neighbour() {
    assert_eq!(
        errors(&SIMPLE.replace("CLUSTER", "orign")),
        "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config\
         .virtual_hosts[0].routes[0].route.cluster: unknown cluster \"orign\" (did you mean \"origin\"?)"
    );
}
