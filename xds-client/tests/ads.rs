//! The client against a control plane that speaks real ADS over loopback, in both protocols.

#![expect(clippy::large_futures, reason = "a test keeps the whole client on its stack")]

mod control_plane;

use std::convert::Infallible;
use std::future::Future;
use std::future::ready;
use std::time::Duration;

use palanquin_proto::envoy::config::core::v3::Node;
use palanquin_proto::envoy::config::endpoint::v3::ClusterLoadAssignment;
use palanquin_proto::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use palanquin_proto::envoy::service::discovery::v3::DiscoveryResponse;
use palanquin_proto::envoy::service::discovery::v3::Resource;
use palanquin_xds_client::BackoffPolicy;
use palanquin_xds_client::Config;
use palanquin_xds_client::Event;
use palanquin_xds_client::Protocol;
use palanquin_xds_client::ResourceError;
use palanquin_xds_client::ResourceType;
use palanquin_xds_client::StreamError;
use palanquin_xds_client::Update;
use palanquin_xds_client::XdsClient;
use palanquin_xds_client::XdsEvents;
use palanquin_xds_client::XdsHandle;
use prost::Message;
use prost_types::Any;
use tokio::task::LocalSet;
use tokio::task::spawn_local;
use tonic::Status;

use control_plane::ControlPlane;

fn config(protocol: Protocol) -> Config {
    let node = Node { id: "node-1".into(), ..Node::default() };
    let backoff = BackoffPolicy { base: Duration::from_millis(2), max: Duration::from_millis(4) };
    Config { backoff, ..Config::new(node, protocol) }
}

/// Runs a test beside the client's task, on one thread.
async fn with_client<F: Future<Output = ()>>(
    protocol: Protocol,
    test: impl FnOnce(ControlPlane, XdsHandle, XdsEvents) -> F,
) {
    let control_plane = ControlPlane::start().await;
    let channel = control_plane.channel();
    let (handle, events, driver) =
        XdsClient::new(config(protocol), move || ready(Ok::<_, Infallible>(channel.clone())));
    let local = LocalSet::new();
    local
        .run_until(async {
            let driver = spawn_local(driver);
            test(control_plane, handle, events).await;
            driver.await.expect("the client ends when its events are dropped");
        })
        .await;
}

async fn next_update(events: &mut XdsEvents) -> Update {
    loop {
        match events.next().await.expect("the client runs") {
            Event::Update(update) => return update,
            Event::Connected => {}
            other => panic!("no update but {other:?}"),
        }
    }
}

fn any(resource_type: &ResourceType, name: &str) -> Any {
    // Every type has its name in field 1; that is all the client looks at.
    let message = ClusterLoadAssignment { cluster_name: name.into(), ..Default::default() };
    Any { type_url: resource_type.type_url().to_string(), value: message.encode_to_vec() }
}

fn sotw(resource_type: &ResourceType, version: &str, names: &[&str]) -> DiscoveryResponse {
    DiscoveryResponse {
        version_info: version.into(),
        nonce: format!("nonce-{version}"),
        type_url: resource_type.type_url().to_string(),
        resources: names.iter().map(|name| any(resource_type, name)).collect(),
        ..Default::default()
    }
}

fn delta(resource_type: &ResourceType, version: &str, names: &[&str]) -> DeltaDiscoveryResponse {
    let resource = |name: &&str| Resource {
        name: (*name).into(),
        version: version.into(),
        resource: Some(any(resource_type, name)),
        ..Default::default()
    };
    DeltaDiscoveryResponse {
        nonce: format!("nonce-{version}"),
        type_url: resource_type.type_url().to_string(),
        resources: names.iter().map(resource).collect(),
        ..Default::default()
    }
}

#[tokio::test]
async fn delta_subscribes_acks_nacks_and_resumes_after_a_broken_stream() {
    with_client(Protocol::Delta, async |mut server, handle, mut events| {
        let (cds, eds) = (ResourceType::cluster(), ResourceType::endpoint());
        let _clusters = handle.subscribe_all(&cds);
        let mut stream = server.delta.recv().await.unwrap();
        let first = stream.request().await;
        assert_eq!(first.node.unwrap().id, "node-1");
        assert!(first.resource_names_subscribe.is_empty());

        stream.respond(delta(&cds, "c1", &["a", "b"]));
        let update = next_update(&mut events).await;
        let _endpoints = handle.subscribe(&eds, "a");
        update.token.accept();
        assert_eq!(stream.request().await.resource_names_subscribe, ["a"], "before the ACK");
        assert_eq!(stream.request().await.response_nonce, "nonce-c1");

        stream.respond(delta(&cds, "c2", &["a", "b"]));
        let update = next_update(&mut events).await;
        update.token.reject(vec![ResourceError::new("b", "lb_policy: not supported")]);
        let nack = stream.request().await;
        assert_eq!(nack.response_nonce, "nonce-c2");
        assert_eq!(
            nack.error_detail.unwrap().message,
            "Error adding/updating cluster(s) b: lb_policy: not supported"
        );

        stream.fail(Status::unavailable("restarting"));
        let Some(Event::Disconnected { error }) = events.next().await else { panic!("connected") };
        assert!(matches!(error, StreamError::Status { code: tonic::Code::Unavailable, .. }));
        assert!(!handle.stats().is_connected());

        let mut stream = server.delta.recv().await.unwrap();
        let resumed = stream.request().await;
        assert_eq!(resumed.node.unwrap().id, "node-1");
        let versions: Vec<_> = resumed
            .initial_resource_versions
            .iter()
            .map(|(name, version)| (&**name, &**version))
            .collect();
        assert_eq!(versions, [("a", "c2"), ("b", "c1")]);
        assert_eq!(stream.request().await.resource_names_subscribe, ["a"]);
        let counters = handle.stats().of(cds.type_url()).unwrap();
        assert_eq!(
            (counters.successes(), counters.rejections(), counters.failures(), counters.attempts()),
            (1, 1, 1, 4)
        );
    })
    .await;
}

#[tokio::test]
async fn sotw_subscribes_acks_nacks_and_resumes_after_a_broken_stream() {
    with_client(Protocol::Sotw, async |mut server, handle, mut events| {
        let (cds, eds) = (ResourceType::cluster(), ResourceType::endpoint());
        let _clusters = handle.subscribe_all(&cds);
        let mut stream = server.sotw.recv().await.unwrap();
        let first = stream.request().await;
        assert_eq!(first.node.unwrap().id, "node-1");
        assert!(first.resource_names.is_empty());

        stream.respond(sotw(&cds, "c1", &["a", "b"]));
        let update = next_update(&mut events).await;
        let _endpoints = [handle.subscribe(&eds, "a"), handle.subscribe(&eds, "b")];
        update.token.accept();
        assert_eq!(stream.request().await.resource_names, ["a", "b"], "before the ACK");
        let ack = stream.request().await;
        assert_eq!((&*ack.version_info, &*ack.response_nonce), ("c1", "nonce-c1"));

        stream.respond(sotw(&cds, "c2", &["a"]));
        let update = next_update(&mut events).await;
        assert_eq!(&*update.removed[0], "b");
        update.token.reject(vec![ResourceError::new("a", "no")]);
        let nack = stream.request().await;
        assert_eq!((&*nack.version_info, &*nack.response_nonce), ("c1", "nonce-c2"));
        assert_eq!(nack.error_detail.unwrap().message, "Error adding/updating cluster(s) a: no");

        drop(stream);
        let Some(Event::Disconnected { error }) = events.next().await else { panic!("connected") };
        assert!(matches!(error, StreamError::Closed), "{error}");

        let mut stream = server.sotw.recv().await.unwrap();
        let resumed = stream.request().await;
        assert_eq!((&*resumed.version_info, &*resumed.response_nonce), ("c1", ""));
        assert_eq!(stream.request().await.resource_names, ["a", "b"]);
    })
    .await;
}

#[tokio::test]
async fn a_dropped_subscription_unsubscribes_and_a_dropped_token_rejects() {
    with_client(Protocol::Delta, async |mut server, handle, mut events| {
        let eds = ResourceType::endpoint();
        let kept = handle.subscribe(&eds, "kept");
        let dropped = handle.subscribe(&eds, "dropped");
        let mut stream = server.delta.recv().await.unwrap();
        stream.request().await;

        drop(dropped);
        assert_eq!(stream.request().await.resource_names_unsubscribe, ["dropped"]);

        stream.respond(delta(&eds, "1", &["kept"]));
        drop(next_update(&mut events).await);
        let detail = stream.request().await.error_detail.unwrap();
        assert_eq!(detail.message, "the update was given up before it was in use");
        assert_eq!(&**kept.name(), "kept");
    })
    .await;
}

#[tokio::test]
async fn an_update_withheld_while_warming_does_not_stop_the_other_types() {
    with_client(Protocol::Sotw, async |mut server, handle, mut events| {
        let (cds, eds) = (ResourceType::cluster(), ResourceType::endpoint());
        let _clusters = handle.subscribe_all(&cds);
        let mut stream = server.sotw.recv().await.unwrap();
        stream.request().await;
        stream.respond(sotw(&cds, "1", &["c"]));
        let clusters = next_update(&mut events).await;
        let _endpoints = handle.subscribe(&eds, "c");
        assert_eq!(stream.request().await.resource_names, ["c"]);

        stream.respond(sotw(&eds, "2", &["c"]));
        next_update(&mut events).await.token.accept();
        clusters.token.accept();

        assert_eq!(stream.request().await.version_info, "2");
        assert_eq!(stream.request().await.version_info, "1");
    })
    .await;
}

#[tokio::test]
async fn a_response_far_above_the_usual_message_limit_is_taken() {
    with_client(Protocol::Delta, async |mut server, handle, mut events| {
        let eds = ResourceType::endpoint();
        let _endpoints = handle.subscribe(&eds, "big");
        let mut stream = server.delta.recv().await.unwrap();
        stream.request().await;
        let mut response = delta(&eds, "1", &["big"]);
        let body = &mut response.resources[0].resource.as_mut().unwrap().value;
        // Field 15, 16 MiB of bytes.
        body.extend_from_slice(b"\x7a\x80\x80\x80\x08");
        body.resize(body.len() + (16 << 20), 0);
        stream.respond(response);

        let update = next_update(&mut events).await;

        assert!(update.resources[0].body.len() > 16 << 20);
        assert!(handle.stats().is_connected());
    })
    .await;
}
