//! Paths and hosts that the upstream sees otherwise than the client wrote them.

use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::upstream::Upstream;

async fn proxy(routes: &str) -> (Proxy, Upstream) {
    let blue = Upstream::echo("blue").await;
    let clusters = [cluster("blue", &[blue.address])];
    (Proxy::http(Http::routes(routes), &clusters).await, blue)
}

#[tokio::test]
async fn a_prefix_is_replaced_and_the_rest_is_kept() {
    let (proxy, blue) =
        proxy("- { match: { prefix: /api/ }, route: { cluster: blue, prefix_rewrite: /v2/ } }")
            .await;
    proxy.get("/api/users?id=1").await;
    assert_eq!(blue.only().path(), "/v2/users?id=1");
    assert_eq!(blue.only().header("x-envoy-original-path"), Some("/api/users?id=1"));
}

#[tokio::test]
async fn a_regex_rewrites_the_path_with_its_groups() {
    let (proxy, blue) = proxy(
        "
- match: { prefix: / }
  route:
    cluster: blue
    regex_rewrite: { pattern: { regex: '^/service/([^/]+)(/.*)$' }, substitution: '\\2/instance/\\1' }
",
    )
    .await;
    proxy.get("/service/foo/v1/api?x=y").await;
    assert_eq!(blue.only().path(), "/v1/api/instance/foo?x=y");
}

#[tokio::test]
async fn the_host_is_replaced_literally() {
    let (proxy, blue) = proxy(
        "- { match: { prefix: / }, route: { cluster: blue, host_rewrite_literal: other.example } }",
    )
    .await;
    proxy.get("/").await;
    assert_eq!(blue.only().host(), "other.example");
}

#[tokio::test]
async fn the_host_is_taken_from_a_header() {
    let (proxy, blue) = proxy(
        "- { match: { prefix: / }, route: { cluster: blue, host_rewrite_header: x-wanted } }",
    )
    .await;
    let request = http::Request::get("/")
        .header("x-wanted", "wanted.example")
        .body(palanquin_tests::upstream::full(""))
        .unwrap();
    palanquin_tests::client::send(proxy.address().await, request).await;
    assert_eq!(blue.only().host(), "wanted.example");
}
