//! Circuit breakers: what is over the limit is refused at once, over all workers together.

use palanquin_tests::client;
use palanquin_tests::client::Client;
use palanquin_tests::config::HTTP2;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster_with;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::upstream::Gate;
use palanquin_tests::upstream::Upstream;

async fn proxy(thresholds: &str, fields: &str) -> (Proxy, Upstream, Gate) {
    let (blue, gate) = Upstream::gated("blue").await;
    let fields = format!("circuit_breakers: {{ thresholds: [{{ {thresholds} }}] }}\n{fields}");
    let clusters = [cluster_with("blue", &[blue.address], &fields)];
    (Proxy::http(Http::to("blue"), &clusters).await, blue, gate)
}

#[tokio::test]
async fn requests_over_the_limit_are_refused_as_overload_and_the_others_are_not_touched() {
    let (proxy, _blue, gate) = proxy("max_requests: 2", HTTP2).await;
    let address = proxy.address().await;
    let held: Vec<_> = (0..2).map(|_| tokio::spawn(client::get(address, "/held"))).collect();
    gate.arrived(2).await;
    // Connections of the kernel's choice: wherever they land, the limit is one for all workers.
    for _ in 0..8 {
        let refused = client::get(address, "/over").await;
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.header("x-envoy-overloaded"), Some("true"));
        assert_eq!(
            refused.text(),
            "upstream connect error or disconnect/reset before headers. reset reason: overflow"
        );
    }
    gate.release(3);
    for request in held {
        assert_eq!(request.await.unwrap().status(), 200);
    }
    assert_eq!(client::get(address, "/after").await.status(), 200);
    proxy.stat_is("cluster.blue.upstream_rq_active_overflow", 8).await;
}

#[tokio::test]
async fn requests_wait_for_a_connection_within_the_pending_limit() {
    let (proxy, blue, gate) = proxy("max_connections: 1, max_pending_requests: 1", "").await;
    let address = proxy.address().await;
    // One HTTP/2 connection, so that all three are one worker's: connections are pooled by worker.
    let held = Client::http2(address).await;
    let mut first = held;
    let request = |path: &str| client::get_request(path);
    let (one, (two, three)) = {
        let mut senders = (first.another(), first.another());
        tokio::join!(first.try_send(request("/1")), async {
            gate.arrived(1).await;
            let two = tokio::spawn(async move { senders.0.try_send(request("/2")).await });
            proxy.stat_is("cluster.blue.upstream_rq_pending_active", 1).await;
            let three = senders.1.try_send(request("/3")).await;
            gate.release(2);
            (two.await.unwrap(), three)
        })
    };
    assert_eq!(one.unwrap().status(), 200);
    assert_eq!(two.unwrap().status(), 200);
    let refused = three.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.header("x-envoy-overloaded"), Some("true"));
    assert_eq!(blue.seen().iter().map(|seen| seen.connection).max(), Some(0), "one connection");
}

#[tokio::test]
async fn priorities_have_limits_of_their_own() {
    let (blue, gate) = Upstream::gated("blue").await;
    let fields = format!(
        "circuit_breakers: {{ thresholds: [{{ max_requests: 1 }}, {{ priority: HIGH, max_requests: 1 }}] }}\n{HTTP2}"
    );
    let proxy = Proxy::http(
        Http::routes(
            "
- { match: { prefix: /high }, route: { cluster: blue, priority: HIGH } }
- { match: { prefix: / }, route: { cluster: blue } }
",
        ),
        &[cluster_with("blue", &[blue.address], &fields)],
    )
    .await;
    let address = proxy.address().await;
    let low = tokio::spawn(client::get(address, "/low"));
    gate.arrived(1).await;
    let high = tokio::spawn(client::get(address, "/high"));
    gate.arrived(2).await;
    assert_eq!(client::get(address, "/low").await.status(), 503);
    assert_eq!(client::get(address, "/high").await.status(), 503);
    gate.release(2);
    assert_eq!(low.await.unwrap().status(), 200);
    assert_eq!(high.await.unwrap().status(), 200);
}
