//! gRPC clients of the control thread (ADS, OTLP) over the proxy's own clusters: a tonic channel whose
//! connections go to the cluster's endpoints, with its TLS.
//!
//! Tonic's tasks may move between threads, our transports may not; so a task of the control thread dials
//! and pipes, and tonic gets the other end of the pipe. Control traffic is thin: the copy does not matter.
//! HTTP/2 is tonic's here, and breakers do not count: a control plane must be reachable when requests are
//! not.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tower::Service;

use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::cluster as stat;

use super::cluster::Cluster;
use super::connect::DialError;
use super::connect::Dialed;
use super::failure::SendFailure;
use super::local::LocalCluster;
use super::local::PickCx;
use crate::worker::Rng;

/// Why a channel has no connection. Tonic tries again with the next request.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The cluster does not exist, or not any more, or still warms.
    #[error("there is no such cluster")]
    NoCluster,
    /// The cluster has no endpoint that can be used.
    #[error(transparent)]
    Pick(#[from] SendFailure),
    /// The endpoint cannot be reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The control thread is shutting down.
    #[error("shutting down")]
    Stopped,
}

type Connection = TokioIo<DuplexStream>;
type Answer = oneshot::Sender<Result<Connection, ConnectorError>>;

/// Finds the cluster of now.
pub type Lookup = Arc<dyn Fn() -> Option<Arc<Cluster>> + Send + Sync>;

/// A channel over the cluster that `lookup` gives whenever a connection is needed. Connects when first
/// used. Call it on the control thread, within its `LocalRuntime`.
///
/// `authority` is what servers see as `:authority`; for Envoy that is the cluster's name.
pub fn channel(lookup: Lookup, authority: &str) -> Channel {
    let settings = lookup();
    let (wanted, requests) = mpsc::channel(1);
    tokio::task::spawn_local(dial_on_demand(lookup, requests));
    let mut endpoint = endpoint_named(authority);
    if let Some(cluster) = settings {
        let http2 = &cluster.config.http2;
        endpoint = endpoint
            .initial_stream_window_size(http2.initial_stream_window_size)
            .initial_connection_window_size(http2.initial_connection_window_size);
        if let Some((interval, timeout)) = http2.keepalive {
            endpoint = endpoint
                .http2_keep_alive_interval(interval)
                .keep_alive_timeout(timeout)
                .keep_alive_while_idle(true);
        }
    }
    endpoint.connect_with_connector_lazy(Connector(wanted))
}

/// Tonic's end: asks the dialing task.
#[derive(Debug, Clone)]
struct Connector(mpsc::Sender<Answer>);

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = ConnectorError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, ConnectorError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectorError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let requests = self.0.clone();
        Box::pin(async move {
            let (answer, result) = oneshot::channel();
            requests.send(answer).await.map_err(|_| ConnectorError::Stopped)?;
            result.await.unwrap_or(Err(ConnectorError::Stopped))
        })
    }
}

/// Dials whenever tonic asks, until the channel is gone.
async fn dial_on_demand(lookup: Lookup, mut requests: mpsc::Receiver<Answer>) {
    let rng = Rng::from_system();
    let mut local: Option<Rc<LocalCluster>> = None;
    while let Some(answer) = requests.recv().await {
        let Some(cluster) = lookup() else {
            // A channel that no longer waits needs no answer.
            drop(answer.send(Err(ConnectorError::NoCluster)));
            continue;
        };
        let current = match local.take() {
            Some(local) if Arc::ptr_eq(local.shared(), &cluster) => local,
            _ => LocalCluster::new(cluster),
        };
        drop(answer.send(open(&current, &rng).await));
        local = Some(current);
    }
}

/// Connects to an endpoint and starts to pipe.
async fn open(local: &LocalCluster, rng: &Rng) -> Result<Connection, ConnectorError> {
    let cx =
        PickCx { subset: &[], weighted_subset: &[], labels: &[], avoid: &[], re_picks: 1, rng };
    let host = local.pick(&cx)?;
    let cluster = local.shared();
    let open = Open::new(Arc::clone(cluster.stats()));
    let dialed = cluster.dialer().dial(&host, &[b"h2"]).await.inspect_err(|error| {
        cluster.stats().inc(stat::UPSTREAM_CX_CONNECT_FAIL);
        if matches!(error, DialError::Timeout) {
            cluster.stats().inc(stat::UPSTREAM_CX_CONNECT_TIMEOUT);
        }
    })?;
    let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    tokio::task::spawn_local(async move {
        // However it ends, both sides see the end of the connection, and tonic makes a new one.
        drop(pipe(dialed, ours).await);
        drop(open);
    });
    Ok(TokioIo::new(theirs))
}

async fn pipe(dialed: Dialed, mut ours: DuplexStream) -> io::Result<(u64, u64)> {
    let mut transport = dialed.transport;
    tokio::io::copy_bidirectional(&mut ours, &mut transport).await
}

/// A connection, counted while it lives.
struct Open(Arc<Scope>);

impl Open {
    fn new(stats: Arc<Scope>) -> Self {
        stats.inc(stat::UPSTREAM_CX_TOTAL);
        stats.inc(stat::UPSTREAM_CX_HTTP2_TOTAL);
        stats.raise(stat::UPSTREAM_CX_ACTIVE);
        Self(stats)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lower(stat::UPSTREAM_CX_ACTIVE);
        self.0.inc(stat::UPSTREAM_CX_DESTROY);
    }
}

/// Not every name of a cluster can be an authority.
fn endpoint_named(name: &str) -> Endpoint {
    Endpoint::from_shared(format!("http://{name}"))
        .unwrap_or_else(|_| Endpoint::from_static("http://cluster"))
}

/// Bytes in flight between tonic and the socket, each way.
const PIPE_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::Response;
    use palanquin_filter_api::stats::Registry;

    use super::*;
    use crate::upstream::testing;
    use crate::upstream::testing::Upstream;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default())
            .unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(10), test).await.expect("the test hangs");
        });
    }

    #[test]
    fn a_channel_reaches_an_endpoint_of_the_cluster() {
        run(async {
            let upstream = Upstream::start().await;
            let config = testing::cluster(vec![testing::endpoint(upstream.address())]);
            let cluster = Cluster::new(Arc::new(config), &Registry::new(1), None).unwrap();
            let mut channel = channel(Arc::new(move || Some(Arc::clone(&cluster))), "ads");
            tokio::task::spawn_local(async move {
                let socket = upstream.accept().await.0;
                let mut server = h2::server::handshake(socket).await.unwrap();
                while let Some(Ok((request, mut respond))) = server.accept().await {
                    let authority = request.uri().authority().unwrap().to_string();
                    let mut stream = respond.send_response(Response::new(()), false).unwrap();
                    stream.send_data(Bytes::from(authority), true).unwrap();
                }
            });
            std::future::poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
            let request = http::Request::post("/method").body(tonic::body::Body::empty()).unwrap();
            let response = channel.call(request).await.unwrap();
            let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
            assert_eq!(body.to_bytes(), "ads");
        });
    }

    #[test]
    fn a_cluster_that_does_not_exist_is_an_error_of_the_request() {
        run(async {
            let mut channel = channel(Arc::new(|| None), "none");
            let ready = std::future::poll_fn(|cx| channel.poll_ready(cx)).await;
            let request = http::Request::post("/method").body(tonic::body::Body::empty()).unwrap();
            let failed = match ready {
                Ok(()) => channel.call(request).await.is_err(),
                Err(_) => true,
            };
            assert!(failed);
        });
    }
}
