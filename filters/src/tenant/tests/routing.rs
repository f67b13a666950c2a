//! Where a tenant's requests go.

use super::*;

#[test]
fn routing_takes_clusters_that_exist_and_falls_back() {
    use pb::routing::{Action, Fallback};
    let cluster = |name: &str| Action::Cluster(name.into());
    let template = |text: &str| Action::ClusterTemplate(text.into());
    let world = World::new();
    for (action, fallback, expected) in [
        (cluster("gold"), Fallback::RouteCluster, Some("gold")),
        (cluster("gone"), Fallback::RouteCluster, Some("web")),
        (cluster("gone"), Fallback::Fail503, None),
        (template("{cluster}-{cell}"), Fallback::Fail503, Some("web-eu")),
        (template("{tenant}-{cell}"), Fallback::RouteCluster, Some("web")),
    ] {
        let routing = pb::Routing {
            cell: "eu".into(),
            fallback: fallback as i32,
            action: Some(action),
            ..pb::Routing::default()
        };
        let policy = pb::TenantPolicy { routing: Some(routing), ..pb::TenantPolicy::default() };
        let (reply, cx) = one(&world.filter(&with_policy(constant("acme"), "acme", policy)).0);
        match expected {
            Some(expected) => assert_eq!(cx.cluster.as_deref(), Some(expected)),
            None => assert_eq!(reply.unwrap().status, StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

#[test]
fn a_subset_is_asked_for_beside_the_routes_own() {
    let subset = pb::Subset { r#match: [("shard".to_owned(), "7".to_owned())].into() };
    let routing =
        pb::Routing { action: Some(pb::routing::Action::Subset(subset)), ..pb::Routing::default() };
    let policy = pb::TenantPolicy { routing: Some(routing), ..pb::TenantPolicy::default() };
    let (_, cx) = one(&World::new().filter(&with_policy(constant("acme"), "acme", policy)).0);
    assert_eq!(cx.subset, [("shard".into(), "7".into())]);
    assert_eq!(cx.cluster.as_deref(), Some("web"));
}
