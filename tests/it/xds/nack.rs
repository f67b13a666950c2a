//! Resources that cannot be used: refused by name and field, while the last good one serves.

use palanquin_tests::config;
use palanquin_tests::config::Http;
use palanquin_tests::control_plane;
use palanquin_tests::control_plane::ControlPlane;
use palanquin_tests::control_plane::Kind;
use palanquin_tests::control_plane::Resource;
use palanquin_tests::upstream::Upstream;

use super::DELTA;
use super::SOTW;
use super::answered_by;
use super::eds;
use super::proxy;
use super::route_to;
use super::world;

#[tokio::test]
async fn delta_refuses_a_bad_route_by_name_and_field_and_goes_on_with_the_last_good_one() {
    bad_route(DELTA).await;
}

#[tokio::test]
async fn sotw_refuses_a_bad_route_by_name_and_field_and_goes_on_with_the_last_good_one() {
    bad_route(SOTW).await;
}

async fn bad_route(api: &str) {
    let (blue, green) = (Upstream::echo("blue").await, Upstream::echo("green").await);
    let plane = ControlPlane::start().await;
    plane.put(world("blue", blue.address));
    plane.put(eds("green", &[green.address]));
    let proxy = proxy(&plane, api).await;
    answered_by(&proxy, "blue").await;

    let bad = "- { match: { safe_regex: { regex: '(' } }, route: { cluster: green } }";
    plane.put([control_plane::route_table(&config::route_table("routes", bad))]);
    let text = plane.nacked(Kind::Route).await;
    assert!(text.contains("routes"), "the resource: {text}");
    assert!(text.contains("virtual_hosts[0].routes[0].match.safe_regex"), "the field: {text}");
    assert_eq!(proxy.get("/").await.text(), "blue");

    plane.put([route_to("green")]);
    plane.acked(Kind::Route).await;
    assert_eq!(proxy.get("/").await.text(), "green");
}

#[tokio::test]
async fn delta_refuses_one_cluster_and_takes_the_others_of_the_same_response() {
    one_bad_cluster(DELTA).await;
}

#[tokio::test]
async fn sotw_refuses_one_cluster_and_takes_the_others_of_the_same_response() {
    one_bad_cluster(SOTW).await;
}

async fn one_bad_cluster(api: &str) {
    let (blue, green) = (Upstream::echo("blue").await, Upstream::echo("green").await);
    let plane = ControlPlane::start().await;
    plane.put(world("blue", blue.address));
    let proxy = proxy(&plane, api).await;
    answered_by(&proxy, "blue").await;
    let bad = config::cluster_with("bad", &[], "type: ORIGINAL_DST\nlb_policy: MAGLEV");
    let mut resources = vec![control_plane::cluster(&bad)];
    resources.extend(eds("green", &[green.address]));
    plane.put(resources);
    let text = plane.nacked(Kind::Cluster).await;
    assert!(text.contains("bad"), "{text}");
    plane.put([route_to("green")]);
    answered_by(&proxy, "green").await;
}

#[tokio::test]
async fn a_listener_with_a_bad_filter_is_refused_and_the_old_one_serves() {
    let (blue, plane) = (Upstream::echo("blue").await, ControlPlane::start().await);
    plane.put(world("blue", blue.address));
    let proxy = proxy(&plane, DELTA).await;
    answered_by(&proxy, "blue").await;
    let bad = Http::rds("routes").filter(
        "- name: palanquin.filters.http.tenant\n  typed_config:\n    '@type': type.googleapis.com/xds.type.v3.TypedStruct\n    type_url: type.googleapis.com/palanquin.tenant.v1.TenantFilter\n    value: { sources: [{ extract_regex: '(' }] }",
    );
    plane.put([control_plane::listener(&bad.yaml())]);
    let text = plane.nacked(Kind::Listener).await;
    assert!(text.contains("ingress"), "the resource: {text}");
    assert!(text.contains("http_filters[0]"), "the field: {text}");
    assert_eq!(proxy.get("/").await.text(), "blue");
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused() {
    let (blue, plane) = (Upstream::echo("blue").await, ControlPlane::start().await);
    plane.put(world("blue", blue.address));
    let proxy = proxy(&plane, DELTA).await;
    answered_by(&proxy, "blue").await;
    plane.put([Resource::raw(Kind::Cluster, "garbage", vec![0x0a, 0xff, 0xff])]);
    let text = plane.nacked(Kind::Cluster).await;
    assert!(text.contains("garbage"), "{text}");
    assert_eq!(proxy.get("/").await.text(), "blue");
}

#[tokio::test]
async fn the_admin_page_tells_what_was_refused_and_why() {
    let (blue, plane) = (Upstream::echo("blue").await, ControlPlane::start().await);
    plane.put(world("blue", blue.address));
    let proxy = proxy(&plane, DELTA).await;
    answered_by(&proxy, "blue").await;
    let bad = "- { match: { safe_regex: { regex: '(' } }, route: { cluster: blue } }";
    plane.put([control_plane::route_table(&config::route_table("routes", bad))]);
    plane.nacked(Kind::Route).await;
    let dump = proxy.admin_get("/config_dump").await;
    assert!(dump.text().contains("error_state"), "{}", dump.text());
    assert!(dump.text().contains("safe_regex"));
    assert_eq!(proxy.stat("listener_manager.lds.update_rejected").await, 0);
}
