//! Updates while requests run: none is lost.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use palanquin_tests::client::Client;
use palanquin_tests::config;
use palanquin_tests::config::Http;
use palanquin_tests::control_plane;
use palanquin_tests::control_plane::ControlPlane;
use palanquin_tests::control_plane::Kind;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::time::eventually;
use palanquin_tests::upstream::Upstream;

use super::DELTA;
use super::SOTW;
use super::answered_by;
use super::eds;
use super::endpoints;
use super::proxy;
use super::route_to;
use super::world;

/// Clients that ask again and again, each on a connection of its own, until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    async fn start(proxy: &Proxy) -> Self {
        let address = proxy.address().await;
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients = (0..4)
            .map(|_| {
                let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
                tokio::spawn(async move {
                    let mut failures = Vec::new();
                    let mut client = Client::http1(address).await;
                    while !stop.load(Ordering::Relaxed) {
                        if !client.is_open() {
                            client = Client::http1(address).await;
                        }
                        match client.try_send(palanquin_tests::client::get_request("/")).await {
                            Ok(answer) if answer.status() == 200 => {}
                            Ok(answer) => {
                                failures.push(format!("{} {}", answer.status(), answer.text()));
                            }
                            Err(error) => failures.push(format!("{error:?}")),
                        }
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    failures
                })
            })
            .collect();
        Self { stop, answered, clients }
    }

    /// Waits until some more requests were answered, so that every update meets requests.
    async fn goes_on(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        eventually("requests go on", async || {
            (self.answered.load(Ordering::Relaxed) >= before + 8).then_some(())
        })
        .await;
    }

    /// Ends it; every failure.
    async fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for client in self.clients {
            failures.extend(client.await.unwrap());
        }
        failures
    }
}

async fn route_updates(api: &str) {
    let (blue, green) = (Upstream::echo("blue").await, Upstream::echo("green").await);
    let plane = ControlPlane::start().await;
    plane.put(world("blue", blue.address));
    plane.put(eds("green", &[green.address]));
    let proxy = proxy(&plane, api).await;
    answered_by(&proxy, "blue").await;
    let load = Load::start(&proxy).await;
    for number in 0..200 {
        plane.put([route_to(if number % 2 == 0 { "green" } else { "blue" })]);
        plane.acked(Kind::Route).await;
    }
    load.goes_on().await;
    assert_eq!(load.end().await, Vec::<String>::new());
    assert!(!green.seen().is_empty());
}

#[tokio::test]
async fn delta_two_hundred_route_updates_lose_no_request() {
    route_updates(DELTA).await;
}

#[tokio::test]
async fn sotw_two_hundred_route_updates_lose_no_request() {
    route_updates(SOTW).await;
}

#[tokio::test]
async fn endpoints_that_come_and_go_lose_no_request() {
    let (blue, green) = (Upstream::echo("blue").await, Upstream::echo("green").await);
    let plane = ControlPlane::start().await;
    plane.put(world("one", blue.address));
    let proxy = proxy(&plane, DELTA).await;
    answered_by(&proxy, "blue").await;
    let load = Load::start(&proxy).await;
    for number in 0..50 {
        let both = [blue.address, green.address];
        plane.put([endpoints("one", if number % 2 == 0 { &both } else { &both[..1] })]);
        plane.acked(Kind::Endpoints).await;
        load.goes_on().await;
    }
    assert_eq!(load.end().await, Vec::<String>::new());
    assert!(!green.seen().is_empty());
}

#[tokio::test]
async fn clusters_that_are_added_changed_and_removed_lose_no_request() {
    let blue = Upstream::echo("blue").await;
    let plane = ControlPlane::start().await;
    plane.put(world("one", blue.address));
    let proxy = proxy(&plane, DELTA).await;
    answered_by(&proxy, "blue").await;
    let load = Load::start(&proxy).await;
    for number in 0..20 {
        // A new cluster and a route to it; then the old one goes, as a control plane does it.
        let (old, new) = if number % 2 == 0 { ("one", "two") } else { ("two", "one") };
        plane.put(eds(new, &[blue.address]));
        plane.acked(Kind::Cluster).await;
        plane.put([route_to(new)]);
        plane.acked(Kind::Route).await;
        plane.remove(Kind::Cluster, old);
        plane.acked(Kind::Cluster).await;
        // And a change of the one that serves.
        let timeout = format!("connect_timeout: {}s", 5 + number);
        let changed = config::eds_cluster(new).replace("connect_timeout: 5s", &timeout);
        plane.put([control_plane::cluster(&changed)]);
        plane.acked(Kind::Cluster).await;
        load.goes_on().await;
    }
    assert_eq!(load.end().await, Vec::<String>::new());
}

#[tokio::test]
async fn listeners_that_change_lose_no_request() {
    let blue = Upstream::echo("blue").await;
    let plane = ControlPlane::start().await;
    plane.put(world("blue", blue.address));
    let proxy = proxy(&plane, DELTA).await;
    answered_by(&proxy, "blue").await;
    let load = Load::start(&proxy).await;
    for number in 0..20 {
        let listener = Http::rds("routes").manager(&format!("server_name: number-{number}"));
        plane.put([control_plane::listener(&listener.yaml())]);
        plane.acked(Kind::Listener).await;
        load.goes_on().await;
    }
    let failures = load.end().await;
    // A client may meet the close of an idle connection (RFC 9112 9.3.1); nothing else may fail.
    let lost: Vec<_> = failures
        .iter()
        .filter(|text| !text.contains("IncompleteMessage") && !text.contains("Canceled"))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(proxy.get("/").await.header("server"), Some("number-19"));
}
