//! Sends spans to a collector over OTLP/gRPC.

use std::time::Duration;

use bytes::BufMut as _;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use palanquin_config::ir::tracing::Exporter;
use prost::Message as _;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use tonic::client::Grpc;
use tonic::codec::Codec;
use tonic::codec::DecodeBuf;
use tonic::codec::Decoder;
use tonic::codec::EncodeBuf;
use tonic::codec::Encoder;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataKey;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use super::attributes;
use super::encode::Message;
use super::record::SpanRecord;
use crate::worker::Rng;

const EXPORT: PathAndQuery =
    PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export");

/// How often an export is tried again.
const RETRIES: u32 = 3;
/// The first pause before that; each further one is twice as long, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(1_600);
/// What chance adds to a pause, in milliseconds, so that proxies do not come back all at once.
const JITTER: u64 = 100;

/// One collector. Retryable failures (gRPC `UNAVAILABLE` and its like, throttling) are tried again with
/// back-off, three times at most; everything within the exporter's timeout.
#[derive(Debug)]
pub(super) struct Collector {
    client: Grpc<Channel>,
    metadata: MetadataMap,
    /// The field `resource` of `trace.v1.ResourceSpans`.
    resource: Vec<u8>,
    /// The field `scope` of `trace.v1.ScopeSpans`.
    scope: Vec<u8>,
    timeout: Duration,
    rng: Rng,
}

/// Why spans did not reach the collector.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    #[error("the collector refused the spans or is away")]
    Failed(#[source] Box<Status>),
    #[error("the collector did not answer within {0:?}")]
    Timeout(Duration),
}

impl Collector {
    /// The collector that `config` names, over a channel to it. Connects with the first export.
    pub(super) fn new(config: &Exporter, channel: Channel) -> Self {
        let mut metadata = MetadataMap::new();
        for (name, value) in &config.metadata {
            // Checked when lowered; binary names (`-bin`) are not for texts.
            if let (Ok(name), Ok(value)) = (MetadataKey::from_bytes(name.as_bytes()), value.parse())
            {
                metadata.append(name, value);
            }
        }
        let mut resource = Vec::new();
        Message::new(&mut resource).message(1, |resource| {
            resource.text_attribute(1, "telemetry.sdk.name", "palanquin");
            resource.text_attribute(1, "telemetry.sdk.language", "rust");
            resource.text_attribute(1, "telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
            resource.text_attribute(1, "service.name", &config.service_name);
            for (name, value) in &config.resource {
                resource.text_attribute(1, name, value);
            }
        });
        let mut scope = Vec::new();
        Message::new(&mut scope).message(1, |scope| {
            scope.bytes(1, b"palanquin");
            scope.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
        });
        let client = Grpc::new(channel);
        Self { client, metadata, resource, scope, timeout: config.timeout, rng: Rng::from_system() }
    }

    /// Sends records; `Ok` when the collector took them.
    pub(super) async fn export(&mut self, records: &[SpanRecord]) -> Result<(), ExportError> {
        let export = self.encode(records);
        let timeout = self.timeout;
        match tokio::time::timeout(timeout, self.send(export)).await {
            Ok(result) => result.map_err(|status| ExportError::Failed(Box::new(status))),
            Err(_) => Err(ExportError::Timeout(timeout)),
        }
    }

    fn encode(&self, records: &[SpanRecord]) -> Export {
        let mut spans = Vec::with_capacity(records.len() * SPANS_OF_A_RECORD);
        for record in records {
            attributes::spans(record, &mut spans);
        }
        let mut of_scope = Vec::with_capacity(self.scope.len() + 8);
        Message::new(&mut of_scope).length(2, self.scope.len() + spans.len());
        of_scope.extend_from_slice(&self.scope);
        let mut head = Vec::new();
        let length = self.resource.len() + of_scope.len() + spans.len();
        Message::new(&mut head).length(1, length);
        head.extend_from_slice(&self.resource);
        head.extend_from_slice(&of_scope);
        Export { head: head.into(), spans: spans.into() }
    }

    async fn send(&mut self, export: Export) -> Result<(), Status> {
        let mut pause = FIRST_PAUSE;
        for _ in 0..RETRIES {
            let Err(status) = self.try_send(export.clone()).await else { return Ok(()) };
            let Some(asked) = retry_after(&status) else { return Err(status) };
            pause = pause.max(asked);
            let jitter = Duration::from_millis(self.rng.below(JITTER));
            tokio::time::sleep(pause + jitter).await;
            pause = (pause * 2).min(LONGEST_PAUSE.max(asked));
        }
        self.try_send(export).await
    }

    async fn try_send(&mut self, export: Export) -> Result<(), Status> {
        self.client
            .ready()
            .await
            .map_err(|error| Status::unavailable(format!("the channel is not ready: {error}")))?;
        let mut request = Request::new(export);
        *request.metadata_mut() = self.metadata.clone();
        let response = self.client.unary(request, EXPORT, TraceService).await?.into_inner();
        if let Some(partial) = response.partial_success.filter(|it| it.rejected_spans > 0) {
            // OTLP: not to be sent again.
            tracing::debug!(
                rejected = partial.rejected_spans,
                message = partial.error_message,
                "the collector took some of the spans only"
            );
        }
        Ok(())
    }
}

/// The bytes of a record's two spans, as a rule.
const SPANS_OF_A_RECORD: usize = 3_072;

/// Whether a failure may be tried again, and after which pause at least: the table of the OTLP specification.
fn retry_after(status: &Status) -> Option<Duration> {
    let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
    match status.code() {
        // Only if the collector says when it will have recovered.
        Code::ResourceExhausted => asked,
        Code::Aborted
        | Code::Cancelled
        | Code::DataLoss
        | Code::DeadlineExceeded
        | Code::OutOfRange
        | Code::Unavailable => Some(asked.unwrap_or_default()),
        _ => None,
    }
}

/// An `ExportTraceServiceRequest` in two pieces. Clones share them.
#[derive(Debug, Clone)]
struct Export {
    /// Everything up to the first span.
    head: Bytes,
    spans: Bytes,
}

/// The codec of `TraceService.Export`: what goes out is written already.
#[derive(Debug)]
struct TraceService;

impl Codec for TraceService {
    type Encode = Export;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for TraceService {
    type Item = Export;
    type Error = Status;

    fn encode(&mut self, export: Export, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(export.head);
        out.put(export.spans);
        Ok(())
    }
}

impl Decoder for TraceService {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        ExportTraceServiceResponse::decode(bytes)
            .map(Some)
            .map_err(|error| Status::internal(format!("malformed response: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let minute = Duration::from_mins(1);
        let details = ErrorDetails::with_retry_info(Some(minute));
        let throttled = |code| retry_after(&Status::with_error_details(code, "", details.clone()));
        assert_eq!(retry_after(&Status::unavailable("")), Some(Duration::ZERO));
        assert_eq!(throttled(Code::Unavailable), Some(minute));
        assert_eq!(retry_after(&Status::resource_exhausted("")), None);
        assert_eq!(throttled(Code::ResourceExhausted), Some(minute));
        assert_eq!(retry_after(&Status::invalid_argument("")), None);
    }
}
