//! A collector of spans.

use std::net::SocketAddr;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceService;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceServiceServer;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::time::within;

/// A collector that keeps every span. It ends when it is dropped.
#[derive(Debug)]
pub struct Collector {
    /// Where it listens.
    pub address: SocketAddr,
    spans: watch::Receiver<Vec<Received>>,
    _tasks: JoinSet<()>,
}

/// A span, and the resource it came from.
#[derive(Debug, Clone)]
pub struct Received {
    /// Attributes of the resource.
    pub resource: Vec<KeyValue>,
    /// The span.
    pub span: Span,
}

impl Received {
    /// An attribute of the span, as text.
    pub fn attribute(&self, key: &str) -> Option<String> {
        attribute(&self.span.attributes, key)
    }

    /// An attribute of the resource, as text.
    pub fn resource(&self, key: &str) -> Option<String> {
        attribute(&self.resource, key)
    }
}

impl Collector {
    /// Listens on a port of the system's choice.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, spans) = watch::channel(Vec::new());
        let service = TraceServiceServer::new(Service(Arc::new(sender)));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let server = Server::builder().add_service(service);
            drop(server.serve_with_incoming(TcpIncoming::from(listener)).await);
        });
        Self { address, spans, _tasks: tasks }
    }

    /// Waits for that many spans.
    pub async fn spans(&self, count: usize) -> Vec<Received> {
        let mut spans = self.spans.clone();
        let spans = spans.wait_for(|spans| spans.len() >= count);
        within("spans at the collector", spans).await.unwrap().clone()
    }

    /// The spans so far.
    pub fn so_far(&self) -> Vec<Received> {
        self.spans.borrow().clone()
    }

    /// Waits for the server span and the client span of one request.
    pub async fn request(&self) -> (Received, Received) {
        let spans = self.spans(2).await;
        let of = |kind: SpanKind| {
            let found = spans.iter().find(|received| received.span.kind() == kind);
            found.unwrap_or_else(|| panic!("no {kind:?} span among {spans:#?}")).clone()
        };
        (of(SpanKind::Server), of(SpanKind::Client))
    }
}

struct Service(Arc<watch::Sender<Vec<Received>>>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send_modify(|all| {
            for group in request.into_inner().resource_spans {
                let resource =
                    group.resource.map(|resource| resource.attributes).unwrap_or_default();
                let spans = group.scope_spans.into_iter().flat_map(|scope| scope.spans);
                all.extend(spans.map(|span| Received { resource: resource.clone(), span }));
            }
        });
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}
