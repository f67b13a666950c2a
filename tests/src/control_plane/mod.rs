//! A control plane that speaks real ADS in both protocols.
//!
//! The test changes a table of resources; every stream is told what it asked for. What the proxy says comes
//! back as [`Said`], so that a test can expect a subscription, an ACK or a NACK.

mod delta;
mod resource;
mod sotw;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use futures_util::stream::unfold;
use palanquin_proto::envoy::config::core::v3::Node;
use palanquin_proto::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use palanquin_proto::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use palanquin_proto::envoy::service::discovery::v3::DiscoveryRequest;
use palanquin_proto::envoy::service::discovery::v3::DiscoveryResponse;
use palanquin_proto::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryService;
use palanquin_proto::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use prost_types::Any;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tonic::codegen::tokio_stream::Stream;
use tonic::codegen::tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::transport::server::TcpIncoming;
use tower::util::MapRequestLayer;

pub use resource::Kind;
pub use resource::Resource;
pub use resource::cluster;
pub use resource::endpoints;
pub use resource::listener;
pub use resource::route_table;
pub use resource::secret;

use crate::time::within;

/// Resources by type and name, each with the version of the table that changed it last.
type Resources = BTreeMap<(Kind, String), (u64, Any)>;

/// What the streams serve.
#[derive(Debug, Clone, Default)]
struct Table {
    version: u64,
    resources: Resources,
    /// The version that changed something of a type last.
    changed: BTreeMap<Kind, u64>,
    /// Counts [`ControlPlane::disconnect`].
    epoch: u64,
}

impl Table {
    /// The version that changed something of a type last.
    fn newest(&self, kind: Kind) -> u64 {
        self.changed.get(&kind).copied().unwrap_or_default()
    }
}

/// One request of the proxy, in either protocol.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// The number of the stream, from 1.
    pub stream: u64,
    /// What it is about.
    pub kind: Option<Kind>,
    /// The node, if it was sent.
    pub node: Option<Node>,
    /// The whole list of names (state of the world), or the names newly asked for (delta).
    pub names: Vec<String>,
    /// Names no longer asked for (delta).
    pub unsubscribed: Vec<String>,
    /// What the proxy had already when the stream began (delta).
    pub initial_versions: BTreeMap<String, String>,
    /// The last accepted version (state of the world).
    pub version: String,
    /// The response that is answered; empty if none is.
    pub nonce: String,
    /// The text of a NACK.
    pub error: Option<String>,
}

impl Said {
    /// Whether it is the answer to a response with this version. A nonce is `VERSION-NUMBER`.
    fn answers(&self, kind: Kind, version: u64) -> bool {
        let said = self.nonce.split_once('-').map(|(version, _)| version.parse());
        self.kind == Some(kind) && said == Some(Ok(version))
    }
}

/// A running control plane, on a thread of its own: nothing of it, no stream and no connection, is left
/// when it is dropped.
#[derive(Debug)]
pub struct ControlPlane {
    /// Where it listens.
    pub address: SocketAddr,
    table: watch::Sender<Table>,
    said: watch::Receiver<Vec<Said>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ControlPlane {
    /// Listens on a port of the system's choice, with nothing to serve.
    pub async fn start() -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), Vec::new())
    }

    /// Serves `resources` on a socket of the caller's.
    pub fn start_on(listener: TcpListener, resources: Vec<Resource>) -> Self {
        let address = listener.local_addr().unwrap();
        let listener = listener.into_std().unwrap();
        Self::serve(address, resources, move || {
            TcpIncoming::from(TcpListener::from_std(listener).unwrap())
        })
    }

    /// Serves `resources` on a Unix socket, as an agent on the same machine does. [`Self::address`] means
    /// nothing then.
    pub fn start_at(path: &Path, resources: Vec<Resource>) -> Self {
        drop(std::fs::remove_file(path));
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self::serve(SocketAddr::from(([127, 0, 0, 1], 0)), resources, move || {
            let listener = UnixListener::from_std(listener).unwrap();
            unfold(listener, |listener| async move {
                let accepted = listener.accept().await.map(|(stream, _)| stream);
                Some((accepted, listener))
            })
        })
    }

    fn serve<I, C>(
        address: SocketAddr,
        resources: Vec<Resource>,
        incoming: impl FnOnce() -> I + Send + 'static,
    ) -> Self
    where
        I: Stream<Item = std::io::Result<C>>,
        C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let table = watch::Sender::new(Table::default());
        let (hears, said) = watch::channel(Vec::new());
        let streams = Arc::new(AtomicU64::new(0));
        let service = Service { table: table.clone(), hears: Arc::new(hears), streams };
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::builder()
                    .layer(MapRequestLayer::new(secrets_are_aggregated))
                    .add_service(AggregatedDiscoveryServiceServer::new(service));
                tokio::select! {
                    served = server.serve_with_incoming(incoming()) => served.unwrap(),
                    _ = ended => {}
                }
            });
        });
        let plane = Self { address, table, said, end: Some(end), thread: Some(thread) };
        plane.put(resources);
        plane
    }

    /// Adds or replaces resources, all at once.
    pub fn put(&self, resources: impl IntoIterator<Item = Resource>) {
        self.table.send_modify(|table| {
            table.version += 1;
            for Resource { kind, name, any } in resources {
                table.resources.insert((kind, name), (table.version, any));
                table.changed.insert(kind, table.version);
            }
        });
    }

    /// Takes a resource away.
    pub fn remove(&self, kind: Kind, name: &str) {
        self.table.send_modify(|table| {
            table.version += 1;
            table.resources.remove(&(kind, name.to_owned())).expect("it was put in before");
            table.changed.insert(kind, table.version);
        });
    }

    /// Breaks every stream with an error.
    pub fn disconnect(&self) {
        self.table.send_modify(|table| table.epoch += 1);
    }

    /// Everything the proxy said so far.
    pub fn said(&self) -> Vec<Said> {
        self.said.borrow().clone()
    }

    /// Waits for the first thing said that `is_meant`; also in the past.
    pub async fn heard(&self, what: &str, is_meant: impl Fn(&Said) -> bool) -> Said {
        let mut said = self.said.clone();
        let all = within(what, said.wait_for(|all| all.iter().any(&is_meant))).await;
        let all = all.expect("the control plane serves as long as it lives").clone();
        all.into_iter().find(is_meant).unwrap()
    }

    /// Waits until the newest version of a type was accepted.
    pub async fn acked(&self, kind: Kind) {
        let version = self.newest(kind);
        self.heard(&format!("ACK of {kind:?} {version}"), |said| {
            said.answers(kind, version) && said.error.is_none()
        })
        .await;
    }

    /// Waits until the newest version of a type was accepted on a stream that asks for this name (state of the
    /// world, where every request names all).
    pub async fn acked_for(&self, kind: Kind, name: &str) {
        let version = self.newest(kind);
        self.heard(&format!("ACK of {kind:?} {version} for {name}"), |said| {
            said.answers(kind, version)
                && said.error.is_none()
                && said.names.iter().any(|one| one == name)
        })
        .await;
    }

    /// Waits until the newest version of a type was rejected; the text.
    pub async fn nacked(&self, kind: Kind) -> String {
        let version = self.newest(kind);
        let what = format!("NACK of {kind:?} {version}");
        let said = self.heard(&what, |said| said.answers(kind, version) && said.error.is_some());
        said.await.error.unwrap()
    }

    fn newest(&self, kind: Kind) -> u64 {
        self.table.borrow().newest(kind)
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// The service of secrets has the same messages, on streams that carry nothing else.
fn secrets_are_aggregated<B>(mut request: http::Request<B>) -> http::Request<B> {
    let method = match request.uri().path() {
        "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets" => {
            "StreamAggregatedResources"
        }
        "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets" => {
            "DeltaAggregatedResources"
        }
        _ => return request,
    };
    let path = format!("/envoy.service.discovery.v3.AggregatedDiscoveryService/{method}");
    *request.uri_mut() = path.parse().unwrap();
    request
}

struct Service {
    table: watch::Sender<Table>,
    hears: Arc<watch::Sender<Vec<Said>>>,
    streams: Arc<AtomicU64>,
}

type Responses<P> = Pin<Box<dyn Stream<Item = Result<P, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Service {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Ok(Response::new(self.converse(request.into_inner(), sotw::State::default())))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        Ok(Response::new(self.converse(request.into_inner(), delta::State::default())))
    }
}

/// What one stream was asked for and has sent.
trait Protocol: Send + 'static {
    type Request: Send + 'static;
    type Response: Send + 'static;

    /// Takes a request in.
    fn hear(&mut self, request: &Self::Request) -> Said;

    /// What the stream has not been sent yet, in the order clusters, endpoints, listeners, routes.
    fn tell(&mut self, table: &Table) -> Vec<Self::Response>;
}

impl Service {
    fn converse<P: Protocol>(
        &self,
        mut requests: Streaming<P::Request>,
        mut state: P,
    ) -> Responses<P::Response> {
        let (responses, outbound) = mpsc::unbounded_channel();
        let stream = 1 + self.streams.fetch_add(1, Ordering::Relaxed);
        let (mut table, hears) = (self.table.subscribe(), Arc::clone(&self.hears));
        tokio::spawn(async move {
            let epoch = table.borrow_and_update().epoch;
            loop {
                tokio::select! {
                    request = requests.message() => {
                        let Ok(Some(request)) = request else { return };
                        let said = Said { stream, ..state.hear(&request) };
                        // In one step with what it causes: a test that has heard a request may
                        // rely on the answer being on its way.
                        let now = table.borrow_and_update().clone();
                        for response in state.tell(&now) {
                            drop(responses.send(Ok(response)));
                        }
                        hears.send_modify(|all| all.push(said));
                    }
                    changed = table.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        let now = table.borrow_and_update().clone();
                        if now.epoch != epoch {
                            drop(responses.send(Err(Status::unavailable("the test says so"))));
                            return;
                        }
                        for response in state.tell(&now) {
                            drop(responses.send(Ok(response)));
                        }
                    }
                }
            }
        });
        Box::pin(UnboundedReceiverStream::new(outbound))
    }
}
