//! A scripted control plane on loopback that speaks real ADS; the test plays its part.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::pin::Pin;

use palanquin_proto::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use palanquin_proto::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use palanquin_proto::envoy::service::discovery::v3::DiscoveryRequest;
use palanquin_proto::envoy::service::discovery::v3::DiscoveryResponse;
use palanquin_proto::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryService;
use palanquin_proto::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tonic::codegen::tokio_stream::Stream;
use tonic::codegen::tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// One stream as the server sees it.
pub(crate) struct Conversation<Q, P> {
    requests: Streaming<Q>,
    responses: UnboundedSender<Result<P, Status>>,
}

impl<Q, P> Conversation<Q, P> {
    pub(crate) async fn request(&mut self) -> Q {
        self.requests.message().await.unwrap().expect("the client goes on")
    }

    pub(crate) fn respond(&self, response: P) {
        self.responses.send(Ok(response)).unwrap();
    }

    /// Ends the stream with an error.
    pub(crate) fn fail(self, status: Status) {
        self.responses.send(Err(status)).unwrap();
    }
}

/// Accepts streams and hands them to the test.
pub(crate) struct ControlPlane {
    pub address: SocketAddr,
    pub sotw: UnboundedReceiver<Conversation<DiscoveryRequest, DiscoveryResponse>>,
    pub delta: UnboundedReceiver<Conversation<DeltaDiscoveryRequest, DeltaDiscoveryResponse>>,
}

impl ControlPlane {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ((sotw_sender, sotw), (delta_sender, delta)) =
            (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let service = Service { sotw: sotw_sender, delta: delta_sender };
        let server = Server::builder()
            .add_service(AggregatedDiscoveryServiceServer::new(service))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(server);
        Self { address, sotw, delta }
    }

    pub(crate) fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect_lazy()
    }
}

struct Service {
    sotw: UnboundedSender<Conversation<DiscoveryRequest, DiscoveryResponse>>,
    delta: UnboundedSender<Conversation<DeltaDiscoveryRequest, DeltaDiscoveryResponse>>,
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
        Ok(Response::new(converse(&self.sotw, request.into_inner())))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        Ok(Response::new(converse(&self.delta, request.into_inner())))
    }
}

fn converse<Q, P: Send + 'static>(
    test: &UnboundedSender<Conversation<Q, P>>,
    requests: Streaming<Q>,
) -> Responses<P> {
    let (responses, outbound) = mpsc::unbounded_channel();
    // A test that is over hears no more streams, and the client gets an end.
    let _ = test.send(Conversation { requests, responses });
    Box::pin(UnboundedReceiverStream::new(outbound))
}
