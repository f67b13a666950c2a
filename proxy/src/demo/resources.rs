//! The demo's configuration: the bootstrap, and what the control plane serves. All of it is Envoy's.

use std::net::SocketAddr;
use std::path::Path;

use palanquin_config::file::load_message;
use palanquin_proto::envoy::config::cluster::v3::Cluster;
use palanquin_proto::envoy::config::endpoint::v3::ClusterLoadAssignment;
use palanquin_proto::envoy::config::listener::v3::Listener;
use palanquin_proto::envoy::config::route::v3::RouteConfiguration;
use prost::Message;
use prost::Name;
use prost_types::Any;

use super::LISTENER;
use super::Places;
use super::pki::TRUST_DOMAIN;

/// A resource as the control plane keeps it.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub(super) name: String,
    pub(super) any: Any,
}

/// What the proxy is started with: where the control plane is, and where spans go.
pub(super) fn bootstrap(places: &Places) -> String {
    let (plane, collector) =
        (grpc_cluster("control_plane", places.plane), grpc_cluster("collector", places.collector));
    let admin = places.admin.port();
    format!(
        r"
node: {{ id: demo-1, cluster: demo }}
admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {admin} }} }} }}
dynamic_resources:
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    grpc_services: [{{ envoy_grpc: {{ cluster_name: control_plane }} }}]
  lds_config: {{ ads: {{}}, resource_api_version: V3 }}
  cds_config: {{ ads: {{}}, resource_api_version: V3 }}
static_resources:
  clusters:
{plane}{collector}"
    )
}

fn grpc_cluster(name: &str, address: SocketAddr) -> String {
    let port = address.port();
    format!(
        r#"  - name: {name}
    connect_timeout: 1s
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{ http2_protocol_options: {{}} }}
    load_assignment:
      cluster_name: {name}
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }}
"#
    )
}

/// The listener: mutual TLS, standard and SM, tenants, tracing; its routes come by RDS.
pub(super) fn listener(port: u16, certificates: &Path) -> Resource {
    let quoted = |name: &str| quoted(&certificates.join(name));
    let [ours, sign, encryption] = ["proxy", "sm-proxy", "sm-proxy-enc"].map(|name| {
        let (chain, key) = (quoted(&format!("{name}.pem")), quoted(&format!("{name}.key")));
        format!(
            "{{ certificate_chain: {{ filename: {chain} }}, private_key: {{ filename: {key} }} }}"
        )
    });
    let ca_pem = quoted("ca-bundle.pem");
    resource::<Listener>(
        LISTENER,
        &format!(
            r#"
name: {LISTENER}
address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
filter_chains:
- transport_socket:
    name: envoy.transport_sockets.tls
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
      require_client_certificate: true
      common_tls_context:
        alpn_protocols: [h2, http/1.1]
        tls_certificates:
        - {ours}
        - {sign}
        - {encryption}
        validation_context: {{ trusted_ca: {{ filename: {ca_pem} }} }}
  filters:
  - name: envoy.filters.network.http_connection_manager
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: demo
      forward_client_cert_details: SANITIZE_SET
      set_current_client_cert_details: {{ uri: true }}
      rds:
        route_config_name: demo
        config_source: {{ ads: {{}}, resource_api_version: V3 }}
      tracing:
        provider:
          name: envoy.tracers.opentelemetry
          typed_config:
            "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
            grpc_service: {{ envoy_grpc: {{ cluster_name: collector }} }}
            service_name: palanquin-demo
      http_filters:
      - name: palanquin.filters.http.tenant
        is_optional: true
        typed_config:
          "@type": type.googleapis.com/xds.type.v3.TypedStruct
          type_url: type.googleapis.com/palanquin.tenant.v1.TenantFilter
          value:
            stat_prefix: demo
            sources:
            - peer_spiffe: {{ trust_domain: {TRUST_DOMAIN}, path_template: "/tenant/{{tenant}}/client/*" }}
            - host_label: {{ suffix: demo.localhost }}
            inline_table:
              tenants:
                acme: {{ routing: {{ cluster: blue }}, breaker: {{ max_requests: 2 }} }}
                beta: {{ routing: {{ cluster: green }} }}
            propagation: {{ request_header: x-tenant-id, span_attribute: true }}
      - name: envoy.filters.http.router
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"#
        ),
    )
}

/// The routes: who has no tenant goes to `cluster`.
pub(super) fn routes(cluster: &str) -> Resource {
    resource::<RouteConfiguration>(
        "demo",
        &format!(
            r#"
name: demo
virtual_hosts:
- name: all
  domains: ["*"]
  routes:
  - {{ name: everything, match: {{ prefix: / }}, route: {{ cluster: {cluster} }} }}
"#
        ),
    )
}

/// An upstream's cluster: mutual TLS, and the certificate must have the upstream's SPIFFE id.
pub(super) fn cluster(name: &str, certificates: &Path) -> Resource {
    let [proxy_pem, proxy_key, ca_pem] =
        ["proxy.pem", "proxy.key", "ca.pem"].map(|name| quoted(&certificates.join(name)));
    resource::<Cluster>(
        name,
        &format!(
            r#"
name: {name}
connect_timeout: 1s
type: EDS
eds_cluster_config: {{ eds_config: {{ ads: {{}}, resource_api_version: V3 }} }}
transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
    common_tls_context:
      tls_certificates:
      - certificate_chain: {{ filename: {proxy_pem} }}
        private_key: {{ filename: {proxy_key} }}
      validation_context:
        trusted_ca: {{ filename: {ca_pem} }}
        match_typed_subject_alt_names:
        - {{ san_type: URI, matcher: {{ exact: "spiffe://{TRUST_DOMAIN}/upstream/{name}" }} }}
"#
        ),
    )
}

/// Where an upstream is.
pub(super) fn endpoints(name: &str, address: SocketAddr) -> Resource {
    let port = address.port();
    resource::<ClusterLoadAssignment>(
        name,
        &format!(
            r"
cluster_name: {name}
endpoints:
- lb_endpoints:
  - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }}
"
        ),
    )
}

/// A path as a JSON text, which is YAML whatever the path contains.
fn quoted(path: &Path) -> String {
    serde_json::Value::from(path.display().to_string()).to_string()
}

/// The texts above are the only ones that come here, and every one is served when the demo starts.
fn resource<M: Message + Name + Default>(name: &str, yaml: &str) -> Resource {
    let any = match load_message::<M>("demo", yaml) {
        Ok(loaded) => Any { type_url: M::type_url(), value: loaded.message.encode_to_vec() },
        Err(report) => unreachable!("the demo's own text is good: {report}"),
    };
    Resource { name: name.to_owned(), any }
}
