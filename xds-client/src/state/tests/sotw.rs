//! Rules of the state-of-the-world protocol.

use super::*;

fn cds() -> ResourceType {
    ResourceType::cluster()
}

fn eds() -> ResourceType {
    ResourceType::endpoint()
}

#[test]
fn the_first_request_carries_node_type_and_names_and_neither_version_nor_nonce() {
    let mut fixture = Fixture::new(Protocol::Sotw);
    fixture.subscribe(&eds(), "b");
    fixture.subscribe(&eds(), "a");
    fixture.state.on_stream_open();

    let requests = fixture.sotw_requests();

    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].node.as_ref().unwrap().id, "node-1");
    assert_eq!(requests[0].type_url, **eds().type_url());
    assert_eq!(requests[0].resource_names, ["a", "b"]);
    assert_eq!((&*requests[0].version_info, &*requests[0].response_nonce), ("", ""));
}

#[test]
fn a_wildcard_alone_is_an_empty_first_request_and_stays_empty_in_acks() {
    let mut fixture = Fixture::new(Protocol::Sotw);
    fixture.state.on_stream_open();
    fixture.subscribe(&cds(), WILDCARD);
    assert!(fixture.sotw_requests()[0].resource_names.is_empty());

    fixture.receive_and_accept(sotw(&cds(), "1", "n1", &["c"]));

    assert!(fixture.sotw_requests()[0].resource_names.is_empty());
}

#[test]
fn a_wildcard_beside_names_is_spelled_out() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &cds(), &[WILDCARD]);
    fixture.subscribe(&cds(), "c");
    assert_eq!(fixture.sotw_requests()[0].resource_names, ["*", "c"]);

    fixture.unsubscribe(&cds(), "c");

    assert_eq!(fixture.sotw_requests()[0].resource_names, ["*"], "empty would mean nothing now");
}

#[test]
fn after_names_were_sent_an_empty_list_unsubscribes_from_all() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &cds(), &["c"]);
    fixture.unsubscribe(&cds(), "c");

    let requests = fixture.sotw_requests();

    assert_eq!(requests.len(), 1);
    assert!(requests[0].resource_names.is_empty());
}

#[test]
fn a_wildcard_that_was_never_named_is_named_before_it_is_dropped() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &cds(), &[WILDCARD]);
    fixture.unsubscribe(&cds(), WILDCARD);

    let requests = fixture.sotw_requests();

    let lists: Vec<_> = requests.iter().map(|it| it.resource_names.clone()).collect();
    assert_eq!(lists, [strings(&["*"]), strings(&[])]);
}

#[test]
fn nothing_is_asked_on_a_new_stream_for_a_type_without_subscription() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &cds(), &["c"]);
    fixture.unsubscribe(&cds(), "c");
    fixture.reconnect();

    assert!(fixture.sotw_requests().is_empty(), "an empty first request would be the wildcard");
}

#[test]
fn an_ack_echoes_the_nonce_and_carries_the_new_version() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &cds(), &[WILDCARD]);
    fixture.receive_and_accept(sotw(&cds(), "1", "n1", &["c"]));

    let requests = fixture.sotw_requests();

    assert_eq!(requests.len(), 1);
    assert_eq!((&*requests[0].version_info, &*requests[0].response_nonce), ("1", "n1"));
    assert!(requests[0].error_detail.is_none());
    assert!(requests[0].node.is_none(), "the node goes with the first message of a stream only");
}

#[test]
fn a_nack_carries_the_previous_version_the_rejected_nonce_and_code_13() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &cds(), &[WILDCARD]);
    fixture.receive_and_accept(sotw(&cds(), "1", "n1", &["c1"]));
    fixture.receive(sotw(&cds(), "2", "n2", &["c1", "c3"]));
    let delivery = fixture.update();
    fixture.reject(&delivery, &[("c3", "cannot create an EDS cluster without an EDS config")]);

    let nack = fixture.sotw_requests().pop().unwrap();

    assert_eq!((&*nack.version_info, &*nack.response_nonce), ("1", "n2"));
    assert_eq!(
        error_of(nack.error_detail),
        (
            13,
            "Error adding/updating cluster(s) c3: cannot create an EDS cluster without an EDS config"
                .into()
        )
    );
    let counters = fixture.stats.of(cds().type_url()).unwrap();
    assert_eq!((counters.successes(), counters.rejections(), counters.attempts()), (1, 1, 3));
    assert_eq!(&*counters.version(), "1");
}

#[test]
fn a_request_after_a_nack_does_not_repeat_the_error() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &eds(), &["a"]);
    fixture.receive(sotw(&eds(), "1", "n1", &["a"]));
    let delivery = fixture.update();
    fixture.reject(&delivery, &[("a", "bad")]);
    fixture.subscribe(&eds(), "b");

    let requests = fixture.sotw_requests();
    fixture.subscribe(&eds(), "c");
    let later = fixture.sotw_requests();

    assert_eq!(requests.len(), 1, "the NACK carries the new name, too");
    assert_eq!(requests[0].resource_names, ["a", "b"]);
    assert!(later[0].error_detail.is_none());
    assert_eq!((&*later[0].version_info, &*later[0].response_nonce), ("", "n1"));
}

#[test]
fn the_version_survives_the_stream_and_the_nonce_does_not() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &cds(), &[WILDCARD]);
    fixture.receive_and_accept(sotw(&cds(), "7", "n1", &["c"]));
    fixture.reconnect();

    let requests = fixture.sotw_requests();

    assert_eq!((&*requests[0].version_info, &*requests[0].response_nonce), ("7", ""));
    assert!(requests[0].node.is_some());
}

#[test]
fn a_listener_or_cluster_that_is_absent_is_removed() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &cds(), &[WILDCARD]);
    fixture.receive_and_accept(sotw(&cds(), "1", "n1", &["a", "b", "c"]));

    let delivery = fixture.receive_and_accept(sotw(&cds(), "2", "n2", &["b"]));

    assert_eq!(delivery.removed, arcs(&["a", "c"]));
    assert_eq!(delivery.resources[0].change, Change::Unchanged);
}

#[test]
fn routes_endpoints_and_secrets_are_never_removed_by_absence() {
    for resource_type in [ResourceType::route(), eds(), ResourceType::secret()] {
        let mut fixture = Fixture::subscribed(Protocol::Sotw, &resource_type, &["a", "b"]);
        fixture.receive_and_accept(sotw(&resource_type, "1", "n1", &["a", "b"]));

        let delivery = fixture.receive_and_accept(sotw(&resource_type, "2", "n2", &["b"]));

        assert_eq!(delivery.removed, arcs(&[]));
    }
}

#[test]
fn a_cluster_asked_for_by_name_and_absent_does_not_exist() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &cds(), &["a", "b"]);
    let delivery = fixture.receive_and_accept(sotw(&cds(), "1", "n1", &["a"]));
    assert_eq!(delivery.removed, arcs(&["b"]));

    let delivery = fixture.receive_and_accept(sotw(&cds(), "2", "n2", &["a"]));
    assert_eq!(delivery.removed, arcs(&[]), "said once");
    assert_eq!(fixture.state.next_deadline(), None);
}

#[test]
fn an_empty_first_response_reaches_the_owner() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &cds(), &[WILDCARD]);
    let delivery = fixture.receive_and_accept(sotw(&cds(), "1", "n1", &[]));
    assert!(delivery.resources.is_empty() && delivery.removed.is_empty());
}

#[test]
fn nothing_is_removed_when_an_unreadable_resource_may_be_any_of_the_absent() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &cds(), &[WILDCARD]);
    fixture.receive_and_accept(sotw(&cds(), "1", "n1", &["a", "b"]));
    let mut response = sotw(&cds(), "2", "n2", &["a"]);
    response.resources.push(Any { type_url: cds().type_url().to_string(), value: vec![0xff] });

    let delivery = fixture.receive_and_accept(response);

    assert_eq!(delivery.removed, arcs(&[]));
    assert_eq!(&*delivery.invalid[0].name, "resources[1]");
    let nack = fixture.sotw_requests().pop().unwrap();
    assert!(error_of(nack.error_detail).1.contains("resources[1]: the resource is no valid"));
}

#[test]
fn fewer_names_are_sent_when_the_last_reference_is_dropped() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &eds(), &["a", "b", "b"]);
    fixture.unsubscribe(&eds(), "b");
    assert!(fixture.sotw_requests().is_empty());

    fixture.unsubscribe(&eds(), "b");

    assert_eq!(fixture.sotw_requests()[0].resource_names, ["a"]);
}

#[test]
fn a_name_dropped_and_wanted_again_leaves_the_list_once() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &eds(), &["a", "b"]);
    fixture.receive_and_accept(sotw(&eds(), "1", "n1", &["a", "b"]));
    fixture.sotw_requests();
    fixture.unsubscribe(&eds(), "b");
    fixture.subscribe(&eds(), "b");

    let lists: Vec<_> = fixture.sotw_requests().into_iter().map(|it| it.resource_names).collect();

    assert_eq!(lists, [strings(&["a"]), strings(&["a", "b"])]);
}

#[test]
fn asking_again_repeats_the_request_with_the_same_version_nonce_and_names() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &eds(), &["a"]);
    fixture.receive_and_accept(sotw(&eds(), "1", "n1", &["a"]));
    let ack = fixture.sotw_requests();
    fixture.state.ask_again(eds().type_url(), &"a".into());

    assert_eq!(fixture.sotw_requests(), ack);
}

#[test]
fn no_request_is_sent_while_an_answer_is_due_since_its_nonce_would_be_stale() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &eds(), &["a"]);
    fixture.receive(sotw(&eds(), "1", "n1", &["a"]));
    let delivery = fixture.update();
    fixture.subscribe(&eds(), "b");
    assert!(fixture.sotw_requests().is_empty());

    fixture.accept(&delivery);

    let requests = fixture.sotw_requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].resource_names, ["a", "b"]);
    assert_eq!(requests[0].response_nonce, "n1");
}

#[test]
fn only_the_latest_of_several_responses_is_answered() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &cds(), &[WILDCARD]);
    fixture.receive(sotw(&cds(), "1", "n1", &["a"]));
    let first = fixture.update();
    fixture.receive(sotw(&cds(), "2", "n2", &["a", "b"]));
    let second = fixture.update();
    fixture.accept(&first);
    assert!(fixture.sotw_requests().is_empty());
    fixture.reject(&second, &[("b", "bad")]);

    let requests = fixture.sotw_requests();

    assert_eq!(requests.len(), 1);
    assert_eq!((&*requests[0].version_info, &*requests[0].response_nonce), ("1", "n2"));
}

#[test]
fn a_wrapped_resource_is_the_resource_it_wraps() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &cds(), &[WILDCARD]);
    let wrapper = Wrapper { resource: Some(any(&cds(), "c", 0)), ..Default::default() };
    let mut response = sotw(&cds(), "1", "n1", &[]);
    response.resources.push(wrapped(&wrapper));

    let delivery = fixture.receive_and_accept(response);

    assert_eq!(names(&delivery), ["c"]);
    assert_eq!(*delivery.resources[0].body, *body("c", 0));
    assert_eq!(&*delivery.resources[0].version, "1");
}
