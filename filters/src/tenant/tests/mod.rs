//! The tenant filter as a request meets it.

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

mod config;
mod identity;
mod limits;
mod routing;
mod sharing;

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
