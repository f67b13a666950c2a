//! The server side of a connection: every stream is served inside the connection's own task.
//!
//! One turn of the task runs the streams first (they queue frames), then the connection (it turns
//! incoming frames into new streams and queues control frames), and then writes everything at once.

use std::future::poll_fn;
use std::pin::Pin;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream as _;
use futures_util::stream::FuturesUnordered;
use h2::Reason;
use h2::RecvStream;
use h2::server::SendResponse;
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
use tokio::time::Instant;

use palanquin_filter_api::Body;

use super::body::RecvBody;
use super::buffered::buffered;
use super::keepalive::Keepalive;
use super::keepalive::KeepaliveSettings;
use super::resets::ResetWatch;
use super::resets::StreamEnd;
use super::upload::Upload;
use super::upload::UploadError;
use crate::codec::ContinueSignal;
use crate::codec::Drain;
use crate::codec::Io;
use crate::codec::Service;
use crate::codec::Upgrade;
use crate::codec::Violation;
use crate::codec::expect;
use crate::codec::h1::is_authority;
use crate::codec::hop;

/// Settings of HTTP/2 connections from clients.
#[derive(Debug, Clone)]
pub struct Settings {
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub max_concurrent_streams: u32,
    /// Window of a stream, in bytes.
    pub initial_stream_window_size: u32,
    /// Window of the connection, in bytes.
    pub initial_connection_window_size: u32,
    /// Extended CONNECT (RFC 8441) is offered.
    pub allow_connect: bool,
    /// The header section, in bytes, as HPACK counts it.
    pub max_header_list_size: u32,
    /// Header fields of a request.
    pub max_headers: usize,
    /// `proxy_100_continue`: the upstream is asked what it thinks of an expectation.
    pub proxy_100_continue: bool,
    /// The connection is closed after this without a stream; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// GOAWAY after so many requests; `None`: never.
    pub max_requests: Option<u32>,
    /// GOAWAY after this; `None`: never.
    pub max_duration: Option<Duration>,
    /// Pings that find out whether the client is still there; `None`: none.
    pub keepalive: Option<KeepaliveSettings>,
}

/// Serves `io` until the client is gone, the connection is drained, or it broke the protocol.
pub async fn serve<T: Io, S: Service>(io: T, settings: Rc<Settings>, service: S, drain: Drain) {
    let (io, flusher) = buffered(io);
    let mut handshake = pin!(builder(&settings).handshake::<_, Bytes>(io));
    let handshaken = poll_fn(|cx| {
        let result = handshake.as_mut().poll(cx);
        drop(flusher.poll(cx));
        result
    });
    let Ok(mut connection) = handshaken.await else { return };

    let mut streams = FuturesUnordered::new();
    let mut served = 0;
    let mut resets = ResetWatch::default();
    let mut draining = false;
    let mut idle = Timer::new(settings.idle_timeout);
    let mut lifetime = Timer::new(settings.max_duration);
    let mut keepalive = Keepalive::new(connection.ping_pong(), settings.keepalive);
    poll_fn(|cx| {
        if keepalive.as_mut().is_some_and(|keepalive| keepalive.poll(cx).is_ready()) {
            return Poll::Ready(());
        }
        let over = loop {
            while let Poll::Ready(Some(end)) = Pin::new(&mut streams).poll_next(cx) {
                if resets.is_excessive(end) {
                    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                }
            }
            let expired = lifetime.poll(cx).is_ready()
                || streams.is_empty() && idle.poll(cx).is_ready()
                || settings.max_requests.is_some_and(|max| served >= max);
            if !draining && (expired || drain.poll_announced(cx).is_ready()) {
                draining = true;
                connection.graceful_shutdown();
            }
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    served += 1;
                    idle.reset();
                    streams.push(serve_stream(&service, &settings, request, respond));
                }
                Poll::Ready(Some(Err(_)) | None) => break Poll::Ready(()),
                Poll::Pending => break Poll::Pending,
            }
        };
        // The streams may have queued frames while the connection was polled.
        match flusher.poll(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(())) | Poll::Pending => over,
        }
    })
    .await;
    drop(streams);
    drop(poll_fn(|cx| flusher.poll(cx)).await);
}

/// Limits of the crate that a hostile peer meets: resets and unsent frames end the connection with
/// GOAWAY(ENHANCE_YOUR_CALM) (CVE-2023-44487, CVE-2025-8671).
fn builder(settings: &Settings) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(settings.max_concurrent_streams)
        .initial_window_size(settings.initial_stream_window_size)
        .initial_connection_window_size(settings.initial_connection_window_size)
        .max_header_list_size(settings.max_header_list_size)
        .max_send_buffer_size(256 * 1024)
        .max_pending_accept_reset_streams(100)
        .max_local_error_reset_streams(Some(100));
    if settings.allow_connect {
        builder.enable_connect_protocol();
    }
    builder
}

/// One stream: request in, response out. Ends early when the client resets it.
async fn serve_stream<S: Service>(
    service: &S,
    settings: &Settings,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> StreamEnd {
    let begun = Instant::now();
    let response = match from_wire(request, settings.max_headers) {
        Ok(mut request) => {
            let signal = expectation(&mut request, settings, &mut respond);
            // Boxed: the stream itself is moved into the set of streams, and would carry it along.
            let mut call = Box::pin(service.call(request));
            let outcome = poll_fn(|cx| {
                let polled = call.as_mut().poll(cx);
                if signal.as_ref().is_some_and(ContinueSignal::take) {
                    send_continue(&mut respond);
                }
                match polled {
                    Poll::Ready(response) => Poll::Ready(Some(response)),
                    Poll::Pending => respond.poll_reset(cx).map(|_| None),
                }
            });
            match outcome.await {
                Some(response) => response,
                None => return StreamEnd::Reset(begun.elapsed()),
            }
        }
        Err(refusal) => {
            let (violation, head) = *refusal;
            service.reject(&violation, Some(&head))
        }
    };
    match send_response(respond, response).await {
        Sent::Ended => StreamEnd::Served,
        Sent::Reset => StreamEnd::Reset(begun.elapsed()),
    }
}

/// A body up to this, in bytes, is handed to the crate as it is; it waits there for the client's window. With the
/// limit on concurrent streams this bounds what a client that does not read makes us hold.
const MAX_HANDED_OVER: usize = 16 * 1024;

/// What came of a response.
enum Sent {
    /// It was sent, or broken off by this side.
    Ended,
    /// The client reset the stream meanwhile.
    Reset,
}

/// Answers `expect: 100-continue` at once, as Envoy does, or lets the upstream decide.
fn expectation(
    request: &mut Request<Body>,
    settings: &Settings,
    respond: &mut SendResponse<Bytes>,
) -> Option<ContinueSignal> {
    let expects = |value: &HeaderValue| expect::is_continue(value.as_bytes());
    if !request.headers().get(header::EXPECT).is_some_and(expects) {
        return None;
    }
    if settings.proxy_100_continue {
        let signal = ContinueSignal::default();
        request.extensions_mut().insert(signal.clone());
        return Some(signal);
    }
    request.headers_mut().remove(header::EXPECT);
    send_continue(respond);
    None
}

fn send_continue(respond: &mut SendResponse<Bytes>) {
    let mut interim = Response::new(());
    *interim.status_mut() = StatusCode::CONTINUE;
    // fails only when the stream is gone, which the next poll of it tells
    drop(respond.send_informational(interim));
}

async fn send_response(mut respond: SendResponse<Bytes>, response: Response<Body>) -> Sent {
    let (mut head, body) = response.into_parts();
    if head.extensions.get::<Abort>().is_some() {
        respond.send_reset(Reason::INTERNAL_ERROR);
        return Sent::Ended;
    }
    // An upgrade that succeeded is a 200 in HTTP/2 (RFC 8441 §5).
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        head.status = StatusCode::OK;
    }
    drop(hop::strip(&mut head.headers));
    head.version = Version::HTTP_2;
    head.extensions.clear();
    let empty = body.is_empty();
    let Ok(mut stream) = respond.send_response(Response::from_parts(head, ()), empty) else {
        return Sent::Reset;
    };
    if empty {
        return Sent::Ended;
    }
    let body = match body {
        Body::Full(bytes) if bytes.len() <= MAX_HANDED_OVER => {
            return stream.send_data(bytes, true).map_or(Sent::Reset, |()| Sent::Ended);
        }
        body => body,
    };
    let mut upload = Upload::new(stream, body);
    poll_fn(|cx| match upload.poll(cx) {
        Poll::Ready(Err(UploadError::Stream(_))) => Poll::Ready(Sent::Reset),
        Poll::Ready(_) => Poll::Ready(Sent::Ended),
        Poll::Pending => upload.poll_reset(cx).map(|_| Sent::Reset),
    })
    .await
}

/// Response extension: no answer at all, the stream is reset.
#[derive(Debug, Clone, Copy)]
pub struct Abort;

/// Brings a request into the form of the seam (see [`crate::codec`]).
fn from_wire(
    request: Request<RecvStream>,
    max_headers: usize,
) -> Result<Request<Body>, Box<(Violation, Parts)>> {
    let (mut head, stream) = request.into_parts();
    let checked = admit(&mut head, max_headers);
    head.uri = match head.uri.into_parts().path_and_query {
        Some(path) => Uri::from(path),
        None => Uri::default(),
    };
    if let Err(violation) = checked {
        return Err(Box::new((violation, head)));
    }
    let body = if stream.is_end_stream() {
        Body::Empty
    } else {
        let length = head
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        Body::from_stream(RecvBody::of_request(stream, length))
    };
    Ok(Request::from_parts(head, body))
}

/// Checks what the crate does not, and rewrites the fields that HTTP/2 has in its own form.
fn admit(head: &mut Parts, max_headers: usize) -> Result<(), Violation> {
    if head.headers.len() > max_headers {
        return Err(Violation::TooManyHeaders);
    }
    // the crate compares the body with the first only
    if head.headers.get_all(header::CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(Violation::Codec("more than one content-length"));
    }
    if let Some(authority) = head.uri.authority() {
        let host =
            HeaderValue::from_str(authority.as_str()).map_err(|_| Violation::InvalidAuthority)?;
        head.headers.insert(header::HOST, host);
    }
    match head.headers.get(header::HOST) {
        None => return Err(Violation::MissingHost),
        Some(host) if !is_authority(host.as_bytes()) => return Err(Violation::InvalidAuthority),
        Some(_) => {}
    }
    if head.method == Method::CONNECT {
        let protocol = match head.extensions.remove::<h2::ext::Protocol>() {
            Some(protocol) => {
                head.method = Method::GET;
                HeaderValue::from_str(protocol.as_str())
                    .map_err(|_| Violation::InvalidCharacters)?
            }
            None => HeaderValue::from_static("CONNECT"),
        };
        head.extensions.insert(Upgrade { protocol });
    }
    join_cookies(&mut head.headers);
    Ok(())
}

/// Cookie crumbs become one field (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let crumbs: Vec<_> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// A timer that costs nothing until it is polled.
struct Timer {
    after: Option<Duration>,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Timer {
    fn new(after: Option<Duration>) -> Self {
        Self { after, sleep: None }
    }

    /// Starts again with the next poll.
    fn reset(&mut self) {
        self.sleep = None;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(after) = self.after else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
        sleep.as_mut().poll(cx)
    }
}
