//! Rules of the incremental protocol.

use super::*;

fn cds() -> ResourceType {
    ResourceType::cluster()
}

fn eds() -> ResourceType {
    ResourceType::endpoint()
}

#[test]
fn the_first_request_subscribes_and_carries_the_node() {
    let mut fixture = Fixture::new(Protocol::Delta);
    fixture.subscribe(&eds(), "b");
    fixture.subscribe(&eds(), "a");
    fixture.state.on_stream_open();

    let requests = fixture.delta_requests();

    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].node.as_ref().unwrap().id, "node-1");
    assert_eq!(requests[0].resource_names_subscribe, ["a", "b"]);
    assert!(requests[0].initial_resource_versions.is_empty());
    assert!(requests[0].response_nonce.is_empty());
}

#[test]
fn a_wildcard_alone_is_an_empty_first_request() {
    let mut fixture = Fixture::new(Protocol::Delta);
    fixture.state.on_stream_open();
    fixture.subscribe(&cds(), WILDCARD);

    let requests = fixture.delta_requests();

    assert_eq!(requests.len(), 1);
    assert!(requests[0].resource_names_subscribe.is_empty());
}

#[test]
fn names_join_a_wildcard_without_repeating_it() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &cds(), &[WILDCARD]);
    fixture.subscribe(&cds(), "c");
    assert_eq!(fixture.delta_requests()[0].resource_names_subscribe, ["c"]);

    fixture.reconnect();

    assert_eq!(fixture.delta_requests()[0].resource_names_subscribe, ["*", "c"]);
}

#[test]
fn a_wildcard_is_dropped_by_its_name() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &cds(), &[WILDCARD]);
    fixture.unsubscribe(&cds(), WILDCARD);

    let requests = fixture.delta_requests();

    assert_eq!(requests[0].resource_names_unsubscribe, ["*"]);
    assert!(requests[0].resource_names_subscribe.is_empty());
}

#[test]
fn changes_travel_with_an_empty_nonce_and_name_only_the_difference() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a", "b"]);
    fixture.receive_and_accept(delta(&eds(), "n1", &[("a", "1")], &[]));
    fixture.delta_requests();
    fixture.subscribe(&eds(), "c");
    fixture.unsubscribe(&eds(), "a");

    let requests = fixture.delta_requests();

    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].resource_names_subscribe, ["c"]);
    assert_eq!(requests[0].resource_names_unsubscribe, ["a"]);
    assert!(requests[0].response_nonce.is_empty());
}

#[test]
fn a_name_dropped_and_wanted_again_is_only_subscribed_to() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a"]);
    fixture.unsubscribe(&eds(), "a");
    fixture.subscribe(&eds(), "a");

    let requests = fixture.delta_requests();

    assert_eq!(requests[0].resource_names_subscribe, ["a"]);
    assert!(requests[0].resource_names_unsubscribe.is_empty());
}

#[test]
fn asking_again_subscribes_once_more() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a", "b"]);
    fixture.state.ask_again(eds().type_url(), &"a".into());
    fixture.state.ask_again(eds().type_url(), &"stranger".into());

    assert_eq!(fixture.delta_requests()[0].resource_names_subscribe, ["a"]);
}

#[test]
fn an_ack_echoes_the_nonce_and_nothing_else() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &cds(), &[WILDCARD]);
    fixture.receive_and_accept(delta(&cds(), "n1", &[("c", "1")], &[]));

    let requests = fixture.delta_requests();

    let expected = DeltaDiscoveryRequest {
        type_url: cds().type_url().to_string(),
        response_nonce: "n1".into(),
        ..Default::default()
    };
    assert_eq!(requests, [expected]);
}

#[test]
fn the_unsubscription_goes_out_before_the_ack_of_the_response_that_caused_it() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a", "b"]);
    fixture.subscribe(&cds(), WILDCARD);
    fixture.delta_requests();
    fixture.receive(delta(&cds(), "n1", &[], &[]));
    let delivery = fixture.update();
    fixture.unsubscribe(&eds(), "b");
    fixture.accept(&delivery);

    let requests = fixture.delta_requests();

    assert_eq!(requests[0].resource_names_unsubscribe, ["b"]);
    assert_eq!(requests[1].response_nonce, "n1");
}

#[test]
fn every_nonce_is_answered_in_the_order_of_the_responses() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &cds(), &[WILDCARD]);
    fixture.receive(delta(&cds(), "n1", &[("a", "1")], &[]));
    fixture.receive(delta(&cds(), "n2", &[("b", "1")], &[]));
    let (first, second) = (fixture.update(), fixture.update());
    fixture.reject(&second, &[("b", "bad")]);
    assert!(fixture.delta_requests().is_empty(), "the first one is still warming");
    fixture.accept(&first);

    let requests = fixture.delta_requests();

    let nonces: Vec<_> = requests.iter().map(|it| &*it.response_nonce).collect();
    assert_eq!(nonces, ["n1", "n2"]);
    assert!(requests[0].error_detail.is_none());
    assert_eq!(
        error_of(requests[1].error_detail.clone()),
        (13, "Error adding/updating cluster(s) b: bad".into())
    );
}

#[test]
fn a_new_stream_tells_the_accepted_versions_of_wildcard_and_named_resources() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &cds(), &[WILDCARD]);
    fixture.subscribe(&eds(), "e");
    fixture.receive_and_accept(delta(&cds(), "n1", &[("c1", "1"), ("c2", "1"), ("c3", "1")], &[]));
    fixture.receive_and_accept(delta(&eds(), "n2", &[("e", "5")], &[]));
    fixture.receive(delta(&cds(), "n3", &[("c1", "2"), ("c2", "2"), ("c4", "2")], &["c3"]));
    let delivery = fixture.update();
    fixture.reject(&delivery, &[("c2", "bad"), ("c4", "bad")]);
    fixture.reconnect();

    let requests = fixture.delta_requests();

    let versions = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, version)| ((*name).into(), (*version).into())).collect()
    };
    assert_eq!(requests[0].initial_resource_versions, versions(&[("c1", "2"), ("c2", "1")]));
    assert_eq!(requests[1].initial_resource_versions, versions(&[("e", "5")]));
    assert_eq!(requests[1].resource_names_subscribe, ["e"]);
}

#[test]
fn a_resource_given_up_while_its_update_waits_is_not_claimed_later() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a", "b"]);
    fixture.receive(delta(&eds(), "n1", &[("a", "1"), ("b", "1")], &[]));
    let delivery = fixture.update();
    fixture.unsubscribe(&eds(), "a");
    fixture.subscribe(&eds(), "a");
    fixture.accept(&delivery);
    fixture.reconnect();

    let request = fixture.delta_requests().remove(0);

    let claimed: Vec<_> = request.initial_resource_versions.keys().collect();
    assert_eq!(claimed, ["b"]);
}

#[test]
fn a_removal_reaches_the_owner_and_also_answers_that_a_name_does_not_exist() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a", "b"]);
    fixture.receive_and_accept(delta(&eds(), "n1", &[("a", "1")], &[]));

    let delivery = fixture.receive_and_accept(delta(&eds(), "n2", &[], &["a", "b", "stranger"]));

    assert_eq!(delivery.removed, arcs(&["a", "b"]));
    assert_eq!(fixture.state.next_deadline(), None, "nothing left to wait for");
}

#[test]
fn absence_removes_nothing() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &cds(), &[WILDCARD]);
    fixture.receive_and_accept(delta(&cds(), "n1", &[("a", "1"), ("b", "1")], &[]));

    let delivery = fixture.receive_and_accept(delta(&cds(), "n2", &[("a", "2")], &[]));

    assert!(delivery.removed.is_empty());
}

#[test]
fn a_name_both_updated_and_removed_is_refused() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &cds(), &[WILDCARD]);
    fixture.receive(delta(&cds(), "n1", &[("a", "1")], &["a"]));

    let nack = fixture.delta_requests().pop().unwrap();

    assert_eq!(
        error_of(nack.error_detail),
        (13, "duplicate name a found in the union of added+removed resources".into())
    );
}

#[test]
fn a_resource_without_a_body_that_is_no_heartbeat_is_named_in_the_nack() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a", "b"]);
    let mut response = delta(&eds(), "n1", &[("a", "1"), ("b", "1")], &[]);
    response.resources[1].resource = None;

    let delivery = fixture.receive_and_accept(response);

    assert_eq!(names(&delivery), ["a"]);
    let nack = fixture.delta_requests().pop().unwrap();
    assert!(error_of(nack.error_detail).1.starts_with("Error adding/updating endpoint(s) b: "));
}
