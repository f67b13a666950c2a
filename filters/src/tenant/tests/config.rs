//! What is wrong with a configuration, and how one arrives.

use super::*;

#[test]
fn what_is_wrong_is_named_with_its_path() {
    let policy = pb::TenantPolicy {
        tier: "gould".into(),
        quota: Some(pb::Quota { rates: vec![pb::Rate::default()], ..pb::Quota::default() }),
        ..pb::TenantPolicy::default()
    };
    let mut config = with_policy(vec![pb::Source::default()], "acme", policy);
    let Some(pb::tenant_filter::Table::InlineTable(table)) = &mut config.table else { panic!() };
    table.tiers.insert("gold".into(), pb::Tier::default());
    table.tenants.insert("not an id".into(), pb::TenantPolicy::default());
    let errors = World::new().errors(&config);
    let expect = |part: &str| {
        assert!(errors.iter().any(|text| text.contains(part)), "{part}: {errors:#?}");
    };
    expect("inline_table.tenants[\"acme\"].tier: unknown tier \"gould\" (did you mean \"gold\"?)");
    expect("inline_table.tenants[\"acme\"].quota.rates[0].requests: must be greater than zero");
    expect("inline_table.tenants[\"not an id\"]: \"not an id\" is not a tenant id");
    expect("sources[0]: one of peer_spiffe");
}

/// A bootstrap as people write it, which Envoy loads too: it leaves the optional filter out.
const BOOTSTRAP: &str = r#"
static_resources:
  listeners:
  - name: web
    address: {socket_address: {address: 127.0.0.1, port_value: 10000}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: "/admin"}
                route: {cluster: web}
                typed_per_filter_config:
                  tenants:
                    "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig
                    is_optional: true
                    config:
                      "@type": type.googleapis.com/xds.type.v3.TypedStruct
                      type_url: type.googleapis.com/palanquin.tenant.v1.TenantRoute
                      value: {deny_tenants: [acme]}
              - match: {prefix: "/open"}
                route: {cluster: web}
                typed_per_filter_config:
                  tenants:
                    "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig
                    disabled: true
              - match: {prefix: "/"}
                route: {cluster: web}
          http_filters:
          - name: tenants
            is_optional: true
            typed_config:
              "@type": type.googleapis.com/xds.type.v3.TypedStruct
              type_url: type.googleapis.com/palanquin.tenant.v1.TenantFilter
              value:
                stat_prefix: edge
                sources: [{constant: acme}]
                inline_table:
                  tenants: {acme: {quota: {rates: [{requests: 5, per: 60s}], max_concurrent_requests: 10}}}
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: web
    load_assignment: {cluster_name: web, endpoints: []}
"#;

#[test]
fn a_typed_struct_in_a_bootstrap_becomes_the_filter_of_each_route() {
    use palanquin_config::file::{UnknownFields, load_bootstrap};
    use palanquin_config::ir::http::Routes;
    use palanquin_config::ir::listener::NetworkFilter;
    use palanquin_config::lower::{Identity, lower_bootstrap};
    let loaded = load_bootstrap("test.yaml", BOOTSTRAP, UnknownFields::Reject)
        .unwrap_or_else(|report| panic!("{report}"));
    let (filters, stats) = (crate::register_all(Registry::new()), stats::Registry::new(1));
    let environment = Environment { filters: &filters, stats: &stats };
    let lowered = lower_bootstrap(environment, &loaded.message, &Identity::default())
        .unwrap_or_else(|rejected| panic!("{rejected}"));
    assert!(lowered.warnings.is_empty(), "{:?}", lowered.warnings);
    let NetworkFilter::Http(hcm) = &lowered.value.listeners[0].chains[0].network else { panic!() };
    let Routes::Inline(bound) = &hcm.routes else { panic!() };
    let details = |index| {
        let (mut cx, mut request) = (stream(None), request(&[("x-tenant-id", "evil")]));
        let done = bound.chain(index).on_request(&mut request, &mut cx);
        let refused = futures_util::FutureExt::now_or_never(done).unwrap().err();
        let sent = request.headers().get("x-tenant-id").map(|id| id.to_str().unwrap().to_owned());
        (refused.map(|reply| reply.details.into_owned()), sent)
    };
    let acme = Some("acme".to_owned());
    assert_eq!(details(0), (Some("tenant_denied".to_owned()), acme.clone()));
    assert_eq!(details(1), (None, Some("evil".to_owned())), "the route has no tenant filter");
    assert_eq!(details(2), (None, acme));
}
