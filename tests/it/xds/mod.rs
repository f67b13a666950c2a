//! Configuration from a control plane, in both protocols.

mod load;
mod nack;
mod protocol;
mod reconnect;
mod updates;
mod warming;

use std::net::SocketAddr;

use palanquin_tests::config;
use palanquin_tests::config::Http;
use palanquin_tests::control_plane;
use palanquin_tests::control_plane::ControlPlane;
use palanquin_tests::control_plane::Resource;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::time::eventually;

/// `api_type`s that every test is run with.
const DELTA: &str = "DELTA_GRPC";
const SOTW: &str = "GRPC";

/// A proxy that asks this control plane.
async fn proxy(plane: &ControlPlane, api: &str) -> Proxy {
    Proxy::launch(&config::dynamic(plane.address, api)).await
}

/// A listener with routes by RDS, its routes to `cluster`, and that cluster by EDS.
fn world(cluster: &str, address: SocketAddr) -> Vec<Resource> {
    let mut all = vec![listener(), route_to(cluster)];
    all.extend(eds(cluster, &[address]));
    all
}

fn listener() -> Resource {
    control_plane::listener(&Http::rds("routes").yaml())
}

fn route_to(cluster: &str) -> Resource {
    let route = format!("- {{ match: {{ prefix: / }}, route: {{ cluster: {cluster} }} }}");
    control_plane::route_table(&config::route_table("routes", &route))
}

/// A cluster and its endpoints.
fn eds(name: &str, addresses: &[SocketAddr]) -> [Resource; 2] {
    [control_plane::cluster(&config::eds_cluster(name)), endpoints(name, addresses)]
}

fn endpoints(name: &str, addresses: &[SocketAddr]) -> Resource {
    control_plane::endpoints(&config::endpoints(name, addresses))
}

/// Waits until requests are answered by `name`.
async fn answered_by(proxy: &Proxy, name: &str) {
    eventually(&format!("answers of {name}"), async || {
        (proxy.get("/").await.text() == name).then_some(())
    })
    .await;
}
