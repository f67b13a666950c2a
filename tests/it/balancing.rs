//! Which host of a cluster a request goes to.

use palanquin_tests::client;
use palanquin_tests::client::Client;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::config::cluster_with;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::upstream::Upstream;

#[tokio::test]
async fn round_robin_takes_hosts_in_turn() {
    let (a, b) = (Upstream::echo("a").await, Upstream::echo("b").await);
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[a.address, b.address])]).await;
    let mut client = Client::http1(proxy.address().await).await;
    for _ in 0..20 {
        client.get("/").await;
    }
    assert_eq!((a.seen().len(), b.seen().len()), (10, 10));
}

#[tokio::test]
async fn round_robin_honours_weights() {
    let (a, b) = (Upstream::echo("a").await, Upstream::echo("b").await);
    let fields = format!(
        "
name: blue
connect_timeout: 5s
type: STATIC
load_assignment:
  cluster_name: blue
  endpoints:
  - lb_endpoints:
    - {{ load_balancing_weight: 3, endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {} }} }} }} }}
    - {{ load_balancing_weight: 1, endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {} }} }} }} }}
",
        a.address.port(),
        b.address.port()
    );
    let proxy = Proxy::http(Http::to("blue"), &[fields]).await;
    let mut client = Client::http1(proxy.address().await).await;
    for _ in 0..40 {
        client.get("/").await;
    }
    assert_eq!((a.seen().len(), b.seen().len()), (30, 10));
}

#[tokio::test]
async fn least_request_avoids_the_busy_host() {
    let (busy, gate) = Upstream::gated("busy").await;
    let idle = Upstream::echo("idle").await;
    // Twenty draws of two hosts: that all are the busy one happens once in a million runs.
    let policy = "lb_policy: LEAST_REQUEST\nleast_request_lb_config: { choice_count: 20 }";
    let proxy = Proxy::http(
        Http::to("blue"),
        &[cluster_with("blue", &[busy.address, idle.address], policy)],
    )
    .await;
    let address = proxy.address().await;
    let mut held = Vec::new();
    while gate.arrivals() == 0 {
        held.push(tokio::spawn(client::get(address, "/")));
        let answered = idle.seen().len();
        tokio::select! {
            () = gate.arrived(1) => {}
            () = idle.answered(answered + 1) => {}
        }
    }
    let before = idle.seen().len();
    for _ in 0..10 {
        assert_eq!(client::get(address, "/").await.text(), "idle");
    }
    assert_eq!(idle.seen().len(), before + 10);
    gate.release(1);
}

#[tokio::test]
async fn connections_to_an_upstream_are_used_again() {
    let blue = Upstream::echo("blue").await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[blue.address])]).await;
    let mut client = Client::http1(proxy.address().await).await;
    for _ in 0..10 {
        client.get("/").await;
    }
    assert!(blue.seen().iter().all(|seen| seen.connection == 0));
    proxy.stat_is("cluster.blue.upstream_cx_total", 1).await;
}
