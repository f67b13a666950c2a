//! Redirects, built by the proxy itself.

use palanquin_tests::config::Http;
use palanquin_tests::proxy::Proxy;

async fn redirect(action: &str) -> Proxy {
    Proxy::http(
        Http::routes(&format!("- {{ match: {{ prefix: /old }}, redirect: {{ {action} }} }}")),
        &[],
    )
    .await
}

#[tokio::test]
async fn a_redirect_to_https_keeps_host_and_path() {
    let proxy = redirect("https_redirect: true").await;
    let answer = proxy.get_host("shop.example", "/old?q=1").await;
    assert_eq!(answer.status(), 301);
    assert_eq!(answer.header("location"), Some("https://shop.example/old?q=1"));
}

#[tokio::test]
async fn host_path_and_status_of_a_redirect_can_be_chosen() {
    let proxy = redirect(
        "host_redirect: new.example, path_redirect: /new, response_code: PERMANENT_REDIRECT",
    )
    .await;
    let answer = proxy.get_host("shop.example", "/old?q=1").await;
    assert_eq!(answer.status(), 308);
    assert_eq!(answer.header("location"), Some("http://new.example/new?q=1"));
}

#[tokio::test]
async fn a_redirect_can_replace_the_prefix_and_strip_the_query() {
    let proxy = redirect("prefix_rewrite: /new, strip_query: true").await;
    let answer = proxy.get_host("shop.example", "/old/x?q=1").await;
    assert_eq!(answer.header("location"), Some("http://shop.example/new/x"));
}
