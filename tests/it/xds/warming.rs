//! Nothing serves before what it needs does.

use palanquin_tests::control_plane::ControlPlane;
use palanquin_tests::control_plane::Kind;
use palanquin_tests::upstream::Upstream;

use super::DELTA;
use super::SOTW;
use super::answered_by;
use super::eds;
use super::endpoints;
use super::listener;
use super::proxy;
use super::route_to;
use super::world;

#[tokio::test]
async fn delta_a_listener_waits_for_its_routes() {
    waits_for_routes(DELTA).await;
}

#[tokio::test]
async fn sotw_a_listener_waits_for_its_routes() {
    waits_for_routes(SOTW).await;
}

async fn waits_for_routes(api: &str) {
    let (blue, plane) = (Upstream::echo("blue").await, ControlPlane::start().await);
    plane.put([listener()].into_iter().chain(eds("blue", &[blue.address])));
    let proxy = proxy(&plane, api).await;
    plane.heard("routes are asked for", |said| said.kind == Some(Kind::Route)).await;
    assert!(proxy.listeners().await.is_empty());
    assert_eq!(proxy.admin_get("/ready").await.status(), 503);
    plane.put([route_to("blue")]);
    answered_by(&proxy, "blue").await;
    assert_eq!(proxy.admin_get("/ready").await.status(), 200);
}

#[tokio::test]
async fn a_changed_cluster_serves_as_before_until_its_endpoints_are_known() {
    let (blue, green) = (Upstream::echo("blue").await, Upstream::echo("green").await);
    let plane = ControlPlane::start().await;
    plane.put(world("one", blue.address));
    let proxy = proxy(&plane, DELTA).await;
    answered_by(&proxy, "blue").await;
    // The same cluster, but its endpoints are under another name that nobody has yet.
    let renamed = palanquin_tests::config::eds_cluster("one")
        .replace("eds_cluster_config: {", "eds_cluster_config: { service_name: elsewhere,");
    plane.put([palanquin_tests::control_plane::cluster(&renamed)]);
    plane
        .heard("the new name is asked for", |said| {
            said.kind == Some(Kind::Endpoints) && said.names.iter().any(|name| name == "elsewhere")
        })
        .await;
    for _ in 0..10 {
        assert_eq!(proxy.get("/").await.text(), "blue");
    }
    plane.put([endpoints("elsewhere", &[green.address])]);
    answered_by(&proxy, "green").await;
}

#[tokio::test]
async fn listeners_are_asked_for_after_the_first_clusters_are_warm() {
    let (blue, plane) = (Upstream::echo("blue").await, ControlPlane::start().await);
    let [cluster, endpoints] = eds("blue", &[blue.address]);
    plane.put([cluster, listener(), route_to("blue")]);
    let proxy = proxy(&plane, DELTA).await;
    plane.heard("endpoints are asked for", |said| said.kind == Some(Kind::Endpoints)).await;
    assert!(plane.said().iter().all(|said| said.kind != Some(Kind::Listener)));
    plane.put([endpoints]);
    answered_by(&proxy, "blue").await;
}
