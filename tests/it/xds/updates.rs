//! Adding, changing and removing resources while the proxy runs.

use palanquin_tests::client;
use palanquin_tests::config;
use palanquin_tests::config::Http;
use palanquin_tests::control_plane;
use palanquin_tests::control_plane::ControlPlane;
use palanquin_tests::control_plane::Kind;
use palanquin_tests::time::eventually;
use palanquin_tests::upstream::Upstream;
use tokio::net::TcpStream;

use super::DELTA;
use super::SOTW;
use super::answered_by;
use super::eds;
use super::endpoints;
use super::proxy;
use super::route_to;
use super::world;

#[tokio::test]
async fn delta_changes_of_routes_endpoints_clusters_and_listeners_are_served() {
    changes(DELTA).await;
}

#[tokio::test]
async fn sotw_changes_of_routes_endpoints_clusters_and_listeners_are_served() {
    changes(SOTW).await;
}

async fn changes(api: &str) {
    let (blue, green) = (Upstream::echo("blue").await, Upstream::echo("green").await);
    let plane = ControlPlane::start().await;
    plane.put(world("one", blue.address));
    let proxy = proxy(&plane, api).await;
    answered_by(&proxy, "blue").await;

    // A new cluster with a route to it, at once.
    plane.put(eds("two", &[green.address]).into_iter().chain([route_to("two")]));
    answered_by(&proxy, "green").await;

    // Other endpoints of the same cluster.
    plane.put([endpoints("two", &[blue.address])]);
    answered_by(&proxy, "blue").await;

    // Another sort of cluster under the same name.
    plane.put([control_plane::cluster(&config::cluster("two", &[green.address]))]);
    answered_by(&proxy, "green").await;

    // Other routes, in the listener itself.
    let direct = "- { match: { prefix: / }, direct_response: { status: 200, body: { inline_string: direct } } }";
    plane.put([control_plane::listener(&Http::routes(direct).yaml())]);
    answered_by(&proxy, "direct").await;

    // A second listener, and the end of the first.
    let second = Http::routes(direct).named("second");
    plane.put([control_plane::listener(&second.yaml())]);
    let first = proxy.address().await;
    let second = proxy.listener("second").await;
    assert_eq!(client::get(second, "/").await.text(), "direct");
    plane.remove(Kind::Listener, "ingress");
    eventually("the first listener is gone", async || TcpStream::connect(first).await.err()).await;
    assert_eq!(client::get(second, "/").await.text(), "direct");
}

#[tokio::test]
async fn a_route_to_a_cluster_that_was_removed_is_answered_503_until_it_is_back() {
    let (blue, plane) = (Upstream::echo("blue").await, ControlPlane::start().await);
    plane.put(world("blue", blue.address));
    let proxy = proxy(&plane, DELTA).await;
    answered_by(&proxy, "blue").await;
    plane.remove(Kind::Cluster, "blue");
    eventually("503", async || (proxy.get("/").await.status() == 503).then_some(())).await;
    plane.put(eds("blue", &[blue.address]));
    answered_by(&proxy, "blue").await;
}

#[tokio::test]
async fn an_update_of_routes_keeps_connections_on_both_sides() {
    let (blue, plane) = (Upstream::echo("blue").await, ControlPlane::start().await);
    plane.put(world("blue", blue.address));
    let proxy = proxy(&plane, DELTA).await;
    answered_by(&proxy, "blue").await;
    let mut connection = client::Client::http1(proxy.address().await).await;
    connection.get("/").await;
    let connections = proxy.stat("cluster.blue.upstream_cx_total").await;
    for number in 0..5 {
        let route = format!(
            "- {{ match: {{ prefix: / }}, route: {{ cluster: blue }}, response_headers_to_add: [{{ header: {{ key: x-number, value: '{number}' }} }}] }}"
        );
        plane.put([control_plane::route_table(&config::route_table("routes", &route))]);
        plane.acked(Kind::Route).await;
        let answer = connection.get("/").await;
        assert_eq!(
            answer.header("x-number"),
            Some(number.to_string().as_str()),
            "once it is ACKed"
        );
    }
    assert!(connection.is_open());
    assert_eq!(proxy.stat("cluster.blue.upstream_cx_total").await, connections);
}
