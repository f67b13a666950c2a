//! The rules of the protocol, one test each, without a network or a clock.

mod both;
mod delta;
mod flow;
mod random;
mod sotw;
mod time;

use palanquin_proto::envoy::config::endpoint::v3::ClusterLoadAssignment;
use palanquin_proto::envoy::config::endpoint::v3::LocalityLbEndpoints;
use palanquin_proto::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use palanquin_proto::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use palanquin_proto::envoy::service::discovery::v3::DiscoveryRequest;
use palanquin_proto::envoy::service::discovery::v3::DiscoveryResponse;
use palanquin_proto::envoy::service::discovery::v3::Resource as Wrapper;
use prost::Message;
use prost::Name;
use prost_types::Any;

use super::*;
use crate::resource::Change;

const TIMEOUT: Duration = Duration::from_secs(15);

/// A state with a clock that stands still unless a test moves it.
struct Fixture {
    state: State,
    stats: Arc<Stats>,
    now: Instant,
}

impl Fixture {
    fn new(protocol: Protocol) -> Self {
        let stats = Arc::new(Stats::default());
        let node = Node { id: "node-1".into(), ..Node::default() };
        let state = State::new(protocol, node, true, stats.clone());
        Self { state, stats, now: Instant::now() }
    }

    /// Connected, with these names subscribed to and the first request taken off.
    fn subscribed(protocol: Protocol, resource_type: &ResourceType, names: &[&str]) -> Self {
        let mut fixture = Self::new(protocol);
        fixture.state.on_stream_open();
        for name in names {
            fixture.subscribe(resource_type, name);
        }
        while fixture.state.poll_request().is_some() {}
        fixture
    }

    fn subscribe(&mut self, resource_type: &ResourceType, name: &str) {
        self.state.subscribe(resource_type, &name.into(), Some(TIMEOUT), self.now);
    }

    fn unsubscribe(&mut self, resource_type: &ResourceType, name: &str) {
        self.state.unsubscribe(resource_type.type_url(), &name.into());
    }

    fn reconnect(&mut self) {
        self.state.on_stream_closed();
        self.state.on_stream_open();
    }

    fn receive(&mut self, response: impl Into<Response>) {
        self.state.on_response(response.into(), self.now);
    }

    /// The only event there is, which must be an update.
    fn update(&mut self) -> Delivery {
        let Some(Event::Update(delivery)) = self.state.poll_event() else { panic!("no update") };
        delivery
    }

    fn accept(&mut self, delivery: &Delivery) {
        self.state.answer(delivery.ticket, Verdict::Accept, self.now);
    }

    fn reject(&mut self, delivery: &Delivery, errors: &[(&str, &str)]) {
        let errors = errors.iter().map(|(name, text)| ResourceError::new(*name, *text)).collect();
        self.state.answer(delivery.ticket, Verdict::Reject(errors), self.now);
    }

    fn receive_and_accept(&mut self, response: impl Into<Response>) -> Delivery {
        self.receive(response);
        let delivery = self.update();
        self.accept(&delivery);
        delivery
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        self.state.on_timeout(self.now);
    }

    fn sotw_requests(&mut self) -> Vec<DiscoveryRequest> {
        self.requests()
    }

    fn delta_requests(&mut self) -> Vec<DeltaDiscoveryRequest> {
        self.requests()
    }

    fn requests<M: Message + Default>(&mut self) -> Vec<M> {
        std::iter::from_fn(|| self.state.poll_request())
            .map(|frame| M::decode(frame).unwrap())
            .collect()
    }
}

/// A resource of any type whose name is field 1; `content` tells versions apart.
fn body(name: &str, content: u32) -> Vec<u8> {
    let mut message = ClusterLoadAssignment { cluster_name: name.into(), ..Default::default() };
    if content > 0 {
        message.endpoints = vec![LocalityLbEndpoints::default(); content as usize];
    }
    message.encode_to_vec()
}

fn any(resource_type: &ResourceType, name: &str, content: u32) -> Any {
    Any { type_url: resource_type.type_url().to_string(), value: body(name, content) }
}

fn sotw(
    resource_type: &ResourceType,
    version: &str,
    nonce: &str,
    names: &[&str],
) -> DiscoveryResponse {
    DiscoveryResponse {
        version_info: version.into(),
        type_url: resource_type.type_url().to_string(),
        nonce: nonce.into(),
        resources: names.iter().map(|name| any(resource_type, name, 0)).collect(),
        ..Default::default()
    }
}

/// Resources as `(name, version)`.
fn delta(
    resource_type: &ResourceType,
    nonce: &str,
    resources: &[(&str, &str)],
    removed: &[&str],
) -> DeltaDiscoveryResponse {
    let wrap = |(name, version): &(&str, &str)| Wrapper {
        name: (*name).into(),
        version: (*version).into(),
        resource: Some(any(resource_type, name, 0)),
        ..Default::default()
    };
    DeltaDiscoveryResponse {
        system_version_info: format!("system-{nonce}"),
        type_url: resource_type.type_url().to_string(),
        nonce: nonce.into(),
        resources: resources.iter().map(wrap).collect(),
        removed_resources: strings(removed),
        ..Default::default()
    }
}

/// The state-of-the-world form of a wrapped resource.
fn wrapped(wrapper: &Wrapper) -> Any {
    Any { type_url: Wrapper::type_url(), value: wrapper.encode_to_vec() }
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn arcs(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

fn names(delivery: &Delivery) -> Vec<&str> {
    delivery.resources.iter().map(|resource| &*resource.name).collect()
}

fn error_of(error: Option<palanquin_proto::google::rpc::Status>) -> (i32, String) {
    error.map(|status| (status.code, status.message)).unwrap_or_default()
}
