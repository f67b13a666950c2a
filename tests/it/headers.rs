//! Header fields that are added, changed and removed.

use http::Request;
use palanquin_tests::client;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::upstream::Upstream;
use palanquin_tests::upstream::full;

#[tokio::test]
async fn request_and_response_headers_are_changed_by_route_host_and_table() {
    let blue = Upstream::echo("blue").await;
    let listener = Http::hosts(
        "
- name: all
  domains: ['*']
  request_headers_to_add: [{ header: { key: x-host, value: vhost } }]
  response_headers_to_add: [{ header: { key: x-host, value: vhost } }]
  routes:
  - match: { prefix: / }
    route: { cluster: blue }
    request_headers_to_add:
    - header: { key: x-route, value: '%REQ(:PATH)%' }
    - { header: { key: x-set, value: new }, append_action: OVERWRITE_IF_EXISTS_OR_ADD }
    - { header: { key: x-kept, value: new }, append_action: ADD_IF_ABSENT }
    request_headers_to_remove: [x-gone]
    response_headers_to_remove: [x-upstream]
",
    );
    let proxy = Proxy::http(listener, &[cluster("blue", &[blue.address])]).await;
    let request = Request::get("/p")
        .header("x-set", "old")
        .header("x-kept", "old")
        .header("x-gone", "old")
        .body(full(""))
        .unwrap();
    let answer = client::send(proxy.address().await, request).await;
    assert_eq!(answer.header("x-host"), Some("vhost"));
    assert_eq!(answer.header("x-upstream"), None);
    let seen = blue.only();
    assert_eq!(seen.header("x-host"), Some("vhost"));
    assert_eq!(seen.header("x-route"), Some("/p"));
    assert_eq!(seen.header("x-set"), Some("new"));
    assert_eq!(seen.header("x-kept"), Some("old"));
    assert_eq!(seen.header("x-gone"), None);
}

#[tokio::test]
async fn the_upstream_sees_who_asked_and_how() {
    let blue = Upstream::echo("blue").await;
    let proxy = Proxy::http(
        Http::to("blue").manager("use_remote_address: true"),
        &[cluster("blue", &[blue.address])],
    )
    .await;
    proxy.get("/").await;
    let seen = blue.only();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-request-id").map(str::len), Some(36));
}

#[tokio::test]
async fn hop_by_hop_headers_stay_on_their_hop() {
    let blue = Upstream::echo("blue").await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[blue.address])]).await;
    let request = Request::get("/")
        .header("connection", "x-mine, keep-alive")
        .header("x-mine", "1")
        .header("keep-alive", "timeout=5")
        .header("te", "gzip")
        .body(full(""))
        .unwrap();
    client::send(proxy.address().await, request).await;
    let seen = blue.only();
    for name in ["connection", "keep-alive", "te"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn the_answer_names_the_server_and_how_long_the_upstream_took() {
    let blue = Upstream::echo("blue").await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[blue.address])]).await;
    let answer = proxy.get("/").await;
    assert_eq!(answer.header("server"), Some("envoy"));
    let took = answer.header("x-envoy-upstream-service-time").unwrap();
    assert!(took.parse::<u64>().is_ok(), "{took}");
}

#[tokio::test]
async fn headers_that_are_too_large_are_refused_with_431() {
    let blue = Upstream::echo("blue").await;
    let listener = Http::to("blue").manager("max_request_headers_kb: 8");
    let proxy = Proxy::http(listener, &[cluster("blue", &[blue.address])]).await;
    let request = Request::get("/").header("x-big", "a".repeat(9000)).body(full("")).unwrap();
    assert_eq!(client::send(proxy.address().await, request).await.status(), 431);
    assert!(blue.seen().is_empty());
}
