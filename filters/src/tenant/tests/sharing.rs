//! What outlives a configuration, and what is shared between workers.

use super::*;

#[test]
fn counters_survive_a_change_of_configuration() {
    let world = World::new();
    let config = |requests| {
        let policy =
            pb::TenantPolicy { quota: Some(quota(requests, 0)), ..pb::TenantPolicy::default() };
        with_policy(constant("acme"), "acme", policy)
    };
    let (old, _) = world.filter(&config(1));
    assert!(one(&old).0.is_none());
    let (new, _) = world.filter(&config(1));
    drop(old);
    assert!(one(&new).0.is_some(), "the bucket is as empty as it was");
    assert_eq!(world.directory.find("acme")[0].total, 2);
}

#[test]
fn invented_ids_grow_neither_memory_nor_series() {
    let world = World::new();
    let config = pb::TenantFilter {
        stat_prefix: "edge".into(),
        sources: vec![header_from("spiffe://a")],
        limits: Some(pb::Limits {
            max_tracked_tenants: 10,
            max_metric_tenants: 3,
            ..pb::Limits::default()
        }),
        ..pb::TenantFilter::default()
    };
    let (filter, _) = world.filter(&config);
    let mut held = Vec::new();
    for number in 0..500 {
        let mut cx = stream(Some("spiffe://a/b"));
        let id = format!("t{number}");
        assert!(run(&filter, &mut request(&[("x-tenant-id", &id)]), &mut cx).is_none());
        // Half of them stay: busy tenants cannot make room, so newcomers share a record.
        if number % 2 == 0 {
            held.push(cx);
        }
    }
    assert!(world.directory.top(1000).len() <= 11, "ten and the shared one");
    let living: Vec<_> = world.stats.scopes().iter().map(|scope| scope.prefix().clone()).collect();
    assert!(living.len() <= 3 + 2, "{living:?}");
    drop(held);
    assert!(world.directory.top(1000).iter().all(|line| line.active == 0));
}

#[test]
fn workers_together_never_exceed_a_tenants_limits() {
    let mut limits = quota(100, 4);
    limits.retry_after = false;
    let policy = pb::TenantPolicy { quota: Some(limits), ..pb::TenantPolicy::default() };
    let world = World::new();
    let (filter, _) = world.filter(&with_policy(constant("acme"), "acme", policy));
    let admitted = std::thread::scope(|threads| {
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let filter = &filter;
                threads.spawn(move || {
                    stats::enter_worker(worker);
                    (0..500).filter(|_| one(filter).0.is_none()).count()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum::<usize>()
    });
    assert_eq!(admitted, 100);
    let line = &world.directory.find("acme")[0];
    assert_eq!((line.active, line.total, line.refused), (0, 1000, 900));
}
