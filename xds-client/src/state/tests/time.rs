//! Rules 7 and 17: what is never answered, and what lives for a time only.

use super::*;

const TTL: Duration = Duration::from_secs(3);

fn eds() -> ResourceType {
    ResourceType::endpoint()
}

fn cds() -> ResourceType {
    ResourceType::cluster()
}

fn absent(resource_type: &ResourceType, names: &[&str], reason: Absence) -> Event {
    Event::Absent { type_url: resource_type.type_url().clone(), names: arcs(names), reason }
}

#[test]
fn names_without_an_answer_time_out_together_and_once() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &eds(), &["a", "b", "c"]);
    fixture.receive_and_accept(sotw(&eds(), "1", "n1", &["b"]));
    assert_eq!(fixture.state.next_deadline(), Some(fixture.now + TIMEOUT));
    fixture.advance(TIMEOUT);

    assert_eq!(fixture.state.poll_event(), Some(absent(&eds(), &["a", "c"], Absence::TimedOut)));
    fixture.advance(TIMEOUT);
    assert_eq!(fixture.state.poll_event(), None);
    assert_eq!(fixture.stats.of(eds().type_url()).unwrap().fetch_timeouts(), 2);
}

#[test]
fn a_control_plane_that_is_never_reached_times_out_too() {
    let mut fixture = Fixture::new(Protocol::Delta);
    fixture.subscribe(&cds(), WILDCARD);
    fixture.advance(TIMEOUT);

    assert_eq!(fixture.state.poll_event(), Some(absent(&cds(), &["*"], Absence::TimedOut)));
}

#[test]
fn any_response_ends_the_waiting_for_the_wildcard() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &cds(), &[WILDCARD]);
    fixture.receive(delta(&cds(), "n1", &[], &[]));
    assert_eq!(fixture.state.next_deadline(), None);
}

#[test]
fn a_resource_that_comes_after_its_timeout_is_delivered() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a"]);
    fixture.advance(TIMEOUT);
    fixture.state.poll_event();

    let delivery = fixture.receive_and_accept(delta(&eds(), "n1", &[("a", "1")], &[]));

    assert_eq!(names(&delivery), ["a"]);
}

#[test]
fn without_a_timeout_a_name_waits_for_ever() {
    let mut fixture = Fixture::new(Protocol::Sotw);
    fixture.state.subscribe(&eds(), &"a".into(), None, fixture.now);
    assert_eq!(fixture.state.next_deadline(), None);
}

#[test]
fn unsubscribing_ends_the_waiting() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &eds(), &["a"]);
    fixture.unsubscribe(&eds(), "a");
    assert_eq!(fixture.state.next_deadline(), None);
}

fn with_ttl(ttl: Option<Duration>) -> Wrapper {
    Wrapper {
        name: "a".into(),
        version: "1".into(),
        ttl: ttl.map(|ttl| ttl.try_into().unwrap()),
        ..Default::default()
    }
}

fn with_body(ttl: Option<Duration>) -> Wrapper {
    Wrapper { resource: Some(any(&eds(), "a", 0)), ..with_ttl(ttl) }
}

fn delta_of(nonce: &str, wrapper: Wrapper) -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse { resources: vec![wrapper], ..delta(&eds(), nonce, &[], &[]) }
}

#[test]
fn a_resource_expires_when_no_heartbeat_comes() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a"]);
    fixture.receive_and_accept(delta_of("n1", with_body(Some(TTL))));
    fixture.advance(TTL);

    assert_eq!(fixture.state.poll_event(), Some(absent(&eds(), &["a"], Absence::Expired)));
    fixture.reconnect();
    let request = fixture.delta_requests().remove(0);
    assert!(request.initial_resource_versions.is_empty(), "nobody holds it any more");
}

#[test]
fn a_heartbeat_prolongs_a_life_is_acked_and_does_not_reach_the_owner() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a"]);
    fixture.receive_and_accept(delta_of("n1", with_body(Some(TTL))));
    fixture.delta_requests();
    fixture.advance(TTL / 2);
    fixture.receive(delta_of("n2", with_ttl(Some(TTL))));
    fixture.advance(TTL / 2);

    assert_eq!(fixture.state.poll_event(), None);
    assert_eq!(fixture.delta_requests()[0].response_nonce, "n2");
    fixture.advance(TTL / 2);
    assert!(matches!(fixture.state.poll_event(), Some(Event::Absent { .. })));
}

#[test]
fn an_update_without_a_ttl_lives_for_ever() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a"]);
    fixture.receive_and_accept(delta_of("n1", with_body(Some(TTL))));
    fixture.receive_and_accept(delta_of("n2", with_body(None)));
    assert_eq!(fixture.state.next_deadline(), None);
}

#[test]
fn a_state_of_the_world_heartbeat_removes_nothing_by_absence() {
    let mut fixture = Fixture::subscribed(Protocol::Sotw, &cds(), &[WILDCARD]);
    let mut first = sotw(&cds(), "1", "n1", &["b"]);
    let mortal = Wrapper { resource: Some(any(&cds(), "a", 0)), ..with_ttl(Some(TTL)) };
    first.resources.push(wrapped(&mortal));
    fixture.receive_and_accept(first);
    let mut heartbeat = sotw(&cds(), "1", "n2", &[]);
    heartbeat.resources.push(wrapped(&with_ttl(Some(TTL))));

    fixture.receive(heartbeat);

    assert_eq!(fixture.state.poll_event(), None);
    assert_eq!(fixture.sotw_requests().pop().unwrap().response_nonce, "n2");
}

#[test]
fn a_negative_ttl_is_named_in_the_nack() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a"]);
    let mut wrapper = with_body(None);
    wrapper.ttl = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    fixture.receive_and_accept(delta_of("n1", wrapper));

    let nack = fixture.delta_requests().pop().unwrap();

    assert!(error_of(nack.error_detail).1.contains("a: ttl: "));
}

#[test]
fn a_ttl_beyond_the_end_of_the_clock_is_none() {
    let mut fixture = Fixture::subscribed(Protocol::Delta, &eds(), &["a"]);
    let mut wrapper = with_body(None);
    wrapper.ttl = Some(prost_types::Duration { seconds: i64::MAX, nanos: 999_999_999 });
    let delivery = fixture.receive_and_accept(delta_of("n1", wrapper));

    assert_eq!(names(&delivery), ["a"]);
    assert_eq!(fixture.state.next_deadline(), None);
}
