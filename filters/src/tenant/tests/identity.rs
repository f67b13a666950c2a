//! Who the tenant of a request is.

use super::*;

#[test]
fn a_tenant_comes_from_the_peers_certificate_and_the_clients_header_is_overwritten() {
    let spiffe = pb::PeerSpiffe {
        trust_domain: "acme.io".into(),
        path_template: "/ns/{tenant}/sa/*".into(),
    };
    let config = pb::TenantFilter {
        sources: vec![header_from(""), source(From::PeerSpiffe(spiffe))],
        propagation: Some(pb::Propagation {
            span_attribute: true,
            access_log_filter_state: true,
            ..pb::Propagation::default()
        }),
        ..pb::TenantFilter::default()
    };
    let (filter, warnings) = World::new().filter(&config);
    assert!(warnings[0].contains("sources[0]: anybody can send this"), "{warnings:?}");
    let mut cx = stream(Some("spiffe://acme.io/ns/Gold/sa/web"));
    let mut request = request(&[("x-tenant-id", "evil")]);
    assert!(run(&filter, &mut request, &mut cx).is_none());
    assert_eq!(request.headers()["x-tenant-id"], "gold");
    assert_eq!(&*cx.filter_state["palanquin.tenant"], "gold");
    assert_eq!(cx.span_attributes[0], ("tenant.id", "gold".into()));
    assert!(cx.metadata.get("palanquin.tenant", &["source"]).is_some());
}

#[test]
fn a_header_is_believed_from_trusted_peers_only() {
    let config = pb::TenantFilter {
        sources: vec![header_from("spiffe://acme.io/gw")],
        ..pb::TenantFilter::default()
    };
    let (filter, _) = World::new().filter(&config);
    for (peer, tenant) in [
        (Some("spiffe://acme.io/gw/edge"), Some("acme")),
        (Some("spiffe://acme.io/gwevil"), None),
        (None, None),
    ] {
        let mut request = request(&[("x-tenant-id", "acme")]);
        assert!(run(&filter, &mut request, &mut stream(peer)).is_none());
        let sent = request.headers().get("x-tenant-id").map(|value| value.to_str().unwrap());
        assert_eq!(sent, tenant, "{peer:?}");
    }
}

#[test]
fn the_first_source_wins_and_one_that_must_agree_may_refuse() {
    let sni = source(From::SniLabel(pb::SniLabel { index: 0, suffix: "app.example.com".into() }));
    let mut config =
        pb::TenantFilter { sources: vec![host_label(), sni], ..pb::TenantFilter::default() };
    let world = World::new();
    let mut with_host = request(&[]);
    assert!(run(&world.filter(&config).0, &mut with_host, &mut stream(None)).is_none());
    assert_eq!(with_host.headers()["x-tenant-id"], "acme");
    config.sources[1].must_agree = true;
    let (reply, _) = one(&world.filter(&config).0);
    let reply = reply.unwrap();
    assert_eq!((reply.status, &*reply.details), (StatusCode::FORBIDDEN, "tenant_sources_disagree"));
}

#[test]
fn requests_without_an_id_follow_on_unknown() {
    let world = World::new();
    let mut config = pb::TenantFilter {
        sources: vec![header_from("spiffe://a")],
        ..pb::TenantFilter::default()
    };
    assert!(one(&world.filter(&config).0).0.is_none());
    config.on_unknown = pb::tenant_filter::OnUnknown::Deny as i32;
    assert_eq!(one(&world.filter(&config).0).0.unwrap().status, StatusCode::FORBIDDEN);
    let mut invalid = request(&[("x-tenant-id", "a/b")]);
    let reply = run(&world.filter(&config).0, &mut invalid, &mut stream(Some("spiffe://a/x")));
    assert_eq!(reply.unwrap().status, StatusCode::BAD_REQUEST);
    config.default_tenant = "nobody".into();
    let mut request = request(&[]);
    assert!(run(&world.filter(&config).0, &mut request, &mut stream(None)).is_none());
    assert_eq!(request.headers()["x-tenant-id"], "nobody");
}
