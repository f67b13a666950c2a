//! Rules that both protocols share.

use super::*;

fn cds() -> ResourceType {
    ResourceType::cluster()
}

fn eds() -> ResourceType {
    ResourceType::endpoint()
}

/// A response in either protocol.
fn response(
    protocol: Protocol,
    resource_type: &ResourceType,
    nonce: &str,
    names: &[&str],
) -> Response {
    match protocol {
        Protocol::Delta => {
            let resources: Vec<_> = names.iter().map(|name| (*name, nonce)).collect();
            delta(resource_type, nonce, &resources, &[]).into()
        }
        Protocol::Sotw => sotw(resource_type, nonce, nonce, names).into(),
    }
}

/// Type, nonce and error of each request, whatever the protocol.
fn summary(fixture: &mut Fixture, protocol: Protocol) -> Vec<(String, String, String)> {
    let kind = |url: String| url.rsplit('.').next().unwrap_or_default().to_owned();
    match protocol {
        Protocol::Delta => fixture
            .delta_requests()
            .into_iter()
            .map(|it| (kind(it.type_url), it.response_nonce, error_of(it.error_detail).1))
            .collect(),
        Protocol::Sotw => fixture
            .sotw_requests()
            .into_iter()
            .map(|it| (kind(it.type_url), it.response_nonce, error_of(it.error_detail).1))
            .collect(),
    }
}

fn in_both(test: impl Fn(Protocol)) {
    test(Protocol::Delta);
    test(Protocol::Sotw);
}

#[test]
fn the_node_is_in_every_request_if_the_server_wants_it() {
    let node = Node { id: "node-1".into(), ..Node::default() };
    let mut state = State::new(Protocol::Sotw, node, false, Arc::default());
    state.on_stream_open();
    for resource_type in [cds(), eds()] {
        state.subscribe(&resource_type, &"a".into(), None, Instant::now());
    }
    for _ in 0..2 {
        let request = DiscoveryRequest::decode(state.poll_request().unwrap()).unwrap();
        assert_eq!(request.node.unwrap().id, "node-1");
    }
}

#[test]
fn a_duplicate_is_refused_by_name_and_nothing_of_the_response_is_applied() {
    in_both(|protocol| {
        let mut fixture = Fixture::subscribed(protocol, &eds(), &["c1", "c2"]);
        fixture.receive(response(protocol, &eds(), "n1", &["c2", "c1", "c1"]));

        let event = fixture.state.poll_event();
        let requests = summary(&mut fixture, protocol);

        assert!(matches!(event, Some(Event::Rejected { names, .. }) if names.len() == 3));
        let detail = "duplicate name c1 found among added/updated resources".into();
        assert_eq!(requests, [("ClusterLoadAssignment".into(), "n1".into(), detail)]);
        assert_eq!(fixture.stats.of(eds().type_url()).unwrap().rejections(), 1);
        assert!(fixture.state.next_deadline().is_none(), "a failed update ends the waiting");
    });
}

#[test]
fn resources_nobody_asked_for_are_ignored_and_the_response_is_acked() {
    in_both(|protocol| {
        let mut fixture = Fixture::subscribed(protocol, &eds(), &["a"]);
        let delivery =
            fixture.receive_and_accept(response(protocol, &eds(), "n1", &["a", "stranger"]));

        assert_eq!(names(&delivery), ["a"]);
        assert_eq!(summary(&mut fixture, protocol)[0].2, "");
        let counters = fixture.stats.of(eds().type_url()).unwrap();
        assert_eq!((counters.ignored(), counters.successes()), (1, 1));
    });
}

#[test]
fn a_response_after_the_last_unsubscription_is_acked_without_the_owner() {
    in_both(|protocol| {
        let mut fixture = Fixture::subscribed(protocol, &eds(), &["a"]);
        fixture.unsubscribe(&eds(), "a");
        summary(&mut fixture, protocol);
        fixture.receive(response(protocol, &eds(), "n1", &["a"]));

        assert_eq!(fixture.state.poll_event(), None);
        assert_eq!(summary(&mut fixture, protocol)[0].1, "n1");
    });
}

#[test]
fn a_response_of_a_type_never_asked_for_is_ignored() {
    in_both(|protocol| {
        let mut fixture = Fixture::subscribed(protocol, &eds(), &["a"]);
        fixture.receive(response(protocol, &ResourceType::secret(), "n1", &["s"]));

        assert_eq!(fixture.state.poll_event(), None);
        assert!(summary(&mut fixture, protocol).is_empty());
    });
}

#[test]
fn a_resource_of_another_type_is_named_in_the_nack_and_the_rest_is_delivered() {
    in_both(|protocol| {
        let mut fixture = Fixture::subscribed(protocol, &cds(), &[WILDCARD]);
        let response = match protocol {
            Protocol::Delta => {
                let mut message = delta(&cds(), "n1", &[("a", "1"), ("b", "1")], &[]);
                message.resources[1].resource = Some(any(&eds(), "b", 0));
                Response::from(message)
            }
            Protocol::Sotw => {
                let mut message = sotw(&cds(), "1", "n1", &["a"]);
                message.resources.push(any(&eds(), "b", 0));
                message.into()
            }
        };

        let delivery = fixture.receive_and_accept(response);

        assert_eq!(names(&delivery), ["a"]);
        let detail = &summary(&mut fixture, protocol)[0].2;
        assert!(detail.contains("does not match the message-wide type URL"), "{detail}");
    });
}

#[test]
fn a_rejected_resource_keeps_its_last_good_one_and_the_others_count_as_accepted() {
    in_both(|protocol| {
        let mut fixture = Fixture::subscribed(protocol, &eds(), &["good", "bad"]);
        fixture.receive(response(protocol, &eds(), "n1", &["good", "bad"]));
        let delivery = fixture.update();
        fixture.reject(&delivery, &[("bad", "no")]);

        let again = fixture.receive_and_accept(response(protocol, &eds(), "n2", &["good", "bad"]));

        let changes: Vec<_> = again.resources.iter().map(|it| it.change).collect();
        assert_eq!(changes, [Change::Unchanged, Change::Changed]);
    });
}

#[test]
fn the_same_bytes_are_reported_as_unchanged_even_under_a_new_version() {
    in_both(|protocol| {
        let mut fixture = Fixture::subscribed(protocol, &eds(), &["a"]);
        let first = fixture.receive_and_accept(response(protocol, &eds(), "n1", &["a"]));
        let second = fixture.receive_and_accept(response(protocol, &eds(), "n2", &["a"]));
        assert_eq!(first.resources[0].change, Change::Changed);
        assert_eq!(second.resources[0].change, Change::Unchanged);
        assert_eq!(&*second.resources[0].version, "n2");
    });
}

#[test]
fn endpoints_subscribed_to_before_the_clusters_are_accepted_are_asked_for_before_the_ack() {
    in_both(|protocol| {
        let mut fixture = Fixture::subscribed(protocol, &cds(), &[WILDCARD]);
        fixture.receive(response(protocol, &cds(), "n1", &["c"]));
        let delivery = fixture.update();
        fixture.subscribe(&eds(), "c");
        fixture.accept(&delivery);

        let kinds: Vec<_> = summary(&mut fixture, protocol).into_iter().map(|it| it.0).collect();

        assert_eq!(kinds, ["ClusterLoadAssignment", "Cluster"]);
    });
}

#[test]
fn a_new_stream_asks_in_the_order_of_first_subscription() {
    in_both(|protocol| {
        let mut fixture = Fixture::new(protocol);
        let order = [cds(), eds(), ResourceType::listener(), ResourceType::route()];
        for resource_type in &order {
            fixture.subscribe(resource_type, "x");
        }
        fixture.state.on_stream_open();
        summary(&mut fixture, protocol);
        fixture.reconnect();

        let kinds: Vec<_> = summary(&mut fixture, protocol).into_iter().map(|it| it.0).collect();

        let expected = ["Cluster", "ClusterLoadAssignment", "Listener", "RouteConfiguration"];
        assert_eq!(kinds, expected);
    });
}

#[test]
fn an_answer_to_a_response_of_a_broken_stream_counts_and_is_not_sent() {
    in_both(|protocol| {
        let mut fixture = Fixture::subscribed(protocol, &cds(), &[WILDCARD]);
        fixture.receive(response(protocol, &cds(), "n1", &["c"]));
        let delivery = fixture.update();
        fixture.reconnect();
        summary(&mut fixture, protocol);
        fixture.accept(&delivery);

        assert!(summary(&mut fixture, protocol).is_empty());
        assert_eq!(fixture.stats.of(cds().type_url()).unwrap().successes(), 1);
        let again = fixture.receive_and_accept(response(protocol, &cds(), "n1", &["c"]));
        assert_eq!(again.resources[0].change, Change::Unchanged);
    });
}

#[test]
fn a_second_answer_to_the_same_response_changes_nothing() {
    in_both(|protocol| {
        let mut fixture = Fixture::subscribed(protocol, &cds(), &[WILDCARD]);
        let delivery = fixture.receive_and_accept(response(protocol, &cds(), "n1", &["c"]));
        fixture.reject(&delivery, &[("c", "late")]);

        assert_eq!(summary(&mut fixture, protocol).len(), 1);
    });
}

#[test]
fn dropping_the_wildcard_forgets_all_that_was_not_named() {
    in_both(|protocol| {
        let mut fixture = Fixture::subscribed(protocol, &cds(), &[WILDCARD, "named"]);
        fixture.receive_and_accept(response(protocol, &cds(), "n1", &["named", "other"]));
        fixture.unsubscribe(&cds(), WILDCARD);
        fixture.subscribe(&cds(), "other");

        let again =
            fixture.receive_and_accept(response(protocol, &cds(), "n2", &["named", "other"]));

        let changes: Vec<_> = again.resources.iter().map(|it| it.change).collect();
        assert_eq!(changes, [Change::Unchanged, Change::Changed]);
    });
}

#[test]
fn a_broken_stream_is_a_failure_of_every_type_on_it() {
    in_both(|protocol| {
        let mut fixture = Fixture::subscribed(protocol, &cds(), &[WILDCARD]);
        fixture.state.on_stream_closed();
        assert_eq!(fixture.stats.of(cds().type_url()).unwrap().failures(), 1);
        assert!(!fixture.state.has_requests());
    });
}
