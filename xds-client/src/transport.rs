//! One gRPC stream over any channel: encoded requests out, responses in.
//!
//! The channel is whatever the owner hands in: tonic's own, or a service over the proxy's
//! clusters. Requests are encoded by the state, so the codec passes them through.

use bytes::Buf;
use bytes::BufMut;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::Uri;
use http::uri::PathAndQuery;
use palanquin_proto::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use palanquin_proto::envoy::service::discovery::v3::DiscoveryResponse;
use prost::Message;
use tokio::sync::mpsc;
use tonic::Extensions;
use tonic::Request;
use tonic::Status;
use tonic::Streaming;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::client::GrpcService;
use tonic::codec::Codec;
use tonic::codec::DecodeBuf;
use tonic::codec::Decoder;
use tonic::codec::EncodeBuf;
use tonic::codec::Encoder;
use tonic::codegen::Body as HttpBody;
use tonic::codegen::StdError;
use tonic::metadata::MetadataMap;

use crate::resource::Protocol;
use crate::state::Response;

/// What every stream of a client has in common.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) protocol: Protocol,
    pub(crate) method: PathAndQuery,
    pub(crate) origin: Uri,
    pub(crate) metadata: MetadataMap,
    pub(crate) max_message_bytes: usize,
}

/// The writing half of a stream.
#[derive(Debug)]
pub(crate) struct Requests(mpsc::Sender<Bytes>);

/// The reading half of a stream. Dropping it resets the stream.
pub(crate) enum Responses {
    /// Many servers send their headers with the first response only, so requests go out before.
    Opening(LocalBoxFuture<'static, Result<Streaming<Response>, Status>>),
    Open(Box<Streaming<Response>>),
}

/// What the other side did.
pub(crate) enum Received {
    /// The stream is over without an error.
    End,
    /// The control plane accepted the stream.
    Opened,
    Response(Box<Response>),
}

/// Prepares a stream; nothing is sent before the reading half is polled.
pub(crate) fn open<S>(call: &Call, channel: S) -> (Requests, Responses)
where
    S: GrpcService<Body> + 'static,
    S::ResponseBody: HttpBody + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<StdError>,
{
    let (requests, outbound) = mpsc::channel(REQUESTS_AHEAD);
    let outbound = futures_util::stream::unfold(outbound, async |mut outbound| {
        let frame: Bytes = mpsc::Receiver::recv(&mut outbound).await?;
        Some((frame, outbound))
    });
    let Call { protocol, method, origin, metadata, max_message_bytes } = call.clone();
    let opening = async move {
        let mut grpc = Grpc::with_origin(channel, origin)
            .max_decoding_message_size(max_message_bytes)
            .max_encoding_message_size(max_message_bytes);
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let request = Request::from_parts(metadata, Extensions::default(), outbound);
        let response = grpc.streaming(request, method, XdsCodec { protocol }).await?;
        Ok(response.into_inner())
    };
    (Requests(requests), Responses::Opening(Box::pin(opening)))
}

impl Requests {
    /// Waits until a request can be sent. Cancel safe. On a stream that is gone it waits for ever:
    /// the reading half knows the reason.
    pub(crate) async fn writable(&self) {
        if self.0.reserve().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Room for one request, if there is any now.
    pub(crate) fn try_reserve(&self) -> Option<mpsc::Permit<'_, Bytes>> {
        self.0.try_reserve().ok()
    }
}

impl Responses {
    /// The next thing the control plane says. Cancel safe.
    pub(crate) async fn receive(&mut self) -> Result<Received, Status> {
        match self {
            Self::Opening(opening) => {
                let streaming = opening.await?;
                *self = Self::Open(Box::new(streaming));
                Ok(Received::Opened)
            }
            Self::Open(streaming) => Ok(streaming
                .message()
                .await?
                .map_or(Received::End, |response| Received::Response(Box::new(response)))),
        }
    }
}

/// Requests handed to the transport before it took the first: few, so that changes of a
/// subscription still merge while the connection is slow.
const REQUESTS_AHEAD: usize = 4;

#[derive(Debug)]
struct XdsCodec {
    protocol: Protocol,
}

impl Codec for XdsCodec {
    type Encode = Bytes;
    type Decode = Response;
    type Encoder = PassThrough;
    type Decoder = ResponseDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        PassThrough
    }

    fn decoder(&mut self) -> Self::Decoder {
        ResponseDecoder { protocol: self.protocol }
    }
}

#[derive(Debug)]
struct PassThrough;

impl Encoder for PassThrough {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, frame: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(frame);
        Ok(())
    }
}

#[derive(Debug)]
struct ResponseDecoder {
    protocol: Protocol,
}

impl Decoder for ResponseDecoder {
    type Item = Response;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Response>, Status> {
        let bytes = bytes.copy_to_bytes(bytes.remaining());
        let response = match self.protocol {
            Protocol::Delta => DeltaDiscoveryResponse::decode(bytes).map(Response::from),
            Protocol::Sotw => DiscoveryResponse::decode(bytes).map(Response::from),
        };
        response.map(Some).map_err(|error| Status::internal(format!("malformed response: {error}")))
    }
}
