//! Which route a request takes.

use http::Request;
use palanquin_tests::client;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::upstream::Upstream;
use palanquin_tests::upstream::full;

/// A proxy for these routes, whose clusters are `blue` and `green`.
async fn proxy(listener: Http) -> (Proxy, Upstream, Upstream) {
    let (blue, green) = (Upstream::echo("blue").await, Upstream::echo("green").await);
    let clusters = [cluster("blue", &[blue.address]), cluster("green", &[green.address])];
    (Proxy::http(listener, &clusters).await, blue, green)
}

#[tokio::test]
async fn a_request_goes_to_the_cluster_of_its_route() {
    let (proxy, blue, _green) = proxy(Http::to("blue")).await;
    let answer = proxy.get("/some/path?and=query").await;
    assert_eq!((answer.status(), answer.text()), (200, "blue"));
    assert_eq!(blue.only().path(), "/some/path?and=query");
    assert_eq!(blue.only().host(), "test.example");
}

#[tokio::test]
async fn the_first_route_that_matches_wins() {
    let (proxy, _blue, _green) = proxy(Http::routes(
        "
- { match: { prefix: /a }, route: { cluster: blue } }
- { match: { prefix: /a/b }, route: { cluster: green } }
",
    ))
    .await;
    assert_eq!(proxy.get("/a/b").await.text(), "blue");
}

#[tokio::test]
async fn paths_match_exactly_by_prefix_by_segment_and_by_regex() {
    let (proxy, _blue, _green) = proxy(Http::routes(
        "
- { match: { path: /exact }, route: { cluster: green } }
- { match: { path_separated_prefix: /api }, route: { cluster: green } }
- { match: { safe_regex: { regex: '/user/[0-9]+' } }, route: { cluster: green } }
- { match: { prefix: /PRE, case_sensitive: false }, route: { cluster: green } }
- { match: { prefix: / }, route: { cluster: blue } }
",
    ))
    .await;
    for path in ["/exact", "/exact?q=1", "/api", "/api/x", "/api?x", "/user/12", "/prefix"] {
        assert_eq!(proxy.get(path).await.text(), "green", "{path}");
    }
    for path in ["/exact/", "/apis", "/user/12/x", "/user/", "/"] {
        assert_eq!(proxy.get(path).await.text(), "blue", "{path}");
    }
}

#[tokio::test]
async fn header_and_query_matchers_decide_between_routes() {
    let (proxy, _blue, _green) = proxy(Http::routes(
        "
- match: { prefix: /, headers: [{ name: x-env, string_match: { exact: canary } }] }
  route: { cluster: green }
- match: { prefix: /, query_parameters: [{ name: env, string_match: { exact: canary } }] }
  route: { cluster: green }
- match: { prefix: /, headers: [{ name: ':method', string_match: { exact: DELETE } }] }
  route: { cluster: green }
- match: { prefix: / }
  route: { cluster: blue }
",
    ))
    .await;
    let address = proxy.address().await;
    let canary = Request::get("/").header("x-env", "canary").body(full("")).unwrap();
    assert_eq!(client::send(address, canary).await.text(), "green");
    assert_eq!(proxy.get("/?env=canary").await.text(), "green");
    let delete = Request::delete("/").body(full("")).unwrap();
    assert_eq!(client::send(address, delete).await.text(), "green");
    assert_eq!(proxy.get("/?env=prod").await.text(), "blue");
}

#[tokio::test]
async fn hosts_match_exactly_before_suffix_before_prefix_before_any() {
    let (proxy, _blue, _green) = proxy(Http::hosts(
        "
- { name: any, domains: ['*'], routes: [{ match: { prefix: / }, direct_response: { status: 200, body: { inline_string: any } } }] }
- { name: prefix, domains: ['api.*'], routes: [{ match: { prefix: / }, direct_response: { status: 200, body: { inline_string: prefix } } }] }
- { name: suffix, domains: ['*.example.com'], routes: [{ match: { prefix: / }, direct_response: { status: 200, body: { inline_string: suffix } } }] }
- { name: exact, domains: [api.example.com], routes: [{ match: { prefix: / }, direct_response: { status: 200, body: { inline_string: exact } } }] }
",
    ))
    .await;
    for (host, expected) in [
        ("api.example.com", "exact"),
        ("API.Example.com", "exact"),
        ("www.example.com", "suffix"),
        ("api.example.org", "prefix"),
        ("example.org", "any"),
        (".example.com", "any"),
    ] {
        assert_eq!(proxy.get_host(host, "/").await.text(), expected, "{host}");
    }
}

#[tokio::test]
async fn a_request_without_a_route_is_answered_404_and_counted() {
    let (proxy, blue, _green) =
        proxy(Http::routes("- { match: { prefix: /a }, route: { cluster: blue } }")).await;
    let answer = proxy.get("/b").await;
    assert_eq!((answer.status(), answer.text()), (404, ""));
    assert!(blue.seen().is_empty());
    proxy.stat_is("http.ingress.no_route", 1).await;
}

#[tokio::test]
async fn a_cluster_header_chooses_the_cluster_and_an_unknown_one_is_answered_503() {
    let (proxy, _blue, _green) =
        proxy(Http::routes("- { match: { prefix: / }, route: { cluster_header: x-to } }")).await;
    let address = proxy.address().await;
    let to = |name: &str| Request::get("/").header("x-to", name).body(full("")).unwrap();
    assert_eq!(client::send(address, to("green")).await.text(), "green");
    assert_eq!(client::send(address, to("red")).await.status(), 503);
    assert_eq!(proxy.get("/").await.status(), 503);
}

#[tokio::test]
async fn routing_sees_the_normalised_path() {
    let (proxy, blue, _green) = proxy(
        Http::routes(
            "
- { match: { prefix: /admin }, direct_response: { status: 403 } }
- { match: { prefix: / }, route: { cluster: blue } }
",
        )
        .manager("normalize_path: true\nmerge_slashes: true"),
    )
    .await;
    for path in ["/x/../admin", "/./admin", "//admin", "/%61dmin"] {
        assert_eq!(proxy.get(path).await.status(), 403, "{path}");
    }
    assert!(blue.seen().is_empty());
}
