//! The short form, from text to answer.

use palanquin_tests::client;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::proxy::Settings;
use palanquin_tests::upstream::Upstream;

#[tokio::test]
async fn a_file_of_four_lines_is_a_proxy() {
    let (blue, green) = (Upstream::echo("blue").await, Upstream::echo("green").await);
    let proxy = Proxy::start(&format!(
        "listen: 127.0.0.1:0\nroutes:\n  /api/: {{ to: '{}', strip-prefix: true }}\n  /: {}\n",
        green.address, blue.address
    ))
    .await;
    let (_, address) = proxy.listeners().await.remove(0);
    assert_eq!(client::get(address, "/").await.text(), "blue");
    assert_eq!(client::get(address, "/api/users").await.text(), "green");
    assert_eq!(green.only().path(), "/users");
}

#[tokio::test]
async fn tenants_of_the_short_form_have_their_limits() {
    let blue = Upstream::echo("blue").await;
    let proxy = Proxy::start(&format!(
        "listen: 127.0.0.1:0\nroutes:\n  /: {}\ntenants:\n  acme: {{ match: {{ host: acme.example }}, quota: 1/day }}\n",
        blue.address
    ))
    .await;
    let (_, address) = proxy.listeners().await.remove(0);
    assert_eq!(client::get_host(address, "acme.example", "/").await.status(), 200);
    assert_eq!(client::get_host(address, "acme.example", "/").await.status(), 429);
    assert_eq!(client::get_host(address, "other.example", "/").await.status(), 200);
    assert_eq!(blue.seen()[0].header("x-tenant-id"), Some("acme"));
}

#[tokio::test]
async fn a_mistake_is_told_with_its_line() {
    let text = "listen: 127.0.0.1:0\nroutes:\n  /: { too: 127.0.0.1:1 }\n";
    let error = Proxy::try_launch(text, Settings::default()).await.unwrap_err().to_string();
    assert!(error.contains("config.yaml:3:"), "{error}");
    assert!(error.contains("too"), "{error}");
}
