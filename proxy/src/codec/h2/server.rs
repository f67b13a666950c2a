//! The server side: every stream is served inside the connection's own task.
//!
//! One turn of the task runs the exchanges (they queue frames), then reads (which wakes exchanges and begins
//! new ones) until there is nothing more to do, and then writes everything at once.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use futures_util::Stream as _;
use futures_util::stream::FuturesUnordered;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use tokio::time::Instant;

use palanquin_filter_api::Body;

use super::body::RecvBody;
use super::connection::Config;
use super::connection::Connection;
use super::connection::Fatal;
use super::connection::Incoming;
use super::connection::Role;
use super::frame::Reason;
use super::head::Limits;
use super::keepalive::Keepalive;
use super::keepalive::KeepaliveSettings;
use super::resets::ResetWatch;
use super::resets::StreamEnd;
use super::socket::Read;
use super::socket::Socket;
use super::stream_ref::StreamRef;
use super::streams::Failure;
use super::upload::Upload;
use super::upload::UploadError;
use crate::codec::ContinueSignal;
use crate::codec::Drain;
use crate::codec::Io;
use crate::codec::Service;
use crate::codec::expect;
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

impl Settings {
    fn config(&self) -> Config {
        Config {
            max_streams: self.max_concurrent_streams,
            stream_window: self.initial_stream_window_size,
            connection_window: self.initial_connection_window_size,
            head: Limits { bytes: self.max_header_list_size as usize, fields: self.max_headers },
            extended_connect: self.allow_connect,
        }
    }
}

/// Serves `io` until the client is gone, the connection is drained, or it broke the protocol.
pub async fn serve<T: Io, S: Service>(io: T, settings: Rc<Settings>, service: S, drain: Drain) {
    let connection = Connection::new(Role::Server, settings.config(), std::time::Instant::now());
    let mut socket = Socket::new(io);
    let mut exchanges = FuturesUnordered::new();
    let mut served: u32 = 0;
    let mut resets = ResetWatch::default();
    let mut is_ending = false;
    let mut idle = Timer::new(settings.idle_timeout);
    let mut lifetime = Timer::new(settings.max_duration);
    let mut keepalive = settings.keepalive.map(Keepalive::new);
    poll_fn(|cx| {
        connection.borrow_mut().set_driver(cx);
        let mut turn = 0;
        let over = loop {
            while let Poll::Ready(Some(end)) = Pin::new(&mut exchanges).poll_next(cx) {
                calm_down(&connection, &mut resets, end);
            }
            if let Some(keepalive) = &mut keepalive
                && keepalive.poll(&connection, cx).is_ready()
            {
                return Poll::Ready(());
            }
            let expired = lifetime.poll(cx).is_ready()
                || exchanges.is_empty() && idle.poll(cx).is_ready()
                || settings.max_requests.is_some_and(|max| served >= max);
            if !is_ending && (expired || drain.poll_announced(cx).is_ready()) {
                is_ending = true;
                connection.borrow_mut().announce_end();
            }
            if is_ending && connection.borrow().pongs.end {
                connection.borrow_mut().end();
            }
            if is_over(&connection, exchanges.is_empty()) {
                break Poll::Ready(());
            }
            match socket.poll_read(&connection, &mut turn, cx) {
                Poll::Pending => break Poll::Pending,
                Poll::Ready(Read::Some) => {}
                Poll::Ready(Read::End) => {
                    connection.borrow_mut().close(Failure::Closed);
                    break Poll::Ready(());
                }
                Poll::Ready(Read::Fault(fatal)) => connection.borrow_mut().abort(fatal),
            }
            let incoming = std::mem::take(&mut connection.borrow_mut().incoming);
            for incoming in incoming {
                let stream = StreamRef::new(Rc::clone(&connection), incoming.stream);
                if stream.has_failed() {
                    calm_down(&connection, &mut resets, StreamEnd::Reset(Duration::ZERO));
                    continue;
                }
                served = served.saturating_add(1);
                idle.reset();
                exchanges.push(serve_stream(&service, &settings, incoming, stream));
            }
        };
        match socket.poll_flush(&connection, cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(())) | Poll::Pending => over,
        }
    })
    .await;
    // Who is not answered any more is dropped, with the frames that tells its client.
    connection.borrow_mut().close(Failure::Closed);
    drop(exchanges);
    if poll_fn(|cx| socket.poll_flush(&connection, cx)).await.is_ok() {
        drop(poll_fn(|cx| socket.poll_shutdown(cx)).await);
    }
}

/// True when there is nothing more to serve.
fn is_over(connection: &RefCell<Connection>, is_idle: bool) -> bool {
    let connection = connection.borrow();
    connection.is_closed
        || is_idle
            && (connection.said_goaway.is_some() || connection.heard_goaway)
            && connection.incoming.is_empty()
}

fn calm_down(connection: &RefCell<Connection>, resets: &mut ResetWatch, end: StreamEnd) {
    if resets.is_excessive(end) {
        let fatal = Fatal(Reason::ENHANCE_YOUR_CALM, "too many streams were reset");
        connection.borrow_mut().abort(fatal);
    }
}

/// One stream: request in, response out. Ends early when the client resets it.
async fn serve_stream<S: Service>(
    service: &S,
    settings: &Settings,
    incoming: Incoming,
    stream: StreamRef,
) -> StreamEnd {
    let begun = Instant::now();
    let Incoming { head, violation, content_length, .. } = incoming;
    let response = if let Some(violation) = violation {
        let (head, ()) = head.into_parts();
        service.reject(&violation, Some(&head))
    } else {
        let body = request_body(&stream, content_length);
        let mut request = head.map(|()| body);
        let signal = expectation(&mut request, settings, &stream);
        // Boxed: the exchange itself is moved into the set of exchanges, and would carry it along.
        let mut call = Box::pin(service.call(request));
        let outcome = poll_fn(|cx| {
            let polled = call.as_mut().poll(cx);
            if signal.as_ref().is_some_and(ContinueSignal::take) {
                stream.send_interim("100");
            }
            match polled {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => stream.poll_failure(cx).map(|_| None),
            }
        });
        match outcome.await {
            Some(response) => response,
            None => return StreamEnd::Reset(begun.elapsed()),
        }
    };
    match send_response(stream, response).await {
        Sent::Ended => StreamEnd::Served,
        Sent::Reset => StreamEnd::Reset(begun.elapsed()),
    }
}

/// The body of a request. One of a known length that is here already is no stream; towards HTTP/1 a body without
/// a length stays one, and is framed as such.
fn request_body(stream: &StreamRef, content_length: Option<u64>) -> Body {
    if stream.is_drained() {
        return Body::Empty;
    }
    if content_length.is_some()
        && let Some(whole) = stream.take_whole()
    {
        return Body::from(whole);
    }
    Body::from_stream(RecvBody::of_request(stream.clone(), content_length))
}

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
    stream: &StreamRef,
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
    stream.send_interim("100");
    None
}

async fn send_response(stream: StreamRef, response: Response<Body>) -> Sent {
    let (mut head, body) = response.into_parts();
    if head.extensions.get::<Abort>().is_some() {
        stream.reset(Reason::INTERNAL_ERROR);
        return Sent::Ended;
    }
    // An upgrade that succeeded is a 200 in HTTP/2 (RFC 8441 section 5).
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        head.status = StatusCode::OK;
    }
    drop(hop::strip(&mut head.headers));
    let empty = body.is_empty();
    if stream.respond(head.status.as_str(), &head.headers, empty).is_err() {
        return Sent::Reset;
    }
    if empty {
        return Sent::Ended;
    }
    let mut upload = Upload::new(stream, body);
    poll_fn(|cx| match upload.poll(cx) {
        Poll::Ready(Err(UploadError::Stream(_))) => Poll::Ready(Sent::Reset),
        Poll::Ready(_) => Poll::Ready(Sent::Ended),
        Poll::Pending => upload.poll_failure(cx).map(|_| Sent::Reset),
    })
    .await
}

/// Response extension: no answer at all, the stream is reset.
#[derive(Debug, Clone, Copy)]
pub struct Abort;

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
