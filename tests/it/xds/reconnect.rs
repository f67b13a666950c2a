//! A control plane that goes away and comes back.

use palanquin_tests::config;
use palanquin_tests::control_plane::ControlPlane;
use palanquin_tests::control_plane::Kind;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::raw::ClosedPort;
use palanquin_tests::upstream::Upstream;
use tokio::net::TcpListener;

use super::DELTA;
use super::SOTW;
use super::answered_by;
use super::eds;
use super::proxy;
use super::route_to;
use super::world;

#[tokio::test]
async fn delta_after_a_broken_stream_only_what_changed_is_sent_again() {
    let (blue, green) = (Upstream::echo("blue").await, Upstream::echo("green").await);
    let plane = ControlPlane::start().await;
    plane.put(world("blue", blue.address));
    plane.put(eds("green", &[green.address]));
    let proxy = proxy(&plane, DELTA).await;
    answered_by(&proxy, "blue").await;
    for kind in Kind::ALL {
        plane.acked(kind).await;
    }
    plane.disconnect();
    assert_eq!(proxy.get("/").await.text(), "blue", "meanwhile");
    let said = plane
        .heard("a new stream", |said| said.stream == 2 && said.kind == Some(Kind::Cluster))
        .await;
    assert!(said.node.is_some());
    let had: Vec<_> = said.initial_versions.keys().map(String::as_str).collect();
    assert_eq!(had, ["blue", "green"]);
    plane.put([route_to("green")]);
    answered_by(&proxy, "green").await;
}

#[tokio::test]
async fn sotw_after_a_broken_stream_the_accepted_version_is_told() {
    let (blue, green) = (Upstream::echo("blue").await, Upstream::echo("green").await);
    let plane = ControlPlane::start().await;
    plane.put(world("blue", blue.address));
    plane.put(eds("green", &[green.address]));
    let proxy = proxy(&plane, SOTW).await;
    answered_by(&proxy, "blue").await;
    for kind in Kind::ALL {
        plane.acked(kind).await;
    }
    plane.disconnect();
    let said = plane
        .heard("a new stream", |said| said.stream == 2 && said.kind == Some(Kind::Cluster))
        .await;
    assert!(!said.version.is_empty());
    assert!(said.nonce.is_empty(), "a nonce is worth nothing on another stream");
    plane.put([route_to("green")]);
    answered_by(&proxy, "green").await;
}

#[tokio::test]
async fn a_control_plane_that_is_away_takes_nothing_with_it_and_is_found_again() {
    let (blue, green) = (Upstream::echo("blue").await, Upstream::echo("green").await);
    let plane = ControlPlane::start().await;
    plane.put(world("blue", blue.address));
    let proxy = proxy(&plane, DELTA).await;
    answered_by(&proxy, "blue").await;
    let address = plane.address;
    drop(plane);
    for _ in 0..20 {
        assert_eq!(proxy.get("/").await.text(), "blue");
    }
    let mut resources = world("blue", blue.address);
    resources.extend(eds("green", &[green.address]));
    resources.push(route_to("green"));
    let _plane = ControlPlane::start_on(TcpListener::bind(address).await.unwrap(), resources);
    answered_by(&proxy, "green").await;
}

#[tokio::test]
async fn a_proxy_that_starts_before_its_control_plane_serves_once_it_is_there() {
    let blue = Upstream::echo("blue").await;
    let closed = ClosedPort::reserve();
    let proxy = Proxy::launch(&config::dynamic(closed.address, DELTA)).await;
    assert_eq!(proxy.admin_get("/ready").await.status(), 503);
    let _plane = ControlPlane::start_on(closed.listen(), world("blue", blue.address));
    answered_by(&proxy, "blue").await;
}
