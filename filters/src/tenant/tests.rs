use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::{Request, StatusCode};
use palanquin_config::extension::{FilterFactory, Registry};
use palanquin_config::lower::{Environment, Lowering};
use palanquin_filter_api::{
    Body, ConnectionInfo, Flow, GrpcStatus, HttpFilter, LocalReply, PeerIdentity, ResponseFlags,
    StreamCx, StreamInfo, TlsInfo, Upstreams, stats,
};
use palanquin_proto::palanquin::tenant::v1 as pb;
use palanquin_proto::palanquin::tenant::v1::source::From;
use prost::{Message, Name};
use prost_types::Any;

use super::{Factory, TenantDirectory};

/// A factory with what it needs, as one process has it.
struct World {
    factory: Factory,
    directory: TenantDirectory,
    stats: stats::Registry,
}

impl World {
    fn new() -> Self {
        let directory = TenantDirectory::new();
        let factory = Factory::new(directory.clone());
        Self { factory, directory, stats: stats::Registry::new(2) }
    }

    /// Lowers and builds a filter; the warnings come with it.
    fn filter(&self, config: &pb::TenantFilter) -> (Arc<dyn HttpFilter>, Vec<String>) {
        self.filter_with(config, None)
    }

    fn filter_with(
        &self,
        config: &pb::TenantFilter,
        route: Option<&pb::TenantRoute>,
    ) -> (Arc<dyn HttpFilter>, Vec<String>) {
        let filters = Registry::new();
        let mut cx = Lowering::new(Environment { filters: &filters, stats: &self.stats });
        let base = self.factory.lower(&any(config), &mut cx);
        let rules = route.map(|route| self.factory.lower_route(&any(route), &mut cx));
        let (_, problems) = cx.parts();
        let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
        let Some(base) = base else { panic!("{all:?}") };
        let rules: Vec<_> = rules.flatten().map(Arc::new).into_iter().collect();
        assert_eq!(rules.len(), usize::from(route.is_some()), "{all:?}");
        (self.factory.build(&Arc::new(base), &rules), all)
    }

    fn errors(&self, config: &pb::TenantFilter) -> Vec<String> {
        let filters = Registry::new();
        let mut cx = Lowering::new(Environment { filters: &filters, stats: &self.stats });
        let lowered = self.factory.lower(&any(config), &mut cx);
        let (_, problems) = cx.parts();
        assert_eq!(lowered.is_none(), problems.has_errors());
        problems.errors().map(ToString::to_string).collect()
    }
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

struct Clusters;

impl Upstreams for Clusters {
    fn find(&self, cluster: &str) -> Option<Arc<str>> {
        ["web", "gold", "web-eu"].contains(&cluster).then(|| cluster.into())
    }
}

/// A stream on a connection whose peer has this SPIFFE id.
fn stream(peer: Option<&str>) -> StreamCx {
    let address = ([127, 0, 0, 1], 1).into();
    let peer = peer.map(|id| {
        let identity =
            PeerIdentity { validated: true, uri_sans: vec![id.into()], ..PeerIdentity::default() };
        Arc::new(TlsInfo { peer: Some(Arc::new(identity)), ..TlsInfo::default() })
    });
    let connection = ConnectionInfo {
        id: 1,
        remote: address,
        direct_remote: address,
        local: address,
        listener: "l".into(),
        filter_chain: "".into(),
        sni: Some("beta.app.example.com".into()),
        tls: peer,
    };
    let mut cx =
        StreamCx::new(StreamInfo::begin(Rc::new(connection), Instant::now()), Rc::new(Clusters));
    cx.cluster = Some("web".into());
    cx
}

fn request(headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().uri("/").header("host", "acme.app.example.com:8443");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::Empty).unwrap()
}

/// Runs the request hook. `None`: the request goes on.
fn run(
    filter: &Arc<dyn HttpFilter>,
    request: &mut Request<Body>,
    cx: &mut StreamCx,
) -> Option<LocalReply> {
    match filter.on_request(request, cx) {
        Flow::Continue => None,
        Flow::Respond(reply) => Some(*reply),
        Flow::Wait(_) => panic!("the tenant filter never waits"),
    }
}

/// A request with this constant tenant; the stream keeps what it holds.
fn one(filter: &Arc<dyn HttpFilter>) -> (Option<LocalReply>, StreamCx) {
    let mut cx = stream(None);
    (run(filter, &mut request(&[]), &mut cx), cx)
}

fn source(from: From) -> pb::Source {
    pb::Source { from: Some(from), ..pb::Source::default() }
}

fn constant(id: &str) -> Vec<pb::Source> {
    vec![source(From::Constant(id.into()))]
}

fn host_label() -> pb::Source {
    source(From::HostLabel(pb::SniLabel { index: 0, suffix: "app.example.com".into() }))
}

fn header_from(prefix: &str) -> pb::Source {
    let trusted_peer_spiffe_prefixes = Vec::from_iter((!prefix.is_empty()).then(|| prefix.into()));
    pb::Source { trusted_peer_spiffe_prefixes, ..source(From::Header("x-tenant-id".into())) }
}

fn with_policy(sources: Vec<pb::Source>, id: &str, policy: pb::TenantPolicy) -> pb::TenantFilter {
    let table = pb::TenantTable { tenants: [(id.to_owned(), policy)].into(), ..Default::default() };
    pb::TenantFilter {
        stat_prefix: "edge".into(),
        sources,
        table: Some(pb::tenant_filter::Table::InlineTable(table)),
        ..pb::TenantFilter::default()
    }
}

fn quota(requests: u32, concurrent: u32) -> pb::Quota {
    let per = Some(prost_types::Duration { seconds: 3600, nanos: 0 });
    let rate = pb::Rate { requests, per, ..pb::Rate::default() };
    pb::Quota {
        rates: Vec::from_iter((requests > 0).then_some(rate)),
        max_concurrent_requests: concurrent,
        retry_after: true,
        ..pb::Quota::default()
    }
}

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
