//! Pools against scripted upstreams.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use http::Method;
use http::Request;
use http_body_util::BodyExt;
use tokio::task::JoinHandle;

use palanquin_config::ir::Priority;
use palanquin_config::ir::cluster::Cluster as Config;
use palanquin_config::ir::cluster::Thresholds;
use palanquin_filter_api::Body;
use palanquin_filter_api::stats::Counter;
use palanquin_filter_api::stats::Gauge;
use palanquin_filter_api::stats::Registry;
use palanquin_filter_api::stats::cluster as stat;

use super::Sent;
use crate::upstream::Cluster;
use crate::upstream::Host;
use crate::upstream::LocalCluster;
use crate::upstream::PickCx;
use crate::upstream::SendFailure;
use crate::upstream::testing;
use crate::upstream::testing::OK;
use crate::upstream::testing::OK_CLOSE;
use crate::upstream::testing::Upstream;
use crate::worker::Rng;

mod http2;
mod tls;

/// A cluster on this thread, and its upstream.
struct Fixture {
    upstream: Upstream,
    local: Rc<LocalCluster>,
    rng: Rng,
}

type Sending = JoinHandle<Result<Sent, SendFailure>>;

impl Fixture {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let upstream = Upstream::start().await;
        let mut config = testing::cluster(vec![testing::endpoint(upstream.address())]);
        change(&mut config);
        let cluster = Cluster::new(Arc::new(config), &Registry::new(1), None).unwrap();
        Self { upstream, local: LocalCluster::new(cluster), rng: Rng::seeded(1) }
    }

    fn pick(&self) -> Result<Arc<Host>, SendFailure> {
        self.local.pick(&PickCx {
            subset: &[],
            weighted_subset: &[],
            labels: &[],
            avoid: &[],
            re_picks: 1,
            rng: &self.rng,
        })
    }

    /// Begins to send a request, as a task of its own.
    fn send(&self) -> Sending {
        let local = Rc::clone(&self.local);
        let host = self.pick().unwrap();
        let request = Request::get("/").header("host", "test").body(Body::Empty).unwrap();
        tokio::task::spawn_local(async move {
            local.send(&host, &mut request.into(), Priority::Default).await
        })
    }

    fn count(&self, counter: Counter) -> u64 {
        self.local.stats().counter(counter)
    }

    fn gauge(&self, gauge: Gauge) -> u64 {
        self.local.stats().gauge(gauge)
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(10), test).await.expect("the test hangs");
    });
}

async fn text(sending: Sending) -> String {
    let sent = sending.await.unwrap().unwrap();
    let bytes = sent.response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Lets other tasks run until something is so.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_connection_serves_one_request_after_another() {
    run(async {
        let f = Fixture::new(|_| {}).await;
        let first = f.send();
        let mut peer = f.upstream.accept().await;
        peer.serve(OK).await;
        assert_eq!(text(first).await, "ok");
        let second = f.send();
        peer.serve(OK).await;
        assert_eq!(text(second).await, "ok");
        assert_eq!(f.count(stat::UPSTREAM_CX_TOTAL), 1);
        assert_eq!(f.count(stat::UPSTREAM_CX_HTTP1_TOTAL), 1);
        assert_eq!(f.count(stat::UPSTREAM_RQ_TOTAL), 2);
        assert_eq!(f.count(stat::UPSTREAM_RQ_PENDING_TOTAL), 1);
        assert_eq!(f.gauge(stat::UPSTREAM_CX_ACTIVE), 1);
        assert_eq!(f.gauge(stat::UPSTREAM_RQ_ACTIVE), 0);
        assert_eq!(f.gauge(stat::UPSTREAM_RQ_PENDING_ACTIVE), 0);
        assert!(f.count(stat::UPSTREAM_CX_RX_BYTES_TOTAL) >= 2 * OK.len() as u64);
        let host = f.pick().unwrap();
        assert_eq!(
            (host.stats.rq_total(), host.stats.rq_active(), host.stats.cx_active()),
            (2, 0, 1)
        );
    });
}

#[test]
fn the_facts_of_the_connection_come_with_the_response() {
    run(async {
        let f = Fixture::new(|_| {}).await;
        let sending = f.send();
        let mut peer = f.upstream.accept().await;
        peer.serve(OK).await;
        let facts = sending.await.unwrap().unwrap().connection;
        assert_eq!(facts.local, Some(peer.0.peer_addr().unwrap()));
        assert_eq!(facts.protocol, http::Version::HTTP_11);
    });
}

#[test]
fn a_connection_comes_back_only_after_the_last_byte_of_the_response() {
    run(async {
        let f = Fixture::new(|_| {}).await;
        let first = f.send();
        let mut peer = f.upstream.accept().await;
        peer.serve("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nsl").await;
        let mut body = first.await.unwrap().unwrap().response.into_body();
        assert_eq!(f.gauge(stat::UPSTREAM_RQ_ACTIVE), 1);
        let second = f.send();
        let mut other = f.upstream.accept().await;
        other.serve(OK).await;
        assert_eq!(text(second).await, "ok");
        peer.write("ow").await;
        while let Some(frame) = body.frame().await {
            frame.unwrap();
        }
        assert_eq!(f.gauge(stat::UPSTREAM_RQ_ACTIVE), 0);
        let third = f.send();
        peer.serve(OK).await;
        assert_eq!(text(third).await, "ok");
        assert_eq!(f.count(stat::UPSTREAM_CX_TOTAL), 2);
    });
}

#[test]
fn dropping_a_response_body_closes_its_connection() {
    run(async {
        let f = Fixture::new(|_| {}).await;
        let sending = f.send();
        let mut peer = f.upstream.accept().await;
        peer.serve("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nsl").await;
        drop(sending.await.unwrap().unwrap());
        peer.closed().await;
        assert_eq!(f.gauge(stat::UPSTREAM_CX_ACTIVE), 0);
        assert_eq!(f.gauge(stat::UPSTREAM_RQ_ACTIVE), 0);
        assert_eq!(f.count(stat::UPSTREAM_CX_DESTROY_LOCAL), 1);
    });
}

#[test]
fn a_connection_that_the_peer_closed_is_not_used_again() {
    run(async {
        let f = Fixture::new(|_| {}).await;
        let first = f.send();
        let mut peer = f.upstream.accept().await;
        peer.serve(OK).await;
        text(first).await;
        drop(peer);
        until(|| !f.local.sweep(Instant::now())).await;
        assert_eq!(f.count(stat::UPSTREAM_CX_DESTROY_REMOTE), 1);
        let second = f.send();
        f.upstream.accept().await.serve(OK).await;
        assert_eq!(text(second).await, "ok");
    });
}

#[test]
fn a_peer_that_closes_before_a_response_ends_the_request() {
    run(async {
        let f = Fixture::new(|_| {}).await;
        let sending = f.send();
        let mut peer = f.upstream.accept().await;
        peer.read_head().await;
        drop(peer);
        let failure = sending.await.unwrap().unwrap_err();
        assert!(matches!(failure, SendFailure::Terminated { reused: false, bytes_sent: 1.. }));
        assert_eq!(f.count(stat::UPSTREAM_CX_DESTROY_REMOTE_WITH_ACTIVE_RQ), 1);
        assert_eq!(f.count(stat::UPSTREAM_RQ_TOTAL), 1);
    });
}

#[test]
fn a_peer_that_closes_a_used_connection_under_a_request_is_told_apart() {
    run(async {
        let f = Fixture::new(|_| {}).await;
        let first = f.send();
        let mut peer = f.upstream.accept().await;
        peer.serve(OK).await;
        text(first).await;
        let second = f.send();
        peer.read_head().await;
        drop(peer);
        assert!(second.await.unwrap().unwrap_err().is_stale_connection(&Method::GET));
    });
}

#[test]
fn garbage_is_a_protocol_error_and_ends_the_connection() {
    run(async {
        let f = Fixture::new(|_| {}).await;
        let sending = f.send();
        let mut peer = f.upstream.accept().await;
        peer.serve("garbage\r\n\r\n").await;
        assert!(matches!(sending.await.unwrap(), Err(SendFailure::Protocol { .. })));
        peer.closed().await;
        assert_eq!(f.count(stat::UPSTREAM_CX_PROTOCOL_ERROR), 1);
        assert_eq!(f.count(stat::UPSTREAM_CX_DESTROY_LOCAL_WITH_ACTIVE_RQ), 1);
    });
}

#[test]
fn a_refused_connection_fails_the_requests_that_wait() {
    run(async {
        let f = Fixture::new(|_| {}).await;
        let Fixture { upstream, local, rng } = f;
        drop(upstream);
        let f = Fixture { upstream: Upstream::start().await, local, rng };
        let failure = f.send().await.unwrap().unwrap_err();
        let reason = "delayed connect error: Connection refused".into();
        assert_eq!(failure, SendFailure::ConnectFailure { reason });
        assert_eq!(f.count(stat::UPSTREAM_CX_CONNECT_FAIL), 1);
        assert_eq!(f.count(stat::UPSTREAM_RQ_PENDING_FAILURE_EJECT), 1);
        assert_eq!(f.count(stat::UPSTREAM_CX_DESTROY_REMOTE), 1);
        assert_eq!(f.count(stat::UPSTREAM_RQ_TOTAL), 0);
        assert_eq!(f.gauge(stat::UPSTREAM_CX_ACTIVE), 0);
    });
}

fn thresholds(change: impl FnOnce(&mut Thresholds)) -> impl FnOnce(&mut Config) {
    |config| change(&mut config.breakers[0])
}

#[test]
fn at_the_connection_limit_requests_wait_their_turn() {
    run(async {
        let f = Fixture::new(thresholds(|t| t.max_connections = 1)).await;
        let first = f.send();
        let mut peer = f.upstream.accept().await;
        peer.read_head().await;
        let (second, third) = (f.send(), f.send());
        until(|| f.gauge(stat::UPSTREAM_RQ_PENDING_ACTIVE) == 2).await;
        assert_eq!(f.gauge(stat::CIRCUIT_BREAKERS_DEFAULT_CX_OPEN), 1);
        peer.write(OK).await;
        assert_eq!(text(first).await, "ok");
        for waiting in [second, third] {
            peer.serve(OK).await;
            assert_eq!(text(waiting).await, "ok");
        }
        assert_eq!(f.count(stat::UPSTREAM_CX_TOTAL), 1);
        assert_eq!(f.count(stat::UPSTREAM_CX_OVERFLOW), 2);
    });
}

#[test]
fn a_pool_without_a_connection_may_make_one_beyond_the_limit() {
    run(async {
        let f = Fixture::new(thresholds(|t| t.max_connections = 0)).await;
        let sending = f.send();
        f.upstream.accept().await.serve(OK).await;
        assert_eq!(text(sending).await, "ok");
        assert_eq!(f.count(stat::UPSTREAM_CX_OVERFLOW), 1);
    });
}

#[test]
fn a_request_that_may_not_wait_overflows() {
    run(async {
        let f = Fixture::new(thresholds(|t| t.max_pending_requests = 0)).await;
        assert_eq!(f.send().await.unwrap().unwrap_err(), SendFailure::Overflow);
        assert_eq!(f.count(stat::UPSTREAM_RQ_PENDING_OVERFLOW), 1);
        assert_eq!(f.count(stat::UPSTREAM_CX_TOTAL), 0);
    });
}

#[test]
fn one_request_too_many_overflows_and_leaves_its_connection_to_others() {
    run(async {
        let f = Fixture::new(thresholds(|t| t.max_requests = 1)).await;
        let first = f.send();
        let mut peer = f.upstream.accept().await;
        peer.read_head().await;
        assert_eq!(f.send().await.unwrap().unwrap_err(), SendFailure::Overflow);
        peer.write(OK).await;
        assert_eq!(text(first).await, "ok");
        let third = f.send();
        peer.serve(OK).await;
        assert_eq!(text(third).await, "ok");
        assert_eq!(f.count(stat::UPSTREAM_RQ_ACTIVE_OVERFLOW), 1);
        assert_eq!(f.count(stat::UPSTREAM_CX_TOTAL), 2);
        assert_eq!(f.gauge(stat::CIRCUIT_BREAKERS_DEFAULT_RQ_OPEN), 0);
    });
}

#[test]
fn who_waits_gets_a_new_connection_when_the_only_one_is_closed() {
    run(async {
        let f = Fixture::new(thresholds(|t| t.max_connections = 1)).await;
        let first = f.send();
        let mut peer = f.upstream.accept().await;
        peer.read_head().await;
        let second = f.send();
        until(|| f.gauge(stat::UPSTREAM_RQ_PENDING_ACTIVE) == 1).await;
        peer.write(OK_CLOSE).await;
        assert_eq!(text(first).await, "ok");
        peer.closed().await;
        f.upstream.accept().await.serve(OK).await;
        assert_eq!(text(second).await, "ok");
    });
}

#[test]
fn a_request_that_goes_away_while_it_waits_leaves_its_place_to_the_next() {
    run(async {
        let f = Fixture::new(thresholds(|t| t.max_connections = 1)).await;
        let first = f.send();
        let mut peer = f.upstream.accept().await;
        peer.read_head().await;
        let (second, third) = (f.send(), f.send());
        until(|| f.gauge(stat::UPSTREAM_RQ_PENDING_ACTIVE) == 2).await;
        second.abort();
        assert!(second.await.unwrap_err().is_cancelled());
        assert_eq!(f.count(stat::UPSTREAM_RQ_CANCELLED), 1);
        assert_eq!(f.gauge(stat::UPSTREAM_RQ_PENDING_ACTIVE), 1);
        peer.write(OK).await;
        assert_eq!(text(first).await, "ok");
        peer.serve(OK).await;
        assert_eq!(text(third).await, "ok");
        assert_eq!(f.count(stat::UPSTREAM_RQ_TOTAL), 2);
    });
}

#[test]
fn a_connection_is_closed_after_its_last_request() {
    run(async {
        let f = Fixture::new(|config| config.max_requests_per_connection = Some(1)).await;
        for _ in 0..2 {
            let sending = f.send();
            let mut peer = f.upstream.accept().await;
            peer.serve(OK).await;
            assert_eq!(text(sending).await, "ok");
            peer.closed().await;
        }
        assert_eq!(f.count(stat::UPSTREAM_CX_MAX_REQUESTS), 2);
    });
}

#[test]
fn an_idle_connection_is_closed_after_the_timeout() {
    run(async {
        let f = Fixture::new(|_| {}).await;
        let sending = f.send();
        let mut peer = f.upstream.accept().await;
        peer.serve(OK).await;
        text(sending).await;
        let now = Instant::now();
        assert!(f.local.sweep(now + Duration::from_secs(3599)));
        assert!(!f.local.sweep(now + Duration::from_secs(3601)));
        peer.closed().await;
        assert_eq!(f.count(stat::UPSTREAM_CX_IDLE_TIMEOUT), 1);
    });
}

#[test]
fn connections_to_a_host_that_is_gone_are_closed_and_requests_on_it_finish() {
    run(async {
        let f = Fixture::new(|_| {}).await;
        let first = f.send();
        let mut idle = f.upstream.accept().await;
        idle.read_head().await;
        let second = f.send();
        let mut busy = f.upstream.accept().await;
        busy.read_head().await;
        idle.write(OK).await;
        text(first).await;
        f.local.shared().update_endpoints(Arc::new(testing::set(Vec::new())));
        assert_eq!(f.pick().unwrap_err(), SendFailure::NoHealthyUpstream);
        idle.closed().await;
        busy.write(OK).await;
        assert_eq!(text(second).await, "ok");
        busy.closed().await;
        assert_eq!(f.gauge(stat::UPSTREAM_CX_ACTIVE), 0);
        assert_eq!(f.gauge(stat::MEMBERSHIP_TOTAL), 0);
    });
}

#[test]
fn a_host_that_stays_keeps_its_connections_through_an_update() {
    run(async {
        let f = Fixture::new(|_| {}).await;
        let sending = f.send();
        let mut peer = f.upstream.accept().await;
        peer.serve(OK).await;
        text(sending).await;
        let mut heavier = testing::endpoint(f.upstream.address());
        heavier.weight = 7;
        f.local.shared().update_endpoints(Arc::new(testing::set(vec![heavier])));
        let second = f.send();
        peer.serve(OK).await;
        assert_eq!(text(second).await, "ok");
        assert_eq!(f.count(stat::UPSTREAM_CX_TOTAL), 1);
        assert_eq!(f.count(stat::MEMBERSHIP_CHANGE), 1);
    });
}

#[test]
fn a_dropped_cluster_closes_its_connections() {
    run(async {
        let f = Fixture::new(|_| {}).await;
        let sending = f.send();
        let mut peer = f.upstream.accept().await;
        peer.serve(OK).await;
        text(sending).await;
        let shared = Arc::clone(f.local.shared());
        drop(f.local);
        peer.closed().await;
        assert_eq!(shared.stats().gauge(stat::UPSTREAM_CX_ACTIVE), 0);
    });
}

#[test]
fn a_runtime_that_ends_under_waiting_requests_does_not_panic() {
    let mut kept = None;
    run(async {
        let f = Fixture::new(thresholds(|t| t.max_connections = 1)).await;
        let first = f.send();
        let mut peer = f.upstream.accept().await;
        peer.read_head().await;
        let second = f.send();
        until(|| f.gauge(stat::UPSTREAM_RQ_PENDING_ACTIVE) == 1).await;
        kept = Some((first, second, Arc::clone(f.local.shared())));
    });
    let (.., shared) = kept.unwrap();
    assert_eq!(shared.stats().gauge(stat::UPSTREAM_CX_ACTIVE), 0);
}
