//! What Envoy 1.40 accepts and refuses, one case a line. Each was tried with Envoy's `--mode validate`;
//! where we differ the case says so.

use super::errors;

/// A bootstrap with a listener, a route and a cluster, parts of which a case replaces.
struct Case {
    hcm: &'static str,
    filters: &'static str,
    virtual_hosts: String,
    chains: Option<&'static str>,
    address: &'static str,
    clusters: String,
    dynamic: &'static str,
}

const ROUTER: &str = r#"{name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}"#;

impl Default for Case {
    fn default() -> Self {
        Self {
            hcm: "",
            filters: ROUTER,
            virtual_hosts: host("match: {prefix: /}, route: {cluster: c}"),
            chains: None,
            address: "{address: 127.0.0.1, port_value: 10000}",
            clusters: cluster(""),
            dynamic: "",
        }
    }
}

impl Case {
    fn errors(&self) -> String {
        let Self { hcm, filters, virtual_hosts, address, clusters, dynamic, .. } = self;
        let chains = self.chains.map_or_else(
            || {
                format!(
                    r#"{{filters: [{{name: hcm, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: x, route_config: {{name: r, virtual_hosts: [{virtual_hosts}]}}, http_filters: [{filters}]{hcm}}}}}]}}"#
                )
            },
            str::to_owned,
        );
        errors(&format!(
            "static_resources: {{listeners: [{{name: l, address: {{socket_address: {address}}}, filter_chains: [{chains}]}}], clusters: [{clusters}]}}\n{dynamic}"
        ))
    }
}

fn host(route: &str) -> String {
    format!("{{name: v, domains: ['*'], routes: [{{{route}}}]}}")
}

fn forward(action: &str) -> String {
    host(&format!("match: {{prefix: /}}, route: {{{action}}}"))
}

/// A static cluster of one endpoint, with more fields.
fn cluster(more: &str) -> String {
    format!(
        "{{name: c, load_assignment: {{cluster_name: c, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 1}}}}}}}}]}}]}}{more}}}"
    )
}

/// Checks each case: its errors hold the text, or there are none when the text is empty.
fn check<'t>(cases: impl IntoIterator<Item = (Case, &'t str)>) {
    for (index, (case, expected)) in cases.into_iter().enumerate() {
        let errors = case.errors();
        let fine = if expected.is_empty() { errors.is_empty() } else { errors.contains(expected) };
        assert!(fine, "case {index}: expected {expected:?}, found {errors:?}");
    }
}

fn hosts(virtual_hosts: impl Into<String>) -> Case {
    Case { virtual_hosts: virtual_hosts.into(), ..Case::default() }
}

fn clusters(clusters: impl Into<String>) -> Case {
    Case { clusters: clusters.into(), ..Case::default() }
}

fn chains(chains: &'static str) -> Case {
    Case { chains: Some(chains), ..Case::default() }
}

fn hcm(hcm: &'static str) -> Case {
    Case { hcm, ..Case::default() }
}

#[test]
fn virtual_hosts() {
    check([
        (hosts("{name: a, domains: ['*']}, {name: a, domains: [b]}"), ""),
        (
            hosts("{name: a, domains: [b]}, {name: c, domains: [B]}"),
            "duplicate domain \"b\" in route \"r\"",
        ),
        (
            hosts("{name: a, domains: ['*']}, {name: c, domains: ['*']}"),
            "only a single wildcard domain",
        ),
        (hosts("{name: a, domains: ['a*b']}"), ""),
    ]);
}

#[test]
fn routes() {
    check([
        (hosts(host("match: {prefix: a}, route: {cluster: c}")), ""),
        (hosts(host("match: {connect_matcher: {}}, route: {cluster: c}")), ""),
        (
            hosts(host("match: {safe_regex: {regex: '(?=a)'}}, route: {cluster: c}")),
            "is not a regular expression",
        ),
        (hosts(host("match: {prefix: /, headers: [{name: x}]}, route: {cluster: c}")), ""),
        (
            hosts(host(
                "match: {prefix: /}, direct_response: {status: 200, body: {inline_string: ok}}",
            )),
            "",
        ),
        (hosts(host("match: {prefix: /}, redirect: {path_redirect: ''}")), ""),
        // Envoy takes it.
        (hosts(host("match: {prefix: /}, non_forwarding_action: {}")), "non_forwarding_action"),
        (
            hosts(host(
                "match: {prefix: /}, request_headers_to_add: [{header: {key: ':path', value: x}}], route: {cluster: c}",
            )),
            ":-prefixed or host headers may not be modified",
        ),
        (
            hosts(host(
                "match: {prefix: /}, request_headers_to_remove: [Host], route: {cluster: c}",
            )),
            ":-prefixed or host headers may not be removed",
        ),
        (
            hosts(host(
                "match: {prefix: /}, request_headers_to_add: [{header: {key: x, value: '%REG(y)%'}}], route: {cluster: c}",
            )),
            "did you mean %REQ%?",
        ),
        (
            hosts(host(
                "match: {prefix: /}, request_headers_to_add: [{append: true, append_action: ADD_IF_ABSENT, header: {key: x, value: a}}], route: {cluster: c}",
            )),
            "exclude each other",
        ),
        (
            hosts(host(
                "match: {prefix: /}, typed_per_filter_config: {x: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}, route: {cluster: c}",
            )),
            "the router cannot be configured for a route",
        ),
        (
            hosts(host(
                "match: {prefix: /}, typed_per_filter_config: {x: {'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}}, route: {cluster: c}",
            )),
            "",
        ),
        (
            hosts(host(
                "match: {prefix: /}, typed_per_filter_config: {x: {'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig}}, route: {cluster: c}",
            )),
            "neither a configuration nor disabled",
        ),
        (
            hosts(host(
                "match: {prefix: /}, typed_per_filter_config: {x: {'@type': type.googleapis.com/xds.type.v3.TypedStruct, type_url: foo.Bar}}, route: {cluster: c}",
            )),
            "unknown extension type \"foo.Bar\"",
        ),
        (
            hosts(host(
                "match: {prefix: /}, typed_per_filter_config: {x: {'@type': type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute}}, route: {cluster: c}",
            )),
            "and it authorizes requests",
        ),
    ]);
}

#[test]
fn forwarding() {
    check([
        (hosts(forward("cluster: zz")), "unknown cluster \"zz\""),
        (
            hosts(forward("weighted_clusters: {clusters: [{name: c, weight: 0}]}")),
            "must be greater than 0",
        ),
        (
            hosts(forward(
                "weighted_clusters: {clusters: [{name: c, weight: 1}, {name: d, weight: 1}]}",
            )),
            "unknown weighted cluster \"d\"",
        ),
        (
            hosts(forward("weighted_clusters: {clusters: [{weight: 1}]}")),
            "at least one of name or cluster_header",
        ),
        (
            hosts(forward(
                "weighted_clusters: {clusters: [{name: c, cluster_header: x, weight: 1}]}",
            )),
            "only one of name or cluster_header",
        ),
        (
            hosts(forward(
                "weighted_clusters: {clusters: [{name: c, weight: 4294967295}, {name: c, weight: 1}]}",
            )),
            "the sum of weights exceeds",
        ),
        (
            hosts(forward(
                "cluster: c, prefix_rewrite: /x, regex_rewrite: {pattern: {regex: a}, substitution: b}",
            )),
            "specify only one of prefix_rewrite, regex_rewrite",
        ),
        // Envoy takes it.
        (
            hosts(forward("cluster: c, regex_rewrite: {pattern: {regex: a}, substitution: '\\1'}")),
            "group \\1 does not exist",
        ),
        (
            hosts(forward(
                "cluster: c, retry_policy: {retry_on: 5xx, retry_back_off: {base_interval: 1s, max_interval: 0.5s}}",
            )),
            "must be greater than or equal to base_interval",
        ),
        (hosts(forward("cluster: c, retry_policy: {retry_on: 5xxx}")), ""),
        (
            hosts(forward(
                "cluster: c, retry_policy: {retry_on: 5xx, retry_host_predicate: [{name: foo}]}",
            )),
            "unknown retry host predicate \"foo\"",
        ),
        (
            hosts(forward("cluster: c, upgrade_configs: [{upgrade_type: a}, {upgrade_type: A}]")),
            "duplicate upgrade \"A\"",
        ),
    ]);
}

#[test]
fn filters_and_connection_managers() {
    const CORS: &str = r#"{name: cors, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}"#;
    let filters = |filters: &'static str| Case { filters, ..Case::default() };
    let router_first = format!("{ROUTER}, {CORS}").leak();
    let cors_first = format!("{CORS}, {ROUTER}").leak();
    let twice = format!("{ROUTER}, {ROUTER}").leak();
    check([
        (filters(cors_first), ""),
        // Envoy takes it.
        (filters(""), "the chain has no router"),
        (filters(router_first), "must be the last filter in a http filter chain"),
        (
            filters(CORS),
            "non-terminal filter named \"cors\" is the last filter in a http filter chain",
        ),
        (filters(twice), "must be the last filter in a http filter chain"),
        (
            filters(
                r#"{name: r, disabled: true, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}"#,
            ),
            "cannot be disabled by default",
        ),
        (
            filters(
                r#"{name: j, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication}}"#,
            ),
            "and it authenticates requests",
        ),
        (hcm(", strip_matching_host_port: true, strip_any_host_port: true"), "exclude each other"),
        (
            hcm(", upgrade_configs: [{upgrade_type: websocket}, {upgrade_type: WEBSOCKET}]"),
            "multiple upgrade configs with the same name",
        ),
        (
            hcm(
                ", use_remote_address: true, original_ip_detection_extensions: [{name: x, typed_config: {'@type': type.googleapis.com/envoy.extensions.http.original_ip_detection.xff.v3.XffConfig, xff_num_trusted_hops: 1}}]",
            ),
            "may not be mixed",
        ),
    ]);
}

#[test]
fn listeners_and_their_chains() {
    check([
        (
            Case { address: "{address: foo, port_value: 1}", ..Case::default() },
            "malformed IP address: \"foo\"",
        ),
        (chains("{filters: []}"), ""),
        (chains(""), "no filter chains specified"),
        (
            chains("{filter_chain_match: {server_names: ['*']}}"),
            "partial wildcards are not supported",
        ),
        (
            chains("{filter_chain_match: {server_names: ['*a.b']}}"),
            "partial wildcards are not supported",
        ),
        (chains("{filter_chain_match: {server_names: ['*.a.b', c]}}"), ""),
        (
            chains(
                "{filter_chain_match: {server_names: [a.b, c]}}, {filter_chain_match: {server_names: [C]}}",
            ),
            "multiple filter chains with overlapping matching rules are defined",
        ),
        (
            chains("{name: x}, {name: y}"),
            "filter chain \"y\" has the same matching rules defined as \"x\"",
        ),
        (
            chains(
                "{filter_chain_match: {server_names: [a], destination_port: 1}}, {filter_chain_match: {server_names: [a], destination_port: 2}}",
            ),
            "",
        ),
        (
            chains(
                r#"{filters: [{name: t, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: x, cluster: zz}}]}"#,
            ),
            "",
        ),
        (
            chains(
                r#"{filters: [{name: t, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit, stat_prefix: x, max_connections: 1}}]}"#,
            ),
            "non-terminal filter named \"t\" is the last filter in a network filter chain",
        ),
        (
            chains(
                r#"{filters: [{name: t, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC, stat_prefix: x}}]}"#,
            ),
            "and it authorizes connections",
        ),
    ]);
}

#[test]
fn clusters_and_endpoints() {
    const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let bare = |more: &str| format!("{{name: c, {more}}}");
    let options = |key: &str, value: &str| {
        cluster(&format!(
            ", typed_extension_protocol_options: {{{key}: {{'@type': type.googleapis.com/{OPTIONS}, {value}}}}}"
        ))
    };
    let two = format!("{}, {}", cluster(""), cluster(""));
    check([
        (clusters(two), "duplicate cluster \"c\""),
        (clusters(bare("type: STATIC")), ""),
        (clusters(bare("type: STRICT_DNS")), ""),
        (clusters(bare("type: LOGICAL_DNS")), "LOGICAL_DNS clusters must have a single"),
        (
            clusters(bare(
                "load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: foo, port_value: 1}}}}]}]}",
            )),
            "malformed IP address: \"foo\"",
        ),
        (clusters(bare("type: EDS")), "eds_cluster_config: is necessary"),
        (clusters(cluster(", eds_cluster_config: {eds_config: {ads: {}}}")), "not of type EDS"),
        (
            clusters(cluster(", lb_policy: CLUSTER_PROVIDED")),
            "only for clusters of type ORIGINAL_DST",
        ),
        (clusters(bare("type: ORIGINAL_DST")), "must be CLUSTER_PROVIDED"),
        (clusters(bare("type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED")), ""),
        // Envoy has it.
        (clusters(cluster(", lb_policy: RING_HASH")), "RING_HASH is not supported yet"),
        (clusters(options(OPTIONS, "auto_config: {}")), "needs a transport socket with ALPN"),
        (
            clusters(options("foo", "explicit_http_config: {http_protocol_options: {}}")),
            "registered implementation",
        ),
        (clusters(options(OPTIONS, "explicit_http_config: {http2_protocol_options: {}}")), ""),
        (clusters(cluster(", load_balancing_policy: {policies: []}")), "no policy of the list"),
        (
            clusters(cluster(
                ", load_balancing_policy: {policies: [{typed_extension_config: {name: x, typed_config: {'@type': type.googleapis.com/xds.type.v3.TypedStruct, type_url: foo.Bar}}}, {typed_extension_config: {name: y, typed_config: {'@type': type.googleapis.com/envoy.extensions.load_balancing_policies.random.v3.Random}}}]}",
            )),
            "",
        ),
        (
            clusters(cluster(
                ", circuit_breakers: {thresholds: [{max_requests: 1}, {max_requests: 2}]}",
            )),
            "",
        ),
    ]);
}

#[test]
fn control_planes() {
    const ADS: &str = "ads_config: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: ";
    let dynamic = |text: String| Case { dynamic: text.leak(), ..Case::default() };
    let node = "node: {id: a, cluster: b}\n";
    check([
        (
            dynamic(format!(
                "{node}dynamic_resources: {{lds_config: {{ads: {{}}}}, {ADS}c}}}}]}}}}"
            )),
            "",
        ),
        (
            dynamic(format!("dynamic_resources: {{lds_config: {{ads: {{}}}}, {ADS}c}}}}]}}}}")),
            "node 'id' and 'cluster' are required",
        ),
        (
            dynamic(format!(
                "{node}dynamic_resources: {{lds_config: {{ads: {{}}}}, {ADS}zz}}}}]}}}}"
            )),
            "must be a static cluster: unknown \"zz\"",
        ),
        (dynamic("dynamic_resources: {lds_config: {ads: {}}}".to_owned()), ""),
    ]);
}
