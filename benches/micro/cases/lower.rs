//! From the bytes a control plane sends to values that requests are served with.

use std::hint::black_box;

use palanquin_config::lower::{
    Environment, Rejected, lower_cluster, lower_cluster_load_assignment, lower_route_configuration,
};
use palanquin_proto::envoy::config::cluster::v3::Cluster;
use palanquin_proto::envoy::config::endpoint::v3::ClusterLoadAssignment;
use palanquin_proto::envoy::config::route::v3::RouteConfiguration;

use super::{Case, config};

/// A self-signed certificate of no worth.
const CA: &str = include_str!("ca.pem");

pub(super) fn cases() -> Vec<Case> {
    vec![
        lowering(
            "lower/clusters/1000",
            "one cluster with TLS and HTTP/2",
            1_000,
            clusters,
            |environment, bytes| {
                lower_cluster(environment, bytes).map(|lowered| drop(black_box(lowered)))
            },
        ),
        lowering("lower/routes/1000", "one route", 1_000, routes, |environment, bytes| {
            lower_route_configuration(environment, bytes).map(|lowered| drop(black_box(lowered)))
        }),
        lowering("lower/endpoints/100", "one endpoint", 100, endpoints, |environment, bytes| {
            lower_cluster_load_assignment(environment, bytes)
                .map(|lowered| drop(black_box(lowered)))
        }),
    ]
}

/// Lowers all messages that `messages` gives; `items` is how many things they describe together.
fn lowering(
    name: &str,
    what: &'static str,
    items: u32,
    messages: fn() -> Vec<Vec<u8>>,
    lower: fn(Environment<'_>, &[u8]) -> Result<(), Rejected>,
) -> Case {
    Case::new(name, what, move || {
        let messages = messages();
        move || {
            config::with_environment(|environment| {
                for bytes in &messages {
                    if let Err(rejected) = lower(environment, black_box(bytes)) {
                        panic!("{rejected}");
                    }
                }
            });
        }
    })
    .of(items)
}

fn clusters() -> Vec<Vec<u8>> {
    let ca = CA.replace('\n', "\\n");
    // Reading YAML under callgrind takes long: one text, and its name replaced by others of the same length.
    let bytes = config::message::<Cluster>(&format!(
        r#"{{name: cluster-0000, type: EDS, connect_timeout: 1s, eds_cluster_config: {{service_name: cluster-0000, eds_config: {{ads: {{}}}}}},
circuit_breakers: {{thresholds: [{{max_connections: 1000, max_requests: 1000}}]}},
typed_extension_protocol_options: {{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {{
"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions,
common_http_protocol_options: {{idle_timeout: 60s}}, explicit_http_config: {{http2_protocol_options: {{max_concurrent_streams: 100}}}}}}}},
transport_socket: {{name: tls, typed_config: {{
"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: cluster-0000.example.com,
common_tls_context: {{alpn_protocols: [h2], validation_context: {{trusted_ca: {{inline_string: "{ca}"}},
match_typed_subject_alt_names: [{{san_type: URI, matcher: {{exact: "spiffe://example.com/ns/default/sa/cluster-0000"}}}}]}}}}}}}}}}"#
    ));
    (0..1_000)
        .map(|at| renamed(&bytes, b"cluster-0000", format!("cluster-{at:04}").as_bytes()))
        .collect()
}

/// `bytes` with every `old` replaced by `new`, which is as long.
fn renamed(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut renamed = bytes.to_vec();
    let places = bytes.windows(old.len()).enumerate().filter(|(_, window)| *window == old);
    for (at, _) in places {
        renamed[at..at + new.len()].copy_from_slice(new);
    }
    renamed
}

/// One table of 1,000 routes as a mesh's control plane sends them.
fn routes() -> Vec<Vec<u8>> {
    let routes = config::list(1_000, |at| {
        format!(
            "{{name: r{at}, match: {{prefix: /service-{at}/, headers: [{{name: x-stage, string_match: {{exact: s{}}}}}]}}, \
             route: {{cluster: cluster-{at}, timeout: 5s, retry_policy: {{retry_on: 'connect-failure,5xx', num_retries: 2}}}}, \
             request_headers_to_add: [{{header: {{key: x-route, value: r{at}}}}}]}}",
            at % 10
        )
    });
    vec![config::message::<RouteConfiguration>(&format!(
        "{{name: table, virtual_hosts: [{{name: v, domains: ['*'], routes: {routes}}}]}}"
    ))]
}

/// 100 endpoints in two localities.
fn endpoints() -> Vec<Vec<u8>> {
    let locality = |zone: u32| {
        let endpoints = config::list(50, |at| {
            format!(
                "{{endpoint: {{address: {{socket_address: {{address: 10.0.{zone}.{at}, port_value: 8080}}}}}}, \
                 health_status: HEALTHY, load_balancing_weight: 1, \
                 metadata: {{filter_metadata: {{envoy.lb: {{version: v{}}}}}}}}}",
                at % 3
            )
        });
        format!(
            "{{locality: {{region: eu, zone: z{zone}}}, load_balancing_weight: 50, lb_endpoints: {endpoints}}}"
        )
    };
    vec![config::message::<ClusterLoadAssignment>(&format!(
        "{{cluster_name: c, endpoints: {}}}",
        config::list(2, locality)
    ))]
}
