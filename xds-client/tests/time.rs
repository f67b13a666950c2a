//! What the client does with time, on a clock that the tests own. No sockets: the channels are
//! services in memory.

#![expect(clippy::large_futures, reason = "a test keeps the whole client on its stack")]

use std::future::pending;
use std::future::ready;
use std::time::Duration;

use http_body_util::BodyExt;
use palanquin_proto::envoy::config::core::v3::Node;
use palanquin_xds_client::Absence;
use palanquin_xds_client::Config;
use palanquin_xds_client::Event;
use palanquin_xds_client::Protocol;
use palanquin_xds_client::RateLimit;
use palanquin_xds_client::ResourceType;
use palanquin_xds_client::StreamError;
use palanquin_xds_client::XdsClient;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::task::spawn_local;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::service_fn;

fn config() -> Config {
    Config::new(Node::default(), Protocol::Delta)
}

#[tokio::test(start_paused = true)]
async fn attempts_back_off_up_to_thirty_seconds() {
    let (_handle, mut events, driver) =
        XdsClient::new(config(), || ready(Err::<Channel, _>("no address")));
    LocalSet::new()
        .run_until(async {
            spawn_local(driver);
            let mut previous = Instant::now();
            let mut ceiling = Duration::from_millis(500);
            let Some(Event::Disconnected { error }) = events.next().await else { panic!() };
            assert!(matches!(error, StreamError::Channel(text) if text == "no address"));
            for _ in 0..10 {
                assert!(matches!(events.next().await, Some(Event::Disconnected { .. })));
                let waited = previous.elapsed();
                // The clock ticks in milliseconds.
                assert!(waited + Duration::from_millis(1) >= ceiling / 2, "{waited:?}");
                assert!(waited <= ceiling + Duration::from_millis(1), "{waited:?}");
                previous = Instant::now();
                ceiling = (ceiling * 2).min(Duration::from_secs(30));
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_name_times_out_after_fifteen_seconds_also_without_a_control_plane() {
    let (handle, mut events, driver) =
        XdsClient::new(config(), || ready(Err::<Channel, _>("no address")));
    LocalSet::new()
        .run_until(async {
            spawn_local(driver);
            let start = Instant::now();
            let _clusters = handle.subscribe_all(&ResourceType::cluster());
            loop {
                if let Some(Event::Absent { names, reason, .. }) = events.next().await {
                    assert_eq!((&*names[0], reason), ("*", Absence::TimedOut));
                    break;
                }
            }
            assert_eq!(start.elapsed().as_secs(), 15);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_the_burst_wait_for_the_rate_limit() {
    let (frames, mut sent) = mpsc::unbounded_channel();
    // A channel that reads what is sent and never answers.
    let channel = service_fn(move |request: http::Request<Body>| {
        let frames = frames.clone();
        spawn_local(async move {
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.frame().await {
                frames.send(Instant::now()).unwrap();
            }
        });
        pending::<Result<http::Response<Body>, std::convert::Infallible>>()
    });
    let rate_limit = Some(RateLimit { max_tokens: 1, tokens_per_second: 2.0 });
    let (handle, events, driver) = XdsClient::new(Config { rate_limit, ..config() }, move || {
        ready(Ok::<_, std::convert::Infallible>(channel.clone()))
    });
    LocalSet::new()
        .run_until(async {
            spawn_local(driver);
            let start = Instant::now();
            let types = [
                ResourceType::cluster(),
                ResourceType::endpoint(),
                ResourceType::listener(),
                ResourceType::route(),
            ];
            let _subscriptions = types.each_ref().map(|it| handle.subscribe(it, "a"));
            let mut seen = Vec::new();
            while seen.len() < 4 {
                seen.push((sent.recv().await.unwrap() - start).as_millis());
            }
            for (position, at) in seen.iter().enumerate() {
                let due = position as u128 * 500;
                // A tick of the clock for each wait so far.
                assert!((due..=due + 4).contains(at), "{seen:?}");
            }
            assert_eq!(handle.stats().rate_limited(), 3);
            drop(events);
        })
        .await;
}
