//! The client side: one connection shared by the requests of a worker.
//!
//! A driver task per connection moves frames; [`ClientConn`] is a handle that counts streams and knows
//! whether the connection still takes new ones.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use h2::Reason;
use h2::client::ResponseFuture;
use h2::client::SendRequest;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Uri;
use http::Version;
use http::header;
use http::request::Parts;
use http::uri::Authority;
use http::uri::PathAndQuery;
use http::uri::Scheme;
use http_body::Frame;
use http_body::SizeHint;

use palanquin_filter_api::Body;
use palanquin_filter_api::BodyError;

use super::body::Download;
use super::body::RecvBody;
use super::buffered::buffered;
use super::keepalive::Keepalive;
use super::keepalive::KeepaliveSettings;
use super::upload::Upload;
use super::upload::UploadError;
use crate::codec::ContinueSignal;
use crate::codec::Io;
use crate::codec::Outgoing;
use crate::codec::SendError;
use crate::codec::SendErrorKind;
use crate::codec::Upgrade;
use crate::codec::hop;

/// Settings of HTTP/2 connections to endpoints.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Streams at a time, unless the peer allows fewer.
    pub max_concurrent_streams: u32,
    /// Window of a stream, in bytes.
    pub initial_stream_window_size: u32,
    /// Window of the connection, in bytes.
    pub initial_connection_window_size: u32,
    /// The header section of a response, in bytes.
    pub max_header_list_size: u32,
    /// `:scheme` of requests whose `x-forwarded-proto` does not say it: https over TLS.
    pub scheme: Scheme,
    /// Pings that find out whether the upstream is still there; `None`: none.
    pub keepalive: Option<KeepaliveSettings>,
}

/// A handle to an upstream connection. Clones share it; the connection closes when the last is gone
/// and every stream is over.
#[derive(Clone)]
pub struct ClientConn {
    requests: SendRequest<Bytes>,
    shared: Rc<Shared>,
}

struct Shared {
    settings: ClientSettings,
    active: Cell<u32>,
    total: Cell<u64>,
    closed: Cell<bool>,
    /// The last host and the authority it became: most requests of a connection name one.
    authority: RefCell<Option<(HeaderValue, Authority)>>,
}

impl Shared {
    /// The host field as the authority of a URI.
    fn authority(&self, host: HeaderValue) -> Result<Authority, &'static str> {
        let mut last = self.authority.borrow_mut();
        if let Some((name, authority)) = &*last
            && *name == host
        {
            return Ok(authority.clone());
        }
        let authority = Authority::from_maybe_shared(Bytes::copy_from_slice(host.as_bytes()))
            .map_err(|_| "the host is no authority")?;
        *last = Some((host, authority.clone()));
        Ok(authority)
    }
}

/// Shakes hands on `io` and starts the driver task on the current worker.
pub async fn connect<T: Io>(io: T, settings: ClientSettings) -> io::Result<ClientConn> {
    let (io, flusher) = buffered(io);
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(settings.initial_stream_window_size)
        .initial_connection_window_size(settings.initial_connection_window_size)
        .max_header_list_size(settings.max_header_list_size)
        .max_send_buffer_size(256 * 1024)
        .initial_max_send_streams(settings.max_concurrent_streams as usize);
    let (requests, mut connection) = {
        let mut handshake = pin!(builder.handshake::<_, Bytes>(io));
        poll_fn(|cx| {
            let result = handshake.as_mut().poll(cx);
            drop(flusher.poll(cx));
            result
        })
        .await
        .map_err(io::Error::other)?
    };
    let shared = Rc::new(Shared {
        settings,
        active: Cell::new(0),
        total: Cell::new(0),
        closed: Cell::new(false),
        authority: RefCell::default(),
    });
    let driver = Rc::clone(&shared);
    let mut keepalive = Keepalive::new(connection.ping_pong(), shared.settings.keepalive);
    tokio::task::spawn_local(async move {
        poll_fn(|cx| {
            if keepalive.as_mut().is_some_and(|keepalive| keepalive.poll(cx).is_ready()) {
                return Poll::Ready(());
            }
            let result = Pin::new(&mut connection).poll(cx);
            match flusher.poll(cx) {
                Poll::Ready(Err(_)) => Poll::Ready(()),
                Poll::Ready(Ok(())) | Poll::Pending => result.map(drop),
            }
        })
        .await;
        driver.closed.set(true);
    });
    Ok(ClientConn { requests, shared })
}

impl ClientConn {
    /// Streams in flight.
    pub fn active_streams(&self) -> u32 {
        self.shared.active.get()
    }

    /// Requests sent since the connection was made.
    pub fn total_requests(&self) -> u64 {
        self.shared.total.get()
    }

    /// True while the connection takes new streams at all: it is open and no GOAWAY came.
    pub fn is_open(&mut self, cx: &mut Context<'_>) -> bool {
        !self.shared.closed.get() && !matches!(self.requests.poll_ready(cx), Poll::Ready(Err(_)))
    }

    /// True when one more stream fits under the peer's limit and ours.
    pub fn has_room(&self) -> bool {
        let peer = self.requests.current_max_send_streams();
        let own = self.shared.settings.max_concurrent_streams as usize;
        (self.shared.active.get() as usize) < peer.min(own)
    }

    /// Sends one request. Dropping the future, or the response's body, resets the stream.
    ///
    /// The request is in the form of the seam (see [`crate::codec`]). Its body goes on being sent while
    /// the response is read.
    pub async fn send(&self, request: &mut Outgoing) -> Result<Response<Body>, SendError> {
        let reused = self.shared.total.get() > 0;
        let fail = |kind, bytes_sent| SendError { kind, reused, bytes_sent };
        let downstream = request.head.version;
        let expectation = request.head.extensions.get::<ContinueSignal>().cloned();
        let body = request.take_body();
        let head = to_wire(request.own_head(), &self.shared)
            .map_err(|what| fail(SendErrorKind::Protocol(what), 0))?;
        let is_head = head.method() == Method::HEAD;
        let upgrade = head.extensions().get::<h2::ext::Protocol>().is_some();
        let guard = Guard::new(&self.shared);
        let mut requests = self.requests.clone();
        poll_fn(|cx| requests.poll_ready(cx)).await.map_err(|e| fail(kind(&e), 0))?;

        let no_body = body.is_empty() && !upgrade;
        let (response, stream) =
            requests.send_request(head, no_body).map_err(|e| fail(kind(&e), 0))?;
        let upload = (!no_body).then(|| Upload::new(stream, body));
        let mut exchange = Exchange { upload, response, expectation };
        let result = poll_fn(|cx| exchange.poll(cx)).await;
        let sent = 1 + exchange.upload.as_ref().map_or(0, Upload::sent);
        let response = result.map_err(|kind| fail(kind, sent))?;
        Ok(from_wire(response, exchange.upload, guard, is_head, upgrade, downstream))
    }
}

impl std::fmt::Debug for ClientConn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientConn")
            .field("active", &self.shared.active.get())
            .finish_non_exhaustive()
    }
}

/// One stream in flight, counted while it lives.
struct Guard(Rc<Shared>);

impl Guard {
    fn new(shared: &Rc<Shared>) -> Self {
        shared.active.set(shared.active.get() + 1);
        shared.total.set(shared.total.get() + 1);
        Self(Rc::clone(shared))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get() - 1);
    }
}

/// A request that waits for its response head while its body is sent.
struct Exchange {
    upload: Option<Upload>,
    response: ResponseFuture,
    /// Of a client that waits for `100 Continue`.
    expectation: Option<ContinueSignal>,
}

impl Exchange {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<h2::RecvStream>, SendErrorKind>> {
        if let Some(upload) = &mut self.upload {
            match upload.poll(cx) {
                Poll::Ready(Ok(())) => self.upload = None,
                Poll::Ready(Err(UploadError::Body(error))) => {
                    return Poll::Ready(Err(SendErrorKind::RequestBody(error)));
                }
                // The peer may have answered before it ended the stream: the response decides.
                Poll::Ready(Err(UploadError::Stream(_))) => self.upload = None,
                Poll::Pending => {}
            }
        }
        if let Some(expectation) = &self.expectation {
            while let Poll::Ready(Some(Ok(interim))) = self.response.poll_informational(cx) {
                if interim.status() == StatusCode::CONTINUE {
                    expectation.raise();
                }
            }
        }
        Pin::new(&mut self.response).poll(cx).map_err(|error| kind(&error))
    }
}

fn kind(error: &h2::Error) -> SendErrorKind {
    match error.reason() {
        Some(Reason::REFUSED_STREAM) => SendErrorKind::Refused,
        Some(Reason::NO_ERROR) if error.is_go_away() => SendErrorKind::Refused,
        _ if error.is_io() => SendErrorKind::Closed,
        _ if error.is_go_away() && error.is_remote() => SendErrorKind::Closed,
        _ if error.is_remote() => SendErrorKind::Reset,
        Some(_) => SendErrorKind::Protocol("HTTP/2 framing"),
        None => SendErrorKind::Closed,
    }
}

/// From the form of the seam to the crate's: absolute URI, no host field.
fn to_wire(mut head: Parts, shared: &Shared) -> Result<Request<()>, &'static str> {
    let host = head.headers.remove(header::HOST);
    let authority = host.map(|host| shared.authority(host)).transpose()?;
    let mut parts = http::uri::Parts::default();
    parts.authority = authority;
    parts.scheme =
        Some(downstream_scheme(&head.headers).unwrap_or_else(|| shared.settings.scheme.clone()));
    parts.path_and_query =
        Some(head.uri.into_parts().path_and_query.unwrap_or(PathAndQuery::from_static("/")));
    let upgrade = head.extensions.remove::<Upgrade>();
    head.extensions.clear();
    if let Some(upgrade) = upgrade {
        head.method = Method::CONNECT;
        if upgrade.protocol == "CONNECT" {
            parts.path_and_query = None;
            parts.scheme = None;
        } else {
            let protocol =
                upgrade.protocol.to_str().map_err(|_| "the upgrade protocol is no text")?;
            head.extensions.insert(h2::ext::Protocol::from(protocol));
        }
        drop(hop::strip(&mut head.headers));
    }
    head.uri = Uri::from_parts(parts).map_err(|_| "the request has no valid target")?;
    head.version = Version::HTTP_2;
    Ok(Request::from_parts(head, ()))
}

/// The scheme the client used, which a proxy passes on whatever the connection upstream is (as Envoy does,
/// unless `match_upstream` is set).
fn downstream_scheme(headers: &HeaderMap) -> Option<Scheme> {
    match headers.get("x-forwarded-proto")?.as_bytes() {
        b"http" => Some(Scheme::HTTP),
        b"https" => Some(Scheme::HTTPS),
        _ => None,
    }
}

fn from_wire(
    response: Response<h2::RecvStream>,
    upload: Option<Upload>,
    guard: Guard,
    is_head: bool,
    upgrade: bool,
    downstream: Version,
) -> Response<Body> {
    let (mut head, stream) = response.into_parts();
    if upgrade && head.status == StatusCode::OK {
        head.status = StatusCode::SWITCHING_PROTOCOLS;
    }
    if stream.is_end_stream() {
        return Response::from_parts(head, Body::Empty);
    }
    let length = if is_head { Some(0) } else { content_length(&head.headers) };
    // While the request is still being sent, the response's body is what keeps it going. Towards HTTP/1 a body
    // without a length stays a stream: it is then framed as Envoy frames it.
    let body = if upload.is_some() || length.is_none() && downstream != Version::HTTP_2 {
        RecvBody::new(stream, length)
    } else {
        match RecvBody::download(stream, length) {
            Download::Whole(bytes) => return Response::from_parts(head, Body::from(bytes)),
            Download::Streamed(body) => body,
        }
    };
    let body = DownloadBody { body, upload, _guard: guard };
    Response::from_parts(head, Body::from_stream(body))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A response body that keeps the request body going.
struct DownloadBody {
    body: RecvBody,
    upload: Option<Upload>,
    _guard: Guard,
}

impl http_body::Body for DownloadBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(upload) = &mut this.upload {
            match upload.poll(cx) {
                Poll::Ready(Err(UploadError::Body(error))) => {
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(_) => this.upload = None,
                Poll::Pending => {}
            }
        }
        Pin::new(&mut this.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
