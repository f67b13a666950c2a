//! Secrets: from a control plane, from an agent on the same machine, from files.

mod ads;
mod agent;
mod certs;
mod files;
mod load;
mod refused;
mod unready;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use palanquin_tests::certs::Identity;
use palanquin_tests::certs::Pki;
use palanquin_tests::client::Client;
use palanquin_tests::config;
use palanquin_tests::config::Http;
use palanquin_tests::control_plane;
use palanquin_tests::control_plane::Resource;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::time::eventually;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const DELTA: &str = "DELTA_GRPC";
const SOTW: &str = "GRPC";
/// The host that every test server is asked for.
const HOST: &str = "shop.example";

/// A listener that answers by itself, over TLS with these fields of the context.
fn listener(context: &str) -> Http {
    Http::routes("- { match: { prefix: / }, direct_response: { status: 200, body: { inline_string: hello } } }")
        .tls(context)
}

/// A context whose certificate is a secret of this source.
fn named(name: &str, source: &str) -> String {
    format!(
        "common_tls_context: {{ tls_certificate_sds_secret_configs: [{{ name: {name}, sds_config: {source} }}] }}"
    )
}

/// A secret with this certificate.
fn certificate(name: &str, identity: &Identity) -> Resource {
    control_plane::secret(&certificate_text(
        name,
        &read(&identity.certificate),
        &read(&identity.key),
    ))
}

fn certificate_text(name: &str, chain: &str, key: &str) -> String {
    format!(
        "name: {name}\ntls_certificate: {{ certificate_chain: {{ inline_string: {chain:?} }}, private_key: {{ inline_string: {key:?} }} }}"
    )
}

/// A secret that trusts this authority.
fn trust(name: &str, pki: &Pki) -> Resource {
    control_plane::secret(&trust_text(name, &read(&pki.ca())))
}

fn trust_text(name: &str, authorities: &str) -> String {
    format!(
        "name: {name}\nvalidation_context: {{ trusted_ca: {{ inline_string: {authorities:?} }} }}"
    )
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The certificate that a new connection is shown; `None`: there is none.
async fn shown(address: SocketAddr, tls: Arc<ClientConfig>) -> Option<Vec<u8>> {
    let stream = TcpStream::connect(address).await.ok()?;
    let stream = TlsConnector::from(tls).connect(HOST.try_into().unwrap(), stream).await.ok()?;
    Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec())
}

/// Waits until new connections are shown this certificate.
async fn shows(address: SocketAddr, pki: &Pki, identity: &Identity) {
    let tls = pki.client(None, &[]);
    eventually("the certificate is shown", async || {
        (shown(address, Arc::clone(&tls)).await? == identity.der()).then_some(())
    })
    .await;
}

/// A connection that is kept.
async fn connected(proxy: &Proxy, pki: &Pki) -> Client {
    Client::tls(proxy.address().await, HOST, pki.client(None, &[])).await.unwrap()
}

/// A source on a stream of its own.
fn stream(cluster: &str, api: &str, more: &str) -> String {
    format!(
        "{{ {more} resource_api_version: V3, api_config_source: {{ api_type: {api}, transport_api_version: V3, set_node_on_first_message_only: true, grpc_services: [{{ envoy_grpc: {{ cluster_name: {cluster} }} }}] }} }}"
    )
}

/// The cluster of an agent behind a Unix socket.
fn agent_cluster(path: &Path) -> String {
    format!(
        "name: agent\ntype: STATIC\nconnect_timeout: 1s\ntyped_extension_protocol_options:\n  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n    '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n    explicit_http_config: {{ http2_protocol_options: {{}} }}\nload_assignment: {{ cluster_name: agent, endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ pipe: {{ path: {} }} }} }} }}] }}] }}\n",
        path.display()
    )
}

/// A proxy with static listeners and clusters whose node has a name.
fn bootstrap(listeners: &[Http], clusters: &[String]) -> String {
    format!("node: {{ id: me, cluster: mine }}\n{}", config::bootstrap(listeners, clusters))
}
