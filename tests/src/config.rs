//! Envoy configurations as text: what every test needs is here, what a test is about it says itself.

use std::fmt::Write;
use std::net::SocketAddr;

/// A listener named `ingress` with an HTTP connection manager. All fragments are YAML.
#[derive(Debug, Clone)]
pub struct Http {
    name: String,
    port: u16,
    routing: String,
    manager: String,
    filters: String,
    transport: String,
    chain_match: String,
    listener: String,
}

impl Http {
    /// One virtual host for everything, with this list of routes.
    pub fn routes(routes: &str) -> Self {
        Self::hosts(&format!("- name: all\n  domains: ['*']\n  routes:\n{}", indent(routes, 2)))
    }

    /// This list of virtual hosts.
    pub fn hosts(hosts: &str) -> Self {
        Self::routing(&format!(
            "route_config:\n  name: local\n  virtual_hosts:\n{}",
            indent(hosts, 2)
        ))
    }

    /// Everything to one cluster.
    pub fn to(cluster: &str) -> Self {
        Self::routes(&format!("- {{ match: {{ prefix: / }}, route: {{ cluster: {cluster} }} }}"))
    }

    /// Routes by name from the control plane.
    pub fn rds(name: &str) -> Self {
        Self::routing(&format!(
            "rds: {{ route_config_name: {name}, config_source: {{ ads: {{}}, resource_api_version: V3 }} }}"
        ))
    }

    fn routing(routing: &str) -> Self {
        Self {
            name: "ingress".to_owned(),
            port: 0,
            routing: routing.to_owned(),
            manager: String::new(),
            filters: String::new(),
            transport: String::new(),
            chain_match: String::new(),
            listener: String::new(),
        }
    }

    /// Another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// A port that is known beforehand.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// More fields of the HttpConnectionManager.
    #[must_use]
    pub fn manager(mut self, fields: &str) -> Self {
        writeln!(self.manager, "{fields}").unwrap();
        self
    }

    /// A filter before the router: an item of the list `http_filters`.
    #[must_use]
    pub fn filter(mut self, filter: &str) -> Self {
        writeln!(self.filters, "{filter}").unwrap();
        self
    }

    /// TLS: the fields of a DownstreamTlsContext.
    #[must_use]
    pub fn tls(mut self, fields: &str) -> Self {
        self.transport = transport_socket("DownstreamTlsContext", fields);
        self
    }

    /// `filter_chain_match`.
    #[must_use]
    pub fn only_for(mut self, chain_match: &str) -> Self {
        self.chain_match = format!("filter_chain_match: {chain_match}\n");
        self
    }

    /// `metadata` of the filter chain. After [`Self::only_for`].
    #[must_use]
    pub fn metadata(mut self, metadata: &str) -> Self {
        writeln!(self.chain_match, "metadata: {metadata}").unwrap();
        self
    }

    /// More fields of the listener.
    #[must_use]
    pub fn listener(mut self, fields: &str) -> Self {
        writeln!(self.listener, "{fields}").unwrap();
        self
    }

    /// The listener.
    pub fn yaml(&self) -> String {
        self.yaml_with(&[])
    }

    /// The listener, with the filter chains of others behind its own.
    pub fn yaml_with(&self, others: &[Self]) -> String {
        let Self { name, port, listener, .. } = self;
        let chains: String = std::iter::once(self).chain(others).map(Self::chain).collect();
        format!(
            "name: {name}\n\
             address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}\n\
             {listener}\
             filter_chains:\n{chains}"
        )
    }

    /// An item of the list `filter_chains`.
    fn chain(&self) -> String {
        let Self { name, routing, manager, filters, transport, chain_match, .. } = self;
        let router = "- name: envoy.filters.http.router\n  typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }";
        format!(
            "- filters:\n\
             \x20 - name: envoy.filters.network.http_connection_manager\n\
             \x20   typed_config:\n\
             \x20     '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n\
             \x20     stat_prefix: {name}\n\
             {}{}\x20     http_filters:\n{}{}{}{}",
            indent(routing, 6),
            indent(manager, 6),
            indent(filters, 6),
            indent(router, 6),
            indent(chain_match, 2),
            indent(transport, 2),
        )
    }
}

/// A cluster with fixed addresses.
pub fn cluster(name: &str, addresses: &[SocketAddr]) -> String {
    cluster_with(name, addresses, "")
}

/// A cluster with fixed addresses and more fields (of the Cluster, YAML).
pub fn cluster_with(name: &str, addresses: &[SocketAddr], fields: &str) -> String {
    let default = |field: &str, value: &str| {
        if fields.contains(field) { String::new() } else { format!("{field} {value}\n") }
    };
    format!(
        "name: {name}\n{}{}{}\nload_assignment:\n{}",
        default("connect_timeout:", "5s"),
        default("type:", "STATIC"),
        fields.trim_end(),
        indent(&endpoints(name, addresses), 2),
    )
}

/// A cluster whose endpoints come from the control plane.
pub fn eds_cluster(name: &str) -> String {
    format!(
        "name: {name}\nconnect_timeout: 5s\ntype: EDS\n\
         eds_cluster_config: {{ eds_config: {{ ads: {{}}, resource_api_version: V3 }} }}\n"
    )
}

/// A ClusterLoadAssignment.
pub fn endpoints(cluster: &str, addresses: &[SocketAddr]) -> String {
    let mut text = format!("cluster_name: {cluster}\nendpoints:\n- lb_endpoints:");
    if addresses.is_empty() {
        text.push_str(" []");
    }
    for address in addresses {
        let (ip, port) = (address.ip(), address.port());
        write!(
            text,
            "\n  - endpoint: {{ address: {{ socket_address: {{ address: '{ip}', port_value: {port} }} }} }}"
        )
        .unwrap();
    }
    text.push('\n');
    text
}

/// A RouteConfiguration with one virtual host for everything.
pub fn route_table(name: &str, routes: &str) -> String {
    format!(
        "name: {name}\nvirtual_hosts:\n- name: all\n  domains: ['*']\n  routes:\n{}",
        indent(routes, 2)
    )
}

/// `transport_socket` with this TLS context (`UpstreamTlsContext`, `DownstreamTlsContext`).
pub fn transport_socket(context: &str, fields: &str) -> String {
    format!(
        "transport_socket:\n\
         \x20 name: envoy.transport_sockets.tls\n\
         \x20 typed_config:\n\
         \x20   '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{context}\n{}",
        indent(fields, 4)
    )
}

/// Fields of a Cluster that make it speak HTTP/2.
pub const HTTP2: &str = "typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: { http2_protocol_options: {} }
";

/// A bootstrap with an admin endpoint.
pub fn bootstrap(listeners: &[Http], clusters: &[String]) -> String {
    let listeners: Vec<_> = listeners.iter().map(Http::yaml).collect();
    bootstrap_of(&listeners, clusters)
}

/// A bootstrap with an admin endpoint, of listeners as text.
pub fn bootstrap_of(listeners: &[String], clusters: &[String]) -> String {
    format!(
        "admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }} }}\n\
         static_resources:\n  listeners:\n{}  clusters:\n{}",
        items(listeners),
        items(clusters),
    )
}

/// A bootstrap that takes listeners and clusters from a control plane. `api` is `GRPC` or `DELTA_GRPC`.
pub fn dynamic(plane: SocketAddr, api: &str) -> String {
    format!(
        "node: {{ id: test-node, cluster: test-cluster }}\n\
         admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }} }}\n\
         dynamic_resources:\n\
         \x20 ads_config:\n\
         \x20   api_type: {api}\n\
         \x20   transport_api_version: V3\n\
         \x20   set_node_on_first_message_only: true\n\
         \x20   grpc_services: [{{ envoy_grpc: {{ cluster_name: plane }} }}]\n\
         \x20 lds_config: {{ ads: {{}}, resource_api_version: V3 }}\n\
         \x20 cds_config: {{ ads: {{}}, resource_api_version: V3 }}\n\
         static_resources:\n  clusters:\n{}",
        items(&[cluster_with("plane", &[plane], HTTP2)]),
    )
}

/// Items of a list, one level in.
fn items(texts: &[String]) -> String {
    let mut list = String::new();
    for text in texts {
        let text = indent(text, 4);
        list.push_str("  - ");
        list.push_str(text.trim_start());
    }
    list
}

/// Every line further right; ends in a line break if there is any line.
pub fn indent(text: &str, by: usize) -> String {
    let mut indented = String::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        writeln!(indented, "{:by$}{line}", "").unwrap();
    }
    indented
}
