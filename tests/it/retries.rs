//! Which requests are sent again, how often, and with what.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use http::Request;
use http::Response;
use palanquin_tests::client;
use palanquin_tests::client::Client;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::config::cluster_with;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::raw::ClosedPort;
use palanquin_tests::raw::RawConnection;
use palanquin_tests::raw::RawUpstream;
use palanquin_tests::upstream::Upstream;
use palanquin_tests::upstream::echo;
use palanquin_tests::upstream::full;
use palanquin_tests::upstream::record;

/// Fails with 503 as often, then echoes.
async fn flaky(failures: usize) -> Upstream {
    let count = Arc::new(AtomicUsize::new(0));
    Upstream::start(None, move |request| {
        let count = Arc::clone(&count);
        async move {
            if count.fetch_add(1, Ordering::Relaxed) < failures {
                let seen = record(request).await;
                return (seen, Response::builder().status(503).body(full("not now")).unwrap());
            }
            echo("blue", request).await
        }
    })
    .await
}

fn retrying(policy: &str) -> Http {
    Http::routes(&format!(
        "
- match: {{ prefix: / }}
  route:
    cluster: blue
    retry_policy: {{ retry_back_off: {{ base_interval: 0.001s }}, {policy} }}
"
    ))
}

#[tokio::test]
async fn a_request_is_retried_until_it_succeeds() {
    let blue = flaky(2).await;
    let clusters = [cluster("blue", &[blue.address])];
    let proxy = Proxy::http(retrying("retry_on: 5xx, num_retries: 2"), &clusters).await;
    assert_eq!(proxy.get("/").await.text(), "blue");
    assert_eq!(blue.seen().len(), 3);
    proxy.stat_is("cluster.blue.upstream_rq_retry", 2).await;
    proxy.stat_is("cluster.blue.upstream_rq_retry_success", 1).await;
}

#[tokio::test]
async fn when_retries_are_used_up_the_last_response_is_passed_on() {
    let blue = flaky(9).await;
    let clusters = [cluster("blue", &[blue.address])];
    let proxy = Proxy::http(retrying("retry_on: 5xx, num_retries: 1"), &clusters).await;
    let answer = proxy.get("/").await;
    assert_eq!((answer.status(), answer.text()), (503, "not now"));
    assert_eq!(blue.seen().len(), 2);
    proxy.stat_is("cluster.blue.upstream_rq_retry_limit_exceeded", 1).await;
}

#[tokio::test]
async fn without_a_policy_nothing_is_retried() {
    let blue = flaky(1).await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[blue.address])]).await;
    assert_eq!(proxy.get("/").await.status(), 503);
    assert_eq!(blue.seen().len(), 1);
}

#[tokio::test]
async fn a_client_within_can_ask_for_retries_and_one_outside_cannot() {
    let blue = flaky(3).await;
    let listener = Http::to("blue").manager(
        "internal_address_config: { cidr_ranges: [{ address_prefix: 10.0.0.0, prefix_len: 8 }] }",
    );
    let proxy = Proxy::http(listener, &[cluster("blue", &[blue.address])]).await;
    let address = proxy.address().await;
    let asks = || Request::get("/").header("x-envoy-retry-on", "5xx");
    let outside = asks().header("x-forwarded-for", "203.0.113.1").body(full("")).unwrap();
    assert_eq!(client::send(address, outside).await.status(), 503);
    assert_eq!(blue.seen().len(), 1);
    let within = asks()
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-envoy-max-retries", "2")
        .body(full(""))
        .unwrap();
    assert_eq!(client::send(address, within).await.status(), 200);
    assert_eq!(blue.seen().len(), 4);
}

#[tokio::test]
async fn a_body_is_sent_again_as_it_was() {
    let blue = flaky(1).await;
    let clusters = [cluster("blue", &[blue.address])];
    let proxy = Proxy::http(retrying("retry_on: 5xx, num_retries: 1"), &clusters).await;
    let request = Request::post("/").body(full("the body")).unwrap();
    let answer = client::send(proxy.address().await, request).await;
    assert_eq!((answer.status(), answer.text()), (200, "the body"));
    let bodies: Vec<_> = blue.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, ["the body", "the body"]);
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_passed_over() {
    let blue = Upstream::echo("blue").await;
    let closed = ClosedPort::reserve();
    let addresses = [closed.address, blue.address];
    let proxy = Proxy::http(
        retrying("retry_on: connect-failure, num_retries: 2"),
        &[cluster("blue", &addresses)],
    )
    .await;
    let mut client = Client::http1(proxy.address().await).await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.status(), 200);
    }
    assert_eq!(blue.seen().len(), 10);
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_given_up_for_another() {
    let (slow, _gate) = Upstream::gated("slow").await;
    let fast = Upstream::echo("fast").await;
    let proxy = Proxy::http(
        retrying("retry_on: '5xx', num_retries: 3, per_try_timeout: 0.1s"),
        &[cluster("blue", &[slow.address, fast.address])],
    )
    .await;
    let mut client = Client::http1(proxy.address().await).await;
    for _ in 0..4 {
        assert_eq!(client.get("/").await.text(), "fast");
    }
    assert!(proxy.stat("cluster.blue.upstream_rq_per_try_timeout").await >= 1);
}

/// One request on a connection, then `head` on the same one, which the upstream closes under it.
async fn used_again_and_closed(http: Http, head: &str) -> (Proxy, RawUpstream, RawConnection) {
    let origin = RawUpstream::start().await;
    let proxy = Proxy::http(http, &[cluster("blue", &[origin.address])]).await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client.write("GET /1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut first = origin.accept().await;
    first.read_head().await;
    first.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.read_message().await.status(), 200);
    client.write(head).await;
    let line = head.split_inclusive("HTTP/1.1").next().unwrap();
    assert!(first.read_head().await.starts_with(line));
    drop(first);
    (proxy, origin, client)
}

#[tokio::test]
async fn a_reused_connection_that_the_upstream_closed_is_no_failure_if_resets_are_retried() {
    let policy = retrying("retry_on: reset, num_retries: 1");
    let post = "POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    let (proxy, origin, mut client) = used_again_and_closed(policy, post).await;
    let mut second = origin.accept().await;
    assert!(second.read_head().await.starts_with("POST /2 "));
    second.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.read_message().await.status(), 200);
    proxy.stat_is("cluster.blue.upstream_rq_retry", 1).await;
}

#[tokio::test]
async fn an_idempotent_request_survives_a_stale_connection_without_any_policy() {
    let get = "GET /2 HTTP/1.1\r\nhost: a\r\nx-mark: 7\r\n\r\n";
    let (proxy, origin, mut client) = used_again_and_closed(Http::to("blue"), get).await;
    let mut second = origin.accept().await;
    let again = second.read_head().await;
    assert!(again.starts_with("GET /2 ") && again.contains("x-mark: 7\r\n"), "{again}");
    second.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.read_message().await.status(), 200);
    assert_eq!(proxy.stat("cluster.blue.upstream_rq_retry").await, 0);
}

#[tokio::test]
async fn a_stale_connection_is_replaced_once_only() {
    let get = "GET /2 HTTP/1.1\r\nhost: a\r\n\r\n";
    let (_proxy, origin, mut client) = used_again_and_closed(Http::to("blue"), get).await;
    let mut second = origin.accept().await;
    second.read_head().await;
    drop(second);
    let answer = client.read_message().await;
    assert_eq!(answer.status(), 503);
    assert!(answer.text().contains("retried and the latest reset reason: connection termination"));
}

#[tokio::test]
async fn a_request_that_may_have_had_an_effect_is_not_repeated_without_a_policy() {
    let post = "POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    let (_proxy, _origin, mut client) = used_again_and_closed(Http::to("blue"), post).await;
    assert_eq!(client.read_message().await.status(), 503);
}

#[tokio::test]
async fn a_response_that_has_begun_is_never_retried() {
    let origin = RawUpstream::start().await;
    let proxy = Proxy::http(
        retrying("retry_on: '5xx,reset', num_retries: 3"),
        &[cluster("blue", &[origin.address])],
    )
    .await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = origin.accept().await;
    upstream.read_head().await;
    upstream.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 200"));
    upstream.reset();
    assert_eq!(client.read_to_end().await, b"half");
    assert_eq!(proxy.stat("cluster.blue.upstream_rq_retry").await, 0);
}

#[tokio::test]
async fn retries_beyond_the_breaker_are_not_made() {
    let blue = flaky(9).await;
    let limits = "circuit_breakers: { thresholds: [{ max_retries: 0 }] }";
    let clusters = [cluster_with("blue", &[blue.address], limits)];
    let proxy = Proxy::http(retrying("retry_on: 5xx, num_retries: 3"), &clusters).await;
    assert_eq!(proxy.get("/").await.status(), 503);
    assert_eq!(blue.seen().len(), 1);
    proxy.stat_is("cluster.blue.upstream_rq_retry_overflow", 1).await;
}

#[tokio::test]
async fn the_upstream_is_told_which_attempt_it_is() {
    let blue = flaky(1).await;
    let proxy = Proxy::http(
        Http::hosts(
            "
- name: all
  domains: ['*']
  include_request_attempt_count: true
  include_attempt_count_in_response: true
  retry_policy: { retry_on: 5xx, num_retries: 1, retry_back_off: { base_interval: 0.001s } }
  routes: [{ match: { prefix: / }, route: { cluster: blue } }]
",
        ),
        &[cluster("blue", &[blue.address])],
    )
    .await;
    let answer = proxy.get("/").await;
    assert_eq!(answer.header("x-envoy-attempt-count"), Some("2"));
    let counts: Vec<_> = blue
        .seen()
        .iter()
        .map(|seen| seen.header("x-envoy-attempt-count").map(str::to_owned))
        .collect();
    assert_eq!(counts, [Some("1".to_owned()), Some("2".to_owned())]);
}
