//! The configuration file changes while the proxy runs.

use palanquin_tests::client::Client;
use palanquin_tests::config::Http;
use palanquin_tests::config::bootstrap;
use palanquin_tests::config::cluster;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::time::eventually;
use palanquin_tests::upstream::Upstream;

/// A configuration that answers everything with this text.
fn answering(text: &str) -> String {
    let route = format!(
        "- {{ match: {{ prefix: / }}, direct_response: {{ status: 200, body: {{ inline_string: {text} }} }} }}"
    );
    bootstrap(&[Http::routes(&route)], &[])
}

/// Replaces the file as editors do: written beside it, then renamed over it.
fn replace(proxy: &Proxy, text: &str) {
    let new = proxy.directory().join("new.yaml");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, proxy.config_file()).unwrap();
}

#[tokio::test]
async fn a_changed_file_is_served_without_being_asked() {
    let proxy = Proxy::start(&answering("before")).await;
    assert_eq!(proxy.get("/").await.text(), "before");
    replace(&proxy, &answering("after"));
    eventually("the new answer", async || (proxy.get("/").await.text() == "after").then_some(()))
        .await;
}

#[tokio::test]
async fn a_file_with_a_mistake_changes_nothing_and_the_next_good_one_is_served() {
    let proxy = Proxy::start(&answering("before")).await;
    for bad in
        ["static_resources: [", &answering("after").replace("direct_response", "direct_answer")]
    {
        replace(&proxy, bad);
        proxy.reload().await;
        assert_eq!(proxy.get("/").await.text(), "before");
    }
    replace(&proxy, &answering("after"));
    proxy.reload().await;
    eventually("the new answer", async || (proxy.get("/").await.text() == "after").then_some(()))
        .await;
}

#[tokio::test]
async fn connections_to_upstreams_survive_a_reload_that_does_not_touch_them() {
    let blue = Upstream::echo("blue").await;
    let config = |name: &str| {
        bootstrap(&[Http::to("blue").manager(name)], &[cluster("blue", &[blue.address])])
    };
    let proxy = Proxy::start(&config("server_name: before")).await;
    // One worker's pool: the same downstream connection.
    let mut client = Client::http1(proxy.address().await).await;
    client.get("/").await;
    replace(&proxy, &config("server_name: after"));
    proxy.reload().await;
    eventually("the new configuration", async || {
        (proxy.get("/").await.header("server") == Some("after")).then_some(())
    })
    .await;
    assert_eq!(proxy.stat("cluster.blue.upstream_cx_destroy").await, 0);
}

#[tokio::test]
async fn a_listener_that_is_gone_from_the_file_stops_serving() {
    let config = |names: &[&str]| {
        let listeners: Vec<_> = names
            .iter()
            .map(|name| {
                Http::routes("- { match: { prefix: / }, direct_response: { status: 200 } }")
                    .named(name)
            })
            .collect();
        bootstrap(&listeners, &[])
    };
    let proxy = Proxy::start(&config(&["one", "two"])).await;
    let two = proxy.listener("two").await;
    replace(&proxy, &config(&["one"]));
    proxy.reload().await;
    eventually("connections are refused", async || tokio::net::TcpStream::connect(two).await.err())
        .await;
    assert_eq!(palanquin_tests::client::get(proxy.listener("one").await, "/").await.status(), 200);
}
