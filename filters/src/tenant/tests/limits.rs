//! Rates, concurrency, breakers and what a policy refuses.

use super::*;

#[test]
fn a_spent_rate_answers_429_and_leaves_other_tenants_alone() {
    let policy = pb::TenantPolicy { quota: Some(quota(2, 0)), ..pb::TenantPolicy::default() };
    let config = with_policy(vec![header_from("spiffe://a")], "acme", policy);
    let (filter, _) = World::new().filter(&config);
    let ask = |tenant: &str| {
        let mut cx = stream(Some("spiffe://a/b"));
        run(&filter, &mut request(&[("x-tenant-id", tenant)]), &mut cx)
    };
    assert!(ask("acme").is_none());
    assert!(ask("acme").is_none());
    let reply = ask("acme").unwrap();
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(reply.grpc_status, Some(GrpcStatus(8)));
    assert!(reply.flags.contains(ResponseFlags::RATE_LIMITED | ResponseFlags::TENANT_OVERFLOW));
    assert_eq!(reply.headers["ratelimit-limit"], "2");
    assert_eq!(reply.headers["ratelimit-remaining"], "0");
    let seconds: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1790..=1800).contains(&seconds), "half an hour for each of two an hour");
    for _ in 0..10 {
        assert!(ask("other").is_none());
    }
}

#[test]
fn concurrency_is_given_back_when_the_exchange_is_over() {
    let policy = pb::TenantPolicy { quota: Some(quota(0, 1)), ..pb::TenantPolicy::default() };
    let world = World::new();
    let (filter, _) = world.filter(&with_policy(constant("acme"), "acme", policy));
    let (reply, mut first) = one(&filter);
    assert!(reply.is_none());
    assert_eq!(one(&filter).0.unwrap().status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(world.directory.find("acme")[0].active, 1);
    first.release();
    assert!(one(&filter).0.is_none());
    // A client that went away: its stream is dropped.
    assert_eq!(world.directory.find("acme")[0].active, 0);
    let line = &world.directory.top(5)[0];
    assert_eq!((line.total, line.refused), (3, 1));
    let scope = world.stats.scope(&stats::tenant::KIND, "tenant.acme", Vec::new());
    assert_eq!(scope.counter(stats::tenant::CONCURRENCY_LIMITED), 1);
    assert_eq!(scope.gauge(stats::tenant::RQ_ACTIVE), 0);
}

#[test]
fn a_breaker_trips_for_one_tenant_and_cluster_only() {
    let breaker = pb::Breaker { max_requests: 1, max_retries: 3, ..pb::Breaker::default() };
    let tier = pb::Tier { breaker: Some(breaker), ..pb::Tier::default() };
    let config = pb::TenantFilter {
        sources: vec![header_from("spiffe://a")],
        table: Some(pb::tenant_filter::Table::InlineTable(pb::TenantTable {
            tiers: [("*".to_owned(), tier)].into(),
            ..pb::TenantTable::default()
        })),
        ..pb::TenantFilter::default()
    };
    let (filter, warnings) = World::new().filter(&config);
    assert!(warnings.iter().any(|text| text.contains("max_retries")), "{warnings:?}");
    let ask = |tenant: &str, cluster: &str| {
        let mut cx = stream(Some("spiffe://a/b"));
        cx.cluster = Some(cluster.into());
        (run(&filter, &mut request(&[("x-tenant-id", tenant)]), &mut cx), cx)
    };
    let held = ask("acme", "web");
    assert!(held.0.is_none());
    let reply = ask("acme", "web").0.unwrap();
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.headers["x-envoy-overloaded"], "true");
    assert_eq!(reply.flags.to_string(), "UO,TO");
    assert!(ask("acme", "gold").0.is_none());
    assert!(ask("beta", "web").0.is_none());
    drop(held);
    assert!(ask("acme", "web").0.is_none());
}

#[test]
fn a_suspended_tenant_gets_nothing_and_a_read_only_one_may_read() {
    let world = World::new();
    let filter = |state: pb::State| {
        let policy = pb::TenantPolicy { state: state as i32, ..pb::TenantPolicy::default() };
        world.filter(&with_policy(constant("acme"), "acme", policy)).0
    };
    let reply = one(&filter(pb::State::Suspended)).0.unwrap();
    assert_eq!((reply.status, reply.grpc_status), (StatusCode::FORBIDDEN, Some(GrpcStatus(7))));
    let read_only = filter(pb::State::ReadOnly);
    assert!(one(&read_only).0.is_none());
    let mut post = request(&[]);
    *post.method_mut() = http::Method::POST;
    assert_eq!(
        &*run(&read_only, &mut post, &mut stream(None)).unwrap().details,
        "tenant_read_only"
    );
}

#[test]
fn a_route_may_demand_a_tier_list_tenants_and_limit_more() {
    let world = World::new();
    let config = with_policy(constant("acme"), "acme", pb::TenantPolicy::default());
    // A filter that lives keeps what was counted for the next one.
    let _living = world.filter(&config);
    let details = |route: pb::TenantRoute| {
        let (filter, _) = world.filter_with(&config, Some(&route));
        one(&filter).0.map(|reply| reply.details.into_owned())
    };
    let list = |id: &str| vec![id.to_owned()];
    let route = pb::TenantRoute::default;
    assert_eq!(details(route()), None);
    assert_eq!(
        details(pb::TenantRoute { require_tier: "gold".into(), ..route() }).as_deref(),
        Some("tenant_tier")
    );
    assert_eq!(
        details(pb::TenantRoute { deny_tenants: list("ACME"), ..route() }).as_deref(),
        Some("tenant_denied")
    );
    assert_eq!(
        details(pb::TenantRoute { allow_tenants: list("beta"), ..route() }).as_deref(),
        Some("tenant_not_allowed")
    );
    let limited = pb::TenantRoute { quota: Some(quota(1, 0)), ..route() };
    assert_eq!(details(limited.clone()), None);
    assert_eq!(details(limited).as_deref(), Some("tenant_rate_limited"));
    let disabled = pb::TenantRoute { disabled: true, ..route() };
    let (filter, _) = world.filter_with(&config, Some(&disabled));
    let mut request = request(&[("x-tenant-id", "evil")]);
    assert!(run(&filter, &mut request, &mut stream(None)).is_none());
    assert!(!request.headers().contains_key("x-tenant-id"));
}

#[test]
fn a_tier_gives_what_a_tenant_does_not_set_itself() {
    let tier = pb::Tier { quota: Some(quota(1, 5)), ..pb::Tier::default() };
    let own = pb::Quota { reject_status: 503, ..pb::Quota::default() };
    let mut config = with_policy(
        constant("acme"),
        "acme",
        pb::TenantPolicy { tier: "free".into(), quota: Some(own), ..pb::TenantPolicy::default() },
    );
    let Some(pb::tenant_filter::Table::InlineTable(table)) = &mut config.table else { panic!() };
    table.tiers.insert("free".into(), tier);
    let (filter, _) = World::new().filter(&config);
    assert!(one(&filter).0.is_none());
    let reply = one(&filter).0.unwrap();
    assert_eq!(
        (reply.status, &*reply.details),
        (StatusCode::SERVICE_UNAVAILABLE, "tenant_rate_limited")
    );
}

#[test]
fn shadow_counts_and_refuses_nothing() {
    let policy = pb::TenantPolicy { quota: Some(quota(1, 0)), ..pb::TenantPolicy::default() };
    let mut config = with_policy(constant("acme"), "acme", policy);
    config.shadow = true;
    let world = World::new();
    let (filter, _) = world.filter(&config);
    let held: Vec<_> = (0..3).map(|_| one(&filter)).collect();
    assert!(held.iter().all(|(reply, _)| reply.is_none()));
    assert_eq!(world.directory.find("acme")[0].active, 3);
    let scope = world.stats.scope(&stats::tenant::KIND, "tenant.acme", Vec::new());
    assert_eq!(scope.counter(stats::tenant::SHADOW_REFUSED), 2);
    assert_eq!(scope.counter(stats::tenant::RATE_LIMITED), 2);
}
