//! What goes over the wire, as a control plane sees it.

use palanquin_tests::control_plane::ControlPlane;
use palanquin_tests::control_plane::Kind;
use palanquin_tests::upstream::Upstream;

use super::DELTA;
use super::SOTW;
use super::answered_by;
use super::eds;
use super::proxy;
use super::world;

#[tokio::test]
async fn delta_subscribes_to_everything_of_lds_and_cds_and_to_names_of_the_others() {
    subscribes(DELTA).await;
}

#[tokio::test]
async fn sotw_subscribes_to_everything_of_lds_and_cds_and_to_names_of_the_others() {
    subscribes(SOTW).await;
}

async fn subscribes(api: &str) {
    let (blue, plane) = (Upstream::echo("blue").await, ControlPlane::start().await);
    plane.put(world("blue", blue.address));
    let proxy = proxy(&plane, api).await;
    answered_by(&proxy, "blue").await;
    for kind in Kind::ALL {
        plane.acked(kind).await;
    }
    let said = plane.said();
    let first = |kind| said.iter().find(|said| said.kind == Some(kind)).unwrap();
    assert_eq!(said[0].node.as_ref().unwrap().id, "test-node");
    assert!(said[1..].iter().all(|said| said.node.is_none()), "the node only once");
    assert!(first(Kind::Cluster).names.is_empty());
    assert!(first(Kind::Listener).names.is_empty());
    assert_eq!(first(Kind::Endpoints).names, ["blue"]);
    assert_eq!(first(Kind::Route).names, ["routes"]);
    assert!(said.iter().all(|said| said.error.is_none()));
    let order: Vec<_> = said.iter().filter_map(|said| said.kind).collect();
    let position = |kind| order.iter().position(|one| *one == kind).unwrap();
    assert!(position(Kind::Cluster) < position(Kind::Listener), "clusters before listeners");
}

#[tokio::test]
async fn delta_unsubscribes_from_the_endpoints_of_a_cluster_that_is_gone() {
    let (blue, plane) = (Upstream::echo("blue").await, ControlPlane::start().await);
    plane.put(world("blue", blue.address));
    plane.put(eds("green", &[blue.address]));
    let proxy = proxy(&plane, DELTA).await;
    answered_by(&proxy, "blue").await;
    plane.remove(Kind::Cluster, "green");
    plane
        .heard("the end of a subscription", |said| {
            said.kind == Some(Kind::Endpoints) && said.unsubscribed == ["green"]
        })
        .await;
}

#[tokio::test]
async fn sotw_names_only_the_endpoints_of_clusters_that_remain() {
    let (blue, plane) = (Upstream::echo("blue").await, ControlPlane::start().await);
    plane.put(world("blue", blue.address));
    plane.put(eds("green", &[blue.address]));
    let proxy = proxy(&plane, SOTW).await;
    answered_by(&proxy, "blue").await;
    plane
        .heard("both names", |said| said.kind == Some(Kind::Endpoints) && said.names.len() == 2)
        .await;
    let before = plane.said().len();
    plane.remove(Kind::Cluster, "green");
    palanquin_tests::time::eventually("only blue", async || {
        let said = plane.said();
        let mut later = said[before..].iter();
        later.find(|said| said.kind == Some(Kind::Endpoints) && said.names == ["blue"]).cloned()
    })
    .await;
}
