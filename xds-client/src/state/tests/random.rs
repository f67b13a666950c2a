//! Random sequences keep the invariants, judged by a naive server that believes every request.

use std::collections::BTreeSet;

use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prop_oneof;
use proptest::proptest;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Answer { accept: bool },
    Flush,
    Reconnect,
    Respond,
    Subscribe(u8),
    Unsubscribe(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..NAMES).prop_map(Step::Subscribe),
        3 => (0..NAMES).prop_map(Step::Unsubscribe),
        2 => Just(Step::Flush),
        2 => Just(Step::Respond),
        2 => proptest::bool::ANY.prop_map(|accept| Step::Answer { accept }),
        1 => Just(Step::Reconnect),
    ];
    proptest::collection::vec(step, 0..60)
}

const NAMES: u8 = 4;

/// Name 0 is the wildcard.
fn name_of(name: u8) -> String {
    if name == 0 { WILDCARD.into() } else { format!("r{name}") }
}

/// What a server remembers of one type on one stream.
#[derive(Debug, Default)]
struct Server {
    subscribed: BTreeSet<String>,
    is_open: bool,
    has_names: bool,
    unanswered: VecDeque<String>,
}

impl Server {
    fn sotw(&mut self, request: DiscoveryRequest) {
        assert_eq!(request.node.is_some(), !self.is_open, "the node opens the stream");
        self.is_open = true;
        if let Some(latest) = self.unanswered.back() {
            // While a response is out, only the answer to the latest one means anything.
            assert_eq!(*latest, request.response_nonce, "a request with a stale nonce");
            self.unanswered.clear();
        }
        self.has_names |= !request.resource_names.is_empty();
        self.subscribed = request.resource_names.into_iter().collect();
        if !self.has_names {
            self.subscribed.insert(WILDCARD.into());
        }
    }

    fn delta(&mut self, request: DeltaDiscoveryRequest) {
        assert_eq!(request.node.is_some(), !self.is_open, "the node opens the stream");
        if !self.is_open && request.resource_names_subscribe.is_empty() {
            self.subscribed.insert(WILDCARD.into());
        }
        self.is_open = true;
        for name in request.resource_names_unsubscribe {
            assert!(self.subscribed.remove(&name), "{name} was never subscribed to");
        }
        self.subscribed.extend(request.resource_names_subscribe);
        if !request.response_nonce.is_empty() {
            assert_eq!(self.unanswered.pop_front(), Some(request.response_nonce));
        }
    }
}

/// Runs the steps and then answers and writes everything there is.
fn run(protocol: Protocol, resource_type: &ResourceType, steps: Vec<Step>) {
    let mut fixture = Fixture::new(protocol);
    fixture.state.on_stream_open();
    let mut wanted: Vec<String> = Vec::new();
    let mut server = Server::default();
    let mut deliveries: VecDeque<Delivery> = VecDeque::new();
    let mut nonces = 0;
    let end = [Step::Flush]
        .into_iter()
        .chain(std::iter::repeat_n(Step::Answer { accept: true }, 60))
        .chain([Step::Flush]);
    for step in steps.into_iter().chain(end) {
        match step {
            Step::Answer { accept } => {
                if let Some(delivery) = deliveries.pop_front() {
                    let errors = delivery.resources.iter().map(|it| (&*it.name, "no"));
                    let errors: Vec<_> = errors.take(1).collect();
                    if accept {
                        fixture.accept(&delivery);
                    } else {
                        fixture.reject(&delivery, &errors);
                    }
                }
            }
            Step::Flush => write(protocol, &mut fixture, &mut server),
            Step::Reconnect => {
                fixture.reconnect();
                server = Server::default();
            }
            Step::Respond => {
                // A server speaks when asked, and has read what was sent before.
                write(protocol, &mut fixture, &mut server);
                if server.is_open && fixture.state.can_read() {
                    nonces += 1;
                    let nonce = format!("n{nonces}");
                    respond(protocol, resource_type, &nonce, &mut fixture);
                    server.unanswered.push_back(nonce);
                }
            }
            Step::Subscribe(name) => {
                fixture.subscribe(resource_type, &name_of(name));
                wanted.push(name_of(name));
            }
            Step::Unsubscribe(name) => {
                if let Some(position) = wanted.iter().position(|it| *it == name_of(name)) {
                    wanted.swap_remove(position);
                    fixture.unsubscribe(resource_type, &name_of(name));
                }
            }
        }
        while let Some(event) = fixture.state.poll_event() {
            if let Event::Update(delivery) = event {
                deliveries.push_back(delivery);
            }
        }
    }
    assert_eq!(server.subscribed, wanted.into_iter().collect(), "the wire says what was asked");
    assert!(server.unanswered.is_empty(), "a nonce was forgotten: {:?}", server.unanswered);
    assert!(fixture.state.can_read());
}

fn write(protocol: Protocol, fixture: &mut Fixture, server: &mut Server) {
    match protocol {
        Protocol::Delta => fixture.delta_requests().into_iter().for_each(|it| server.delta(it)),
        Protocol::Sotw => fixture.sotw_requests().into_iter().for_each(|it| server.sotw(it)),
    }
}

fn respond(protocol: Protocol, resource_type: &ResourceType, nonce: &str, fixture: &mut Fixture) {
    match protocol {
        Protocol::Delta => {
            fixture.receive(delta(resource_type, nonce, &[("r1", nonce), ("r2", nonce)], &["r3"]));
        }
        Protocol::Sotw => fixture.receive(sotw(resource_type, nonce, nonce, &["r1", "r2"])),
    }
}

proptest! {
    #[test]
    fn the_wire_says_what_was_asked_and_no_nonce_is_forgotten_in_delta(steps in steps()) {
        run(Protocol::Delta, &ResourceType::cluster(), steps.clone());
        run(Protocol::Delta, &ResourceType::endpoint(), steps);
    }

    #[test]
    fn the_wire_says_what_was_asked_and_no_nonce_is_forgotten_in_sotw(steps in steps()) {
        run(Protocol::Sotw, &ResourceType::cluster(), steps.clone());
        run(Protocol::Sotw, &ResourceType::endpoint(), steps);
    }
}
