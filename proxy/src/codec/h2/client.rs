//! The client side: one connection shared by the requests of a worker.
//!
//! A driver task for each connection moves bytes; [`ClientConn`] is a handle that counts streams and knows
//! whether the connection still takes new ones.

use std::borrow::Cow;
use std::cell::Cell;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::Response;
use http::StatusCode;
use http::Version;
use http::header;
use http::request;
use http::uri::Scheme;
use http_body::Frame;
use http_body::SizeHint;

use palanquin_filter_api::Body;
use palanquin_filter_api::BodyError;

use super::body::RecvBody;
use super::connection::Config;
use super::connection::Connection;
use super::connection::Role;
use super::head::Limits;
use super::hpack::Pseudo;
use super::keepalive::Keepalive;
use super::keepalive::KeepaliveSettings;
use super::socket::Read;
use super::socket::Socket;
use super::stream_ref::Failed;
use super::stream_ref::StreamRef;
use super::streams::Failure;
use super::upload::Upload;
use super::upload::UploadError;
use crate::codec::ContinueSignal;
use crate::codec::Io;
use crate::codec::Outgoing;
use crate::codec::SendError;
use crate::codec::SendErrorKind;
use crate::codec::Upgrade;
use crate::codec::hop;

/// Settings of connections to upstreams.
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
pub struct ClientConn(Rc<Shared>);

struct Shared {
    connection: Rc<RefCell<Connection>>,
    settings: ClientSettings,
    active: Cell<u32>,
    total: Cell<u64>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut connection = self.connection.borrow_mut();
        connection.is_abandoned = true;
        connection.wake_driver();
    }
}

/// Starts a connection on `io`, and its driver task on the current worker.
pub fn connect<T: Io>(io: T, settings: ClientSettings) -> ClientConn {
    let config = Config {
        max_streams: 0,
        stream_window: settings.initial_stream_window_size,
        connection_window: settings.initial_connection_window_size,
        head: Limits { bytes: settings.max_header_list_size as usize, fields: MAX_FIELDS },
        extended_connect: false,
    };
    let connection = Connection::new(Role::Client, config, Instant::now());
    let keepalive = settings.keepalive.map(Keepalive::new);
    tokio::task::spawn_local(drive(Socket::new(io), Rc::clone(&connection), keepalive));
    let (active, total) = (Cell::new(0), Cell::new(0));
    ClientConn(Rc::new(Shared { connection, settings, active, total }))
}

/// Moves bytes until the connection is over.
async fn drive<T: Io>(
    mut socket: Socket<T>,
    connection: Rc<RefCell<Connection>>,
    mut keepalive: Option<Keepalive>,
) {
    poll_fn(|cx| {
        connection.borrow_mut().set_driver(cx);
        let mut turn = 0;
        let over = loop {
            {
                let mut connection = connection.borrow_mut();
                if connection.is_abandoned && connection.streams.len() == 0 {
                    connection.end();
                    break Poll::Ready(());
                }
            }
            match socket.poll_read(&connection, &mut turn, cx) {
                Poll::Pending => break Poll::Pending,
                Poll::Ready(Read::Some) => {}
                Poll::Ready(Read::End) => {
                    connection.borrow_mut().close(Failure::Closed);
                    break Poll::Ready(());
                }
                Poll::Ready(Read::Fault(fatal)) => {
                    connection.borrow_mut().abort(fatal);
                    break Poll::Ready(());
                }
            }
        };
        if let Some(keepalive) = &mut keepalive
            && keepalive.poll(&connection, cx).is_ready()
        {
            return Poll::Ready(());
        }
        match socket.poll_flush(&connection, cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(())) | Poll::Pending => over,
        }
    })
    .await;
    connection.borrow_mut().close(Failure::Closed);
    if poll_fn(|cx| socket.poll_flush(&connection, cx)).await.is_ok() {
        drop(poll_fn(|cx| socket.poll_shutdown(cx)).await);
    }
}

impl ClientConn {
    /// Streams in flight.
    pub fn active_streams(&self) -> u32 {
        self.0.active.get()
    }

    /// Requests sent since the connection was made.
    pub fn total_requests(&self) -> u64 {
        self.0.total.get()
    }

    /// True while the connection takes new streams at all: it is open and no GOAWAY came.
    pub fn is_open(&self) -> bool {
        self.0.connection.borrow().takes_streams()
    }

    /// True when one more stream fits under the peer's limit and ours.
    pub fn has_room(&self) -> bool {
        self.0.active.get() < self.0.settings.max_concurrent_streams
            && self.0.connection.borrow().has_room()
    }

    /// Sends one request. Dropping the future, or the response's body, resets the stream.
    ///
    /// The request is in the form of the seam (see [`crate::codec`]); its head is left as it is. Its body goes
    /// on being sent while the response is read.
    ///
    /// # Errors
    /// No response's head came. An error in the body is told by the body.
    pub async fn send(&self, request: &mut Outgoing) -> Result<Response<Body>, SendError> {
        let reused = self.0.total.get() > 0;
        let fail = |kind, bytes_sent| SendError { kind, reused, bytes_sent };
        if !self.is_open() {
            return Err(fail(SendErrorKind::Closed, 0));
        }
        let body = request.take_body();
        let upgrade = request.head.extensions.get::<Upgrade>();
        let no_body = body.is_empty() && upgrade.is_none();
        let guard = Guard::new(&self.0);
        let stream = self.begin(&request.head, upgrade, no_body);
        let mut exchange = Exchange {
            upload: (!no_body).then(|| Upload::new(stream.clone(), body)),
            stream,
            expectation: request.head.extensions.get::<ContinueSignal>().cloned(),
        };
        let result = poll_fn(|cx| exchange.poll(cx)).await;
        let sent = 1 + exchange.upload.as_ref().map_or(0, Upload::sent);
        let mut head = *result.map_err(|kind| fail(kind, sent))?;
        if upgrade.is_some() && head.status == StatusCode::OK {
            head.status = StatusCode::SWITCHING_PROTOCOLS;
        }
        let is_head = request.head.method == Method::HEAD;
        Ok(respond(head, is_head, exchange, guard, request.head.version))
    }

    fn begin(&self, head: &request::Parts, upgrade: Option<&Upgrade>, end: bool) -> StreamRef {
        let mut pseudo: [(Pseudo, &[u8]); 5] = [(Pseudo::Method, b""); 5];
        let mut count = 0;
        let mut add = |name, value| {
            pseudo[count] = (name, value);
            count += 1;
        };
        let is_tunnel = upgrade.is_some_and(|upgrade| upgrade.protocol == "CONNECT");
        add(
            Pseudo::Method,
            if upgrade.is_some() { b"CONNECT" } else { head.method.as_str().as_bytes() },
        );
        if let Some(upgrade) = upgrade.filter(|_| !is_tunnel) {
            add(Pseudo::Protocol, upgrade.protocol.as_bytes());
        }
        if !is_tunnel {
            add(Pseudo::Scheme, self.scheme(&head.headers).as_bytes());
            let path = head.uri.path_and_query();
            add(Pseudo::Path, path.map_or(b"/", |path| path.as_str().as_bytes()));
        }
        if let Some(host) = head.headers.get(header::HOST) {
            add(Pseudo::Authority, host.as_bytes());
        }
        let headers = if upgrade.is_some() {
            let mut headers = head.headers.clone();
            drop(hop::strip(&mut headers));
            Cow::Owned(headers)
        } else {
            Cow::Borrowed(&head.headers)
        };
        StreamRef::request(&self.0.connection, &pseudo[..count], &headers, end)
    }

    /// The scheme the client used, which a proxy passes on whatever the connection upstream is (as Envoy
    /// does, unless `match_upstream` is set).
    fn scheme(&self, headers: &HeaderMap) -> &str {
        match headers.get("x-forwarded-proto").map(http::HeaderValue::as_bytes) {
            Some(b"http") => "http",
            Some(b"https") => "https",
            _ => self.0.settings.scheme.as_str(),
        }
    }
}

impl std::fmt::Debug for ClientConn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientConn").field("active", &self.0.active.get()).finish_non_exhaustive()
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

/// A request that waits for its response's head while its body is sent.
struct Exchange {
    upload: Option<Upload>,
    stream: StreamRef,
    /// Of a client that waits for `100 Continue`.
    expectation: Option<ContinueSignal>,
}

impl Exchange {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Box<http::response::Parts>, SendErrorKind>> {
        if let Some(upload) = &mut self.upload {
            match upload.poll(cx) {
                Poll::Ready(Err(UploadError::Body(error))) => {
                    return Poll::Ready(Err(SendErrorKind::RequestBody(error)));
                }
                // The peer may have answered before it ended the stream: the response decides.
                Poll::Ready(Err(UploadError::Stream(_)) | Ok(())) => self.upload = None,
                Poll::Pending => {}
            }
        }
        if let Some(expectation) = &self.expectation
            && self.stream.take_continue()
        {
            expectation.raise();
        }
        self.stream.poll_response(cx).map_err(|Failed(failure)| match failure {
            Failure::Closed => SendErrorKind::Closed,
            Failure::Protocol(what) => SendErrorKind::Protocol(what),
            Failure::Refused => SendErrorKind::Refused,
            Failure::Reset(_) => SendErrorKind::Reset,
        })
    }
}

fn respond(
    head: http::response::Parts,
    is_head: bool,
    exchange: Exchange,
    guard: Guard,
    downstream: Version,
) -> Response<Body> {
    let Exchange { upload, stream, .. } = exchange;
    if stream.is_drained() && upload.is_none() {
        return Response::from_parts(head, Body::Empty);
    }
    let announced = head.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
    let length = if is_head { Some(0) } else { announced };
    // While the request is still being sent, the response's body is what keeps it going. Towards HTTP/1 a body
    // without a length stays a stream: it is then framed as Envoy frames it.
    if upload.is_none()
        && (length.is_some() || downstream == Version::HTTP_2)
        && let Some(whole) = stream.take_whole()
    {
        return Response::from_parts(head, Body::from(whole));
    }
    let body = RecvBody::of_response(stream, length);
    let body = DownloadBody { body, upload, _guard: guard };
    Response::from_parts(head, Body::from_stream(body))
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

/// Fields of a response.
const MAX_FIELDS: usize = 1000;
