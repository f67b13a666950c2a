//! A control plane: incremental ADS for clusters, endpoints, listeners and routes, and one switch.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::extract;
use axum::routing::post;
use http::StatusCode;
use palanquin_proto::envoy::config::cluster::v3::Cluster;
use palanquin_proto::envoy::config::endpoint::v3::ClusterLoadAssignment;
use palanquin_proto::envoy::config::listener::v3::Listener;
use palanquin_proto::envoy::config::route::v3::RouteConfiguration;
use palanquin_proto::envoy::service::discovery::v3 as pb;
use palanquin_proto::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use palanquin_proto::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use palanquin_proto::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryService;
use palanquin_proto::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use prost::Name;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tonic::codegen::tokio_stream::Stream;
use tonic::codegen::tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::Places;
use super::Tell;
use super::resources;
use super::resources::Resource;

/// The upstreams that the route can lead to; the first is where it leads at the start.
const COLOURS: [&str; 2] = ["blue", "green"];
/// How long the switch waits for the proxy's ACK.
const ACK_LIMIT: Duration = Duration::from_secs(5);

/// The control plane. Its clones are one.
#[derive(Clone)]
pub(super) struct ControlPlane {
    places: Places,
    certificates: PathBuf,
    wish: watch::Sender<Wish>,
    /// The newest version of the routes that the proxy has taken.
    taken: watch::Sender<u64>,
    tell: Tell,
}

/// Where the route shall lead, and how often that was changed.
#[derive(Debug, Clone, Copy)]
struct Wish {
    colour: &'static str,
    version: u64,
}

impl ControlPlane {
    pub(super) fn new(places: Places, certificates: &Path, tell: Tell) -> Self {
        Self {
            places,
            certificates: certificates.to_owned(),
            wish: watch::Sender::new(Wish { colour: COLOURS[0], version: 1 }),
            taken: watch::Sender::new(0),
            tell,
        }
    }

    /// Serves ADS until the event loop ends.
    pub(super) async fn serve(self, listener: TcpListener) {
        let service = AggregatedDiscoveryServiceServer::new(self);
        let served = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => {
                let server = Server::builder().add_service(service);
                server.serve_with_incoming(TcpIncoming::from(listener)).await
            }
            Err(error) => return tracing::error!(%error, "control plane cannot listen"),
        };
        if let Err(error) = served {
            tracing::error!(%error, "control plane cannot serve");
        }
    }

    /// Serves `POST /route/COLOUR` until the event loop ends.
    pub(super) async fn serve_switch(self, listener: TcpListener) {
        let router = Router::new().route("/route/{colour}", post(turn)).with_state(self);
        let served = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => axum::serve(listener, router).await,
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            tracing::error!(%error, "the switch cannot serve");
        }
    }

    /// All resources of a type with their versions: only the routes ever change.
    fn resources(&self, type_url: &str, wish: Wish) -> Vec<(Resource, u64)> {
        let (places, directory) = (&self.places, &*self.certificates);
        if type_url == Cluster::type_url() {
            COLOURS.map(|name| (resources::cluster(name, directory), 1)).into()
        } else if type_url == ClusterLoadAssignment::type_url() {
            let [blue, green] = COLOURS;
            vec![
                (resources::endpoints(blue, places.blue), 1),
                (resources::endpoints(green, places.green), 1),
            ]
        } else if type_url == Listener::type_url() {
            vec![(resources::listener(places.proxy.port(), directory), 1)]
        } else if type_url == RouteConfiguration::type_url() {
            vec![(resources::routes(wish.colour), wish.version)]
        } else {
            Vec::new()
        }
    }

    /// Hears an answer of the proxy's to a response: its nonce is the version of the routes then.
    fn hear(&self, request: &DeltaDiscoveryRequest) {
        let kind = request.type_url.rsplit('.').next().unwrap_or_default();
        if let Some(error) = &request.error_detail {
            (self.tell)(&format!("control plane: the proxy rejects {kind}: {}", error.message));
        } else if request.type_url == RouteConfiguration::type_url()
            && let Ok(version) = request.response_nonce.parse()
        {
            (self.tell)(&format!(
                "control plane: the proxy has taken version {version} of the routes"
            ));
            self.taken.send_replace(version);
        }
    }
}

/// Lets the route lead elsewhere, and answers once the proxy has said that it does.
async fn turn(
    extract::State(plane): extract::State<ControlPlane>,
    extract::Path(colour): extract::Path<String>,
) -> (StatusCode, String) {
    let Some(colour) = COLOURS.into_iter().find(|known| *known == colour) else {
        return (StatusCode::NOT_FOUND, format!("no upstream {colour:?}; there are {COLOURS:?}\n"));
    };
    let mut version = 0;
    plane.wish.send_modify(|wish| {
        version = wish.version + 1;
        *wish = Wish { colour, version };
    });
    let mut taken = plane.taken.subscribe();
    match tokio::time::timeout(ACK_LIMIT, taken.wait_for(|taken| *taken >= version)).await {
        Ok(Ok(_)) => (StatusCode::OK, format!("the route leads to {colour} now\n")),
        _ => (StatusCode::GATEWAY_TIMEOUT, "the proxy has not taken the new route\n".to_owned()),
    }
}

type Responses<P> = Pin<Box<dyn Stream<Item = Result<P, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for ControlPlane {
    type StreamAggregatedResourcesStream = Responses<pb::DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<pb::DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("this control plane only speaks the incremental protocol"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (responses, outbound) = mpsc::unbounded_channel();
        tokio::spawn(converse(self.clone(), request.into_inner(), responses));
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(outbound))))
    }
}

/// What a stream asked for of one type, and which versions it has.
#[derive(Debug, Default)]
struct Subscription {
    wildcard: bool,
    names: BTreeSet<String>,
    sent: BTreeMap<String, u64>,
}

/// One stream: requests in, what they ask for out, and again when the wish changes.
async fn converse(
    plane: ControlPlane,
    mut requests: Streaming<DeltaDiscoveryRequest>,
    responses: mpsc::UnboundedSender<Result<DeltaDiscoveryResponse, Status>>,
) {
    let mut subscriptions = BTreeMap::<String, Subscription>::new();
    let mut wish = plane.wish.subscribe();
    loop {
        let touched = tokio::select! {
            request = requests.message() => {
                let Ok(Some(request)) = request else { return };
                plane.hear(&request);
                let first = !subscriptions.contains_key(&request.type_url);
                let subscription = subscriptions.entry(request.type_url.clone()).or_default();
                subscription.change(&request, first);
                vec![request.type_url]
            }
            changed = wish.changed() => {
                if changed.is_err() {
                    return;
                }
                subscriptions.keys().cloned().collect()
            }
        };
        let now = *wish.borrow_and_update();
        for type_url in touched {
            let all = plane.resources(&type_url, now);
            let Some(subscription) = subscriptions.get_mut(&type_url) else { continue };
            let resources = subscription.due(all);
            if !resources.is_empty() {
                let response = DeltaDiscoveryResponse {
                    type_url,
                    nonce: now.version.to_string(),
                    resources,
                    ..DeltaDiscoveryResponse::default()
                };
                // A stream that is gone hears nothing.
                drop(responses.send(Ok(response)));
            }
        }
    }
}

impl Subscription {
    fn change(&mut self, request: &DeltaDiscoveryRequest, first: bool) {
        self.wildcard |= first && request.resource_names_subscribe.is_empty();
        if first {
            let had = request.initial_resource_versions.iter();
            self.sent.extend(
                had.filter_map(|(name, version)| Some((name.clone(), version.parse().ok()?))),
            );
        }
        for name in &request.resource_names_subscribe {
            self.wildcard |= name == "*";
            self.names.insert(name.clone());
        }
        for name in &request.resource_names_unsubscribe {
            self.wildcard &= name != "*";
            self.names.remove(name);
            self.sent.remove(name);
        }
    }

    /// What is asked for and not sent in this version; it counts as sent from now on.
    fn due(&mut self, all: Vec<(Resource, u64)>) -> Vec<pb::Resource> {
        let mut due = Vec::new();
        for (Resource { name, any }, version) in all {
            let wanted = self.wildcard || self.names.contains(&name);
            if wanted && self.sent.insert(name.clone(), version) != Some(version) {
                due.push(pb::Resource {
                    name,
                    version: version.to_string(),
                    resource: Some(any),
                    ..pb::Resource::default()
                });
            }
        }
        due
    }
}
