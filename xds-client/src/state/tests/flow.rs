//! Rule 16: a response is not handled before the previous one is answered.

use super::*;

fn cds() -> ResourceType {
    ResourceType::cluster()
}

fn eds() -> ResourceType {
    ResourceType::endpoint()
}

#[test]
fn the_next_response_of_a_type_is_held_until_the_previous_is_answered() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a"]);
    fixture.receive(delta(&eds(), "n1", &[("a", "1")], &[]));
    let first = fixture.update();
    fixture.receive(delta(&eds(), "n2", &[("a", "2")], &[]));
    assert_eq!(fixture.state.poll_event(), None);

    fixture.accept(&first);

    assert_eq!(fixture.delta_requests()[0].response_nonce, "n1");
    let second = fixture.update();
    assert_eq!(&*second.resources[0].version, "2");
    fixture.accept(&second);
    assert_eq!(fixture.delta_requests()[0].response_nonce, "n2");
}

#[test]
fn an_unanswered_type_does_not_hold_up_another() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a"]);
    fixture.subscribe(&ResourceType::route(), "r");
    fixture.receive(delta(&eds(), "n1", &[("a", "1")], &[]));
    fixture.update();
    fixture.receive(delta(&ResourceType::route(), "n2", &[("r", "1")], &[]));

    assert_eq!(names(&fixture.update()), ["r"]);
}

#[test]
fn a_later_push_of_clusters_is_delivered_while_earlier_clusters_warm() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &cds(), &[WILDCARD]);
    fixture.receive(sotw(&cds(), "1", "n1", &["warming"]));
    fixture.update();
    fixture.receive(sotw(&cds(), "2", "n2", &[]));

    assert_eq!(fixture.update().removed, arcs(&["warming"]));
    assert_eq!(fixture.stats.of(cds().type_url()).unwrap().unanswered(), 2);
}

#[test]
fn reading_stops_when_too_much_is_held_and_goes_on_after_an_answer() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a"]);
    fixture.receive(delta(&eds(), "n0", &[("a", "0")], &[]));
    for nonce in ["n1", "n2", "n3", "n4"] {
        assert!(fixture.state.can_read());
        fixture.receive(delta(&eds(), nonce, &[("a", nonce)], &[]));
    }
    assert!(!fixture.state.can_read());

    let delivery = fixture.update();
    fixture.accept(&delivery);

    assert!(fixture.state.can_read());
}

#[test]
fn of_held_full_states_only_the_latest_is_delivered() {
    let lds = ResourceType::listener();
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &lds, &[WILDCARD]);
    fixture.receive(sotw(&lds, "1", "n1", &["a"]));
    let first = fixture.update();
    fixture.receive(sotw(&lds, "2", "n2", &["b"]));
    fixture.receive(sotw(&lds, "3", "n3", &["c"]));
    fixture.accept(&first);

    let second = fixture.update();

    assert_eq!(names(&second), ["c"]);
    assert_eq!(second.removed, arcs(&["a"]));
    assert!(fixture.sotw_requests().is_empty(), "the nonce is stale, only the latest is answered");
    fixture.accept(&second);
    assert_eq!(fixture.sotw_requests()[0].response_nonce, "n3");
}

#[test]
fn what_is_held_of_a_broken_stream_is_dropped_since_it_will_be_sent_again() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a"]);
    fixture.receive(delta(&eds(), "n1", &[("a", "1")], &[]));
    let delivery = fixture.update();
    fixture.receive(delta(&eds(), "n2", &[("a", "2")], &[]));
    fixture.reconnect();
    fixture.accept(&delivery);

    assert_eq!(fixture.state.poll_event(), None);
}

#[test]
fn a_name_that_lapsed_while_responses_queued_up_leaves_the_list_in_an_answer_that_counts() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &eds(), &["a"]);
    fixture.receive(sotw(&eds(), "1", "n1", &["a"]));
    let first = fixture.update();
    fixture.unsubscribe(&eds(), "a");
    fixture.subscribe(&eds(), "a");
    fixture.receive(sotw(&eds(), "2", "n2", &["a"]));
    fixture.accept(&first);
    let second = fixture.update();
    fixture.accept(&second);

    let requests = fixture.sotw_requests();

    let summary: Vec<_> =
        requests.iter().map(|it| (&*it.response_nonce, it.resource_names.len())).collect();
    assert_eq!(summary, [("n2", 0), ("n2", 1)]);
}
