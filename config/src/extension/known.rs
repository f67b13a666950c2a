//! What becomes of extensions that exist in Envoy (or Istio) but not here.
//!
//! An extension whose absence would let through what its author wanted stopped is refused, unless the
//! configuration calls it optional. One whose absence only costs a feature is left out with a warning, so
//! that the configurations of Istio and Envoy Gateway load. This list is the one place that decides; see
//! `docs/adr/0003-extensions-we-do-not-have.md`.

/// What to do about an extension that we do not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Leave it out with a warning that says what is lost.
    Ignore(&'static str),
    /// Refuse the configuration: leaving it out would weaken what it protects.
    Refuse(&'static str),
}

use Verdict::{Ignore, Refuse};

/// The verdict on an HTTP filter's message type (its own or a route's). `None`: nobody knows it.
pub fn http_filter(type_name: &str) -> Option<Verdict> {
    find(HTTP_FILTERS, type_name)
}

/// The verdict on a network filter's message type.
pub fn network_filter(type_name: &str) -> Option<Verdict> {
    find(NETWORK_FILTERS, type_name)
}

/// The verdict on a listener filter's message type.
pub fn listener_filter(type_name: &str) -> Option<Verdict> {
    find(LISTENER_FILTERS, type_name)
}

/// Names are those of packages or whole types: an entry stands for every type that begins with it.
fn find(list: &[(&str, Verdict)], type_name: &str) -> Option<Verdict> {
    list.iter()
        .find(|(prefix, _)| {
            type_name
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
        .map(|(_, verdict)| *verdict)
}

const HTTP_FILTERS: &[(&str, Verdict)] = &[
    // who may do what
    ("envoy.extensions.filters.http.api_key_auth", Refuse("it authenticates requests")),
    ("envoy.extensions.filters.http.basic_auth", Refuse("it authenticates requests")),
    ("envoy.extensions.filters.http.csrf", Refuse("it stops forged requests")),
    ("envoy.extensions.filters.http.ext_authz", Refuse("it authorizes requests")),
    ("envoy.extensions.filters.http.jwt_authn", Refuse("it authenticates requests")),
    ("envoy.extensions.filters.http.oauth2", Refuse("it authenticates requests")),
    ("envoy.extensions.filters.http.rbac", Refuse("it authorizes requests")),
    ("istio.envoy.config.filter.http.authn", Refuse("it authenticates requests")),
    // code and services that may be used for policy
    (
        "envoy.extensions.filters.http.composite",
        Refuse("it may hold a filter that enforces policy"),
    ),
    ("envoy.extensions.filters.http.dynamic_modules", Refuse("its code may enforce policy")),
    ("envoy.extensions.filters.http.ext_proc", Refuse("its service may enforce policy")),
    ("envoy.extensions.filters.http.golang", Refuse("its code may enforce policy")),
    ("envoy.extensions.filters.http.lua", Refuse("its code may enforce policy")),
    ("envoy.extensions.filters.http.wasm", Refuse("its code may enforce policy")),
    ("envoy.extensions.common.matching", Refuse("it may hold a filter that enforces policy")),
    // what reaches the upstream
    (
        "envoy.extensions.filters.http.header_mutation",
        Refuse("it may remove headers that must not reach the upstream"),
    ),
    (
        "envoy.extensions.filters.http.original_src",
        Refuse("upstreams may trust the address it sets"),
    ),
    // load: nothing is let through that was forbidden, but nothing is held back either
    ("envoy.extensions.filters.http.adaptive_concurrency", Ignore("concurrency is not limited")),
    ("envoy.extensions.filters.http.admission_control", Ignore("no request is shed")),
    ("envoy.extensions.filters.http.bandwidth_limit", Ignore("bandwidth is not limited")),
    ("envoy.extensions.filters.http.buffer", Ignore("bodies are streamed, not buffered")),
    ("envoy.extensions.filters.http.local_ratelimit", Ignore("requests are not limited")),
    ("envoy.extensions.filters.http.rate_limit_quota", Ignore("requests are not limited")),
    ("envoy.extensions.filters.http.ratelimit", Ignore("requests are not limited")),
    // features
    ("envoy.extensions.filters.http.alternate_protocols_cache", Ignore("HTTP/3 is not tried")),
    ("envoy.extensions.filters.http.aws_lambda", Ignore("requests are not signed")),
    ("envoy.extensions.filters.http.aws_request_signing", Ignore("requests are not signed")),
    ("envoy.extensions.filters.http.cache", Ignore("responses are not cached")),
    ("envoy.extensions.filters.http.cdn_loop", Ignore("loops are not detected")),
    ("envoy.extensions.filters.http.compressor", Ignore("bodies are not compressed")),
    (
        "envoy.extensions.filters.http.cors",
        Ignore("responses carry no CORS headers, so browsers refuse them"),
    ),
    ("envoy.extensions.filters.http.credential_injector", Ignore("no credential is added")),
    ("envoy.extensions.filters.http.custom_response", Ignore("responses are not replaced")),
    ("envoy.extensions.filters.http.decompressor", Ignore("bodies are not decompressed")),
    ("envoy.extensions.filters.http.dynamic_forward_proxy", Ignore("hosts are not resolved")),
    ("envoy.extensions.filters.http.fault", Ignore("no fault is injected")),
    ("envoy.extensions.filters.http.file_system_buffer", Ignore("bodies are streamed")),
    ("envoy.extensions.filters.http.gcp_authn", Ignore("no token is added")),
    ("envoy.extensions.filters.http.geoip", Ignore("no location is added")),
    ("envoy.extensions.filters.http.grpc_field_extraction", Ignore("no metadata is set")),
    ("envoy.extensions.filters.http.grpc_http1_bridge", Ignore("gRPC is not bridged")),
    ("envoy.extensions.filters.http.grpc_http1_reverse_bridge", Ignore("gRPC is not bridged")),
    ("envoy.extensions.filters.http.grpc_json_transcoder", Ignore("JSON is not transcoded")),
    ("envoy.extensions.filters.http.grpc_stats", Ignore("gRPC calls are not counted")),
    ("envoy.extensions.filters.http.grpc_web", Ignore("gRPC-Web is not translated")),
    ("envoy.extensions.filters.http.header_to_metadata", Ignore("no metadata is set")),
    ("envoy.extensions.filters.http.health_check", Ignore("health checks are routed as requests")),
    ("envoy.extensions.filters.http.ip_tagging", Ignore("no tag is added")),
    ("envoy.extensions.filters.http.json_to_metadata", Ignore("no metadata is set")),
    ("envoy.extensions.filters.http.kill_request", Ignore("the proxy cannot be killed")),
    ("envoy.extensions.filters.http.on_demand", Ignore("nothing is fetched on demand")),
    ("envoy.extensions.filters.http.peer_metadata", Ignore("no peer metadata is exchanged")),
    ("envoy.extensions.filters.http.set_filter_state", Ignore("no filter state is set")),
    ("envoy.extensions.filters.http.set_metadata", Ignore("no metadata is set")),
    ("envoy.extensions.filters.http.stateful_session", Ignore("sessions are not sticky")),
    ("envoy.extensions.filters.http.tap", Ignore("nothing is recorded")),
    // Istio's own
    ("io.istio.http.peer_metadata", Ignore("no peer metadata is exchanged")),
    ("istio.envoy.config.filter.http.alpn", Ignore("the mesh's ALPN values are not sent")),
    ("stats.PluginConfig", Ignore("Istio's standard metrics are not kept")),
];

const NETWORK_FILTERS: &[(&str, Verdict)] = &[
    ("envoy.extensions.filters.network.ext_authz", Refuse("it authorizes connections")),
    ("envoy.extensions.filters.network.rbac", Refuse("it authorizes connections")),
    ("envoy.extensions.filters.network.wasm", Refuse("its code may enforce policy")),
    ("envoy.extensions.filters.network.golang", Refuse("its code may enforce policy")),
    ("envoy.extensions.filters.network.dynamic_modules", Refuse("its code may enforce policy")),
    ("envoy.extensions.filters.network.ext_proc", Refuse("its service may enforce policy")),
    ("envoy.extensions.filters.network.connection_limit", Ignore("connections are not limited")),
    ("envoy.extensions.filters.network.local_ratelimit", Ignore("connections are not limited")),
    ("envoy.extensions.filters.network.ratelimit", Ignore("connections are not limited")),
    ("envoy.extensions.filters.network.set_filter_state", Ignore("no filter state is set")),
    ("envoy.extensions.filters.network.geoip", Ignore("no location is added")),
    ("envoy.extensions.filters.network.peer_metadata", Ignore("no peer metadata is exchanged")),
    ("envoy.extensions.filters.network.metadata_exchange", Ignore("no peer metadata is exchanged")),
    ("envoy.tcp.metadataexchange.config", Ignore("no peer metadata is exchanged")),
    ("stats.PluginConfig", Ignore("Istio's standard metrics are not kept")),
];

const LISTENER_FILTERS: &[(&str, Verdict)] = &[
    (
        "envoy.extensions.filters.listener.original_src",
        Refuse("upstreams may trust the address it sets"),
    ),
    ("envoy.extensions.filters.listener.local_ratelimit", Ignore("connections are not limited")),
    ("envoy.extensions.filters.listener.set_filter_state", Ignore("no filter state is set")),
    ("envoy.extensions.filters.listener.dynamic_modules", Refuse("its code may enforce policy")),
];

#[cfg(test)]
mod tests {
    use super::{Verdict, http_filter};

    #[test]
    fn an_entry_stands_for_the_types_of_its_package_only() {
        let rbac = http_filter("envoy.extensions.filters.http.rbac.v3.RBACPerRoute");
        assert!(matches!(rbac, Some(Verdict::Refuse(_))));
        assert_eq!(http_filter("envoy.extensions.filters.http.rbacx.v3.RBAC"), None);
        assert!(matches!(http_filter("stats.PluginConfig"), Some(Verdict::Ignore(_))));
    }
}
