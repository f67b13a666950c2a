//! The admin endpoint.

use http::Request;
use palanquin_tests::client;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::time::within;
use palanquin_tests::upstream::Upstream;
use palanquin_tests::upstream::full;

async fn world() -> (Proxy, Upstream) {
    let blue = Upstream::echo("blue").await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[blue.address])]).await;
    proxy.get("/").await;
    (proxy, blue)
}

#[tokio::test]
async fn ready_says_live_once_everything_serves() {
    let (proxy, _blue) = world().await;
    let answer = proxy.admin_get("/ready").await;
    assert_eq!((answer.status(), answer.text()), (200, "LIVE\n"));
}

#[tokio::test]
async fn stats_have_envoys_names() {
    let (proxy, _blue) = world().await;
    proxy.stat_is("cluster.blue.upstream_rq_total", 1).await;
    proxy.stat_is("cluster.blue.upstream_rq_2xx", 1).await;
    proxy.stat_is("http.ingress.downstream_rq_total", 1).await;
    proxy.stat_is("http.ingress.downstream_rq_2xx", 1).await;
    assert_eq!(proxy.stat("cluster.blue.membership_total").await, 1);
    assert_eq!(proxy.stat("listener_manager.total_listeners_active").await, 1);
    let filtered = proxy.admin_get("/stats?filter=membership").await;
    assert!(filtered.text().lines().all(|line| line.contains("membership")), "{}", filtered.text());
}

#[tokio::test]
async fn prometheus_gets_labels_instead_of_names() {
    let (proxy, _blue) = world().await;
    let answer = proxy.admin_get("/stats/prometheus").await;
    let expected = "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"blue\"} 1";
    assert!(answer.text().lines().any(|line| line == expected), "{}", answer.text());
}

#[tokio::test]
async fn clusters_listeners_and_configuration_are_told() {
    let (proxy, blue) = world().await;
    let clusters = proxy.admin_get("/clusters").await;
    let expected = format!("blue::{}::health_flags::healthy", blue.address);
    assert!(clusters.text().contains(&expected), "{}", clusters.text());
    let listeners = proxy.admin_get("/listeners").await;
    let expected = format!("ingress::{}", proxy.address().await);
    assert!(listeners.text().contains(&expected), "{}", listeners.text());
    let dump = proxy.admin_get("/config_dump").await;
    let dump: serde_json::Value = serde_json::from_slice(&dump.body).unwrap();
    assert!(dump["configs"].as_array().is_some_and(|configs| !configs.is_empty()));
    let info = proxy.admin_get("/server_info").await;
    let info: serde_json::Value = serde_json::from_slice(&info.body).unwrap();
    assert_eq!(info["state"], "LIVE");
}

#[tokio::test]
async fn what_changes_something_must_be_posted() {
    let (proxy, _blue) = world().await;
    assert_eq!(proxy.admin_get("/quitquitquit").await.status(), 405);
    assert_eq!(proxy.get("/").await.status(), 200, "it goes on");
    let admin = proxy.admin();
    let quit = Request::post("/quitquitquit").header("host", admin.to_string());
    assert_eq!(client::send(admin, quit.body(full("")).unwrap()).await.status(), 200);
    within("the end of the proxy", proxy.ended()).await;
}

#[tokio::test]
async fn a_page_of_another_site_cannot_use_it() {
    let (proxy, _blue) = world().await;
    let answer = client::get_host(proxy.admin(), "rebound.example", "/config_dump").await;
    assert!(answer.status() >= 400, "{}", answer.status());
}

#[tokio::test]
async fn an_unknown_page_is_404() {
    let (proxy, _blue) = world().await;
    assert_eq!(proxy.admin_get("/nothing-here").await.status(), 404);
}
