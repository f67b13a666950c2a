//! Steps of a request that `benches/micro` counts alone. Not an API: the parts they are made of stay private,
//! so that nothing but a benchmark can take a request apart.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::Request;
use http::Response;
use palanquin_config::ir::http::BoundRoutes;
use palanquin_config::ir::http::ConnectionManager;
use palanquin_filter_api::Body;
use palanquin_filter_api::ConnectionInfo;
use palanquin_filter_api::DynamicMetadata;
use palanquin_filter_api::StreamCx;
use palanquin_filter_api::StreamInfo;

use crate::codec::Drain;
use crate::http::Connection;
use crate::http::exchange;
use crate::http::route;
use crate::http::route::MatchCx;
use crate::http::stream::Stream;
use crate::snapshot::SnapshotCell;
use crate::telemetry::Telemetry;
use crate::telemetry::WorkerTelemetry;
use crate::telemetry::trace;
use crate::worker::LocalRoutes;
use crate::worker::Worker;

/// A downstream connection without a socket.
pub struct Exchange(Rc<Connection>);

impl Exchange {
    /// A plaintext connection of a worker without clusters.
    pub fn new(manager: Arc<ConnectionManager>, telemetry: &Telemetry) -> Self {
        let published = Arc::new(SnapshotCell::default());
        let (_, drain) = Drain::new();
        Self(Rc::new(Connection {
            info: Rc::new(connection_info()),
            manager,
            worker: Worker::new(0, published, telemetry.worker()),
            drain,
            timers: Rc::default(),
        }))
    }

    /// Its worker's telemetry.
    pub fn telemetry(&self) -> &WorkerTelemetry {
        &self.0.worker.telemetry
    }

    /// A request's whole way through the connection manager.
    pub fn handle(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> {
        exchange::handle(request, &self.0)
    }

    /// The record of a request, with its span if the connection manager traces: begun and ended.
    pub fn stream(&self, request: &mut Request<Body>) {
        let mut stream = Stream::begin(request, &self.0, &self.0.worker.snapshot());
        trace::start(request, &mut stream);
        stream.end();
    }

    /// What filters and access logs see of a request that has just begun.
    pub fn context(&self) -> StreamCx {
        let info = StreamInfo::begin(Rc::clone(&self.0.info), Instant::now());
        StreamCx::new(info, self.0.worker.snapshot())
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Exchange").finish_non_exhaustive()
    }
}

/// Finds routes.
#[derive(Debug)]
pub struct RouteFinder {
    routes: LocalRoutes,
    metadata: DynamicMetadata,
    rng: crate::worker::Rng,
}

impl RouteFinder {
    /// A finder in these routes.
    pub fn new(routes: Arc<BoundRoutes>) -> Self {
        let metadata = DynamicMetadata::default();
        Self { routes: Rc::new(routes), metadata, rng: crate::worker::Rng::seeded(1) }
    }

    /// The place of the request's virtual host.
    pub fn virtual_host(&self, request: &Request<Body>) -> Option<usize> {
        route::virtual_host(&self.routes, request.headers())
    }

    /// Whether a route of that virtual host matches; the search is that of a request.
    pub fn has_route(&self, virtual_host: usize, request: &Request<Body>) -> bool {
        let cx = MatchCx { scheme: "http", tls: None, metadata: &self.metadata, rng: &self.rng };
        route::select(&self.routes, virtual_host, request, &cx).is_some()
    }
}

fn connection_info() -> ConnectionInfo {
    let remote = std::net::SocketAddr::from(([192, 0, 2, 7], 50_000));
    ConnectionInfo {
        id: 1,
        remote,
        direct_remote: remote,
        local: std::net::SocketAddr::from(([127, 0, 0, 1], 10_000)),
        listener: "web".into(),
        filter_chain: "".into(),
        sni: None,
        tls: None,
    }
}
