//! A downstream connection: reads a request, calls the service, writes the response, again.
//!
//! One task, nothing spawned. While the service works the read side is watched, so that a client that
//! goes away drops the service's future and with it the upstream request. Between requests the
//! connection holds no buffer and one timer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Version;
use http::header;
use http::response::Parts;
use tokio::time::Instant;

use palanquin_filter_api::Body;

use crate::codec::ContinueSignal;
use crate::codec::Drain;
use crate::codec::Io;
use crate::codec::Meter;
use crate::codec::Service;
use crate::codec::Violation;

use super::encode;
use super::encode::ResponseContext;
use super::out::Output;
use super::parse::Refusal;
use super::parse::RequestFraming;
use super::parse::RequestHead;
use super::parse::parse_request;
use super::pump::Pump;
use super::pump::PumpError;
use super::settings::Settings;
use super::timer::LazyTimer;
use super::wire;
use super::wire::Watch;
use super::wire::Wire;

/// Bound of an orderly shutdown when `delayed_close_timeout` is off.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How a downstream connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// A response could not be completed; the client sees a truncated message.
    Aborted,
    /// The client closed the connection between requests.
    ClientClosed,
    /// The client went away within a request.
    ClientGone,
    /// The proxy closed it after a response that said so.
    Closed,
    /// Closed without a request, because the listener drains.
    Drained,
    /// `idle_timeout` passed without a request.
    Idle,
    /// What the client sent was refused.
    Refused(Violation),
    /// The client did not take a response in time.
    Stalled,
    /// The connection became a tunnel, which has ended.
    Tunnel,
}

/// Serves one downstream connection to its end.
///
/// `meter` is reset at each request;
/// the service may keep a clone. Dropping the future closes the connection at once.
pub async fn serve<T: Io, S: Service>(
    io: T,
    settings: Rc<Settings>,
    service: S,
    drain: Drain,
    meter: Rc<Meter>,
) -> Ended {
    let wire = Wire::new(io, Rc::clone(&meter), settings.trailers);
    let mut connection = Connection {
        wire: Rc::new(RefCell::new(wire)),
        out: Output::default(),
        timer: LazyTimer::default(),
        settings,
        drain,
        meter,
        served: 0,
    };
    loop {
        match connection.next().await {
            Next::Request(head) => {
                if let Some(ended) = connection.exchange(head, &service).await {
                    return ended;
                }
            }
            Next::Refused(refusal) => {
                let response = service.reject(&refusal.violation, refusal.parts.as_deref());
                return connection.refuse(refusal.violation, response).await;
            }
            Next::Ended(ended) => return ended,
        }
    }
}

struct Connection<T> {
    wire: Rc<RefCell<Wire<T>>>,
    out: Output,
    timer: LazyTimer,
    settings: Rc<Settings>,
    drain: Drain,
    meter: Rc<Meter>,
    served: u32,
}

/// What comes next on a connection between requests.
#[expect(clippy::large_enum_variant, reason = "moved once; a box would cost each request more")]
enum Next {
    Ended(Ended),
    Refused(Refusal),
    Request(RequestHead),
}

/// What came of a service's future.
enum Called {
    Fault(Violation),
    Gone,
    Response(Response<Body>),
}

/// What came of writing a response.
enum Written {
    Gone,
    Sent(Result<(), PumpError>),
    Stalled,
}

impl<T: Io> Connection<T> {
    /// Waits for the next request head.
    async fn next(&mut self) -> Next {
        let mut wait = Wait { since: Instant::now(), first_byte: None, seen: 0 };
        let next = poll_fn(|cx| self.poll_next(&mut wait, cx)).await;
        match &next {
            Next::Request(head) => {
                self.meter.reset();
                Meter::add(&self.meter.received, head.bytes);
                Meter::add(&self.meter.received_fields, head.field_bytes);
            }
            Next::Refused(_) => {
                self.meter.reset();
                Meter::add(&self.meter.received, self.wire.borrow().input.len());
            }
            Next::Ended(_) => {}
        }
        next
    }

    fn poll_next(&mut self, wait: &mut Wait, cx: &mut Context<'_>) -> Poll<Next> {
        let mut wire = self.wire.borrow_mut();
        let wire = &mut *wire;
        loop {
            let length = wire.input.len();
            if wait.is_worth_parsing(wire.input.data(), self.settings.limits.max_bytes) {
                match parse_request(wire.input.data(), &self.settings) {
                    Ok(Some(head)) => {
                        wire.input.skip(head.bytes);
                        return Poll::Ready(Next::Request(head));
                    }
                    Ok(None) => {}
                    Err(refusal) => return Poll::Ready(Next::Refused(refusal)),
                }
            }
            wait.seen = length;
            match wire.input.poll_fill(&mut wire.io, cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(0) | Err(_)) if length == 0 => {
                    return Poll::Ready(Next::Ended(Ended::ClientClosed));
                }
                Poll::Ready(Ok(0) | Err(_)) => {
                    return Poll::Ready(Next::Ended(Ended::ClientGone));
                }
                Poll::Ready(Ok(_)) => {}
            }
        }
        wire.input.compact();
        if wire.input.is_empty() {
            if self.drain.poll_closing(cx).is_ready() {
                return Poll::Ready(Next::Ended(Ended::Drained));
            }
            let deadline = self.settings.idle_timeout.map(|timeout| wait.since + timeout);
            self.timer.poll(deadline, cx).map(|()| Next::Ended(Ended::Idle))
        } else {
            let first_byte = *wait.first_byte.get_or_insert_with(Instant::now);
            let deadline = self.settings.request_headers_timeout.map(|limit| first_byte + limit);
            self.timer.poll(deadline, cx).map(|()| Next::Refused(Violation::HeadTimeout.into()))
        }
    }

    /// Serves one request. `Some` when the connection has ended.
    async fn exchange<S: Service>(&mut self, head: RequestHead, service: &S) -> Option<Ended> {
        let RequestHead { parts, framing, keep_alive, expects_continue, .. } = head;
        let is_connect = parts.method == Method::CONNECT;
        let is_head = parts.method == Method::HEAD;
        let version = parts.version;
        self.served = self.served.saturating_add(1);
        let body = wire::request_body(&self.wire, framing, &self.settings);
        let signal = parts.extensions.get::<ContinueSignal>().cloned();
        if expects_continue && signal.is_none() {
            // as Envoy: the proxy asks for the body itself, whatever the upstream would say
            self.out.front().extend_from_slice(CONTINUE);
        }
        let response = match self.call(service, Request::from_parts(parts, body), signal).await {
            Called::Response(response) => response,
            Called::Gone => return Some(Ended::ClientGone),
            Called::Fault(violation) => {
                let response = service.reject(&violation, None);
                return Some(self.refuse(violation, response).await);
            }
        };

        let (parts, body) = response.into_parts();
        let accepts = match parts.status {
            StatusCode::SWITCHING_PROTOCOLS => !is_connect,
            status => is_connect && status.is_success(),
        };
        let is_tunnel = accepts && framing == RequestFraming::Upgrade;
        if parts.status.is_informational() && !is_tunnel {
            // not a final response, and nobody asked to switch: there is nothing honest to write
            return Some(Ended::Aborted);
        }
        let is_complete = self.wire.borrow().is_request_complete();
        // as Envoy: a response that overtakes the request's body ends the connection, so that no
        // byte of that body is ever taken for the next request
        let close = !keep_alive
            || !is_complete
            || self.drain.is_announced()
            || self.settings.max_requests.is_some_and(|max| self.served >= max)
            || asks_to_close(&parts);
        let trailers = self.settings.trailers;
        let cx = ResponseContext { version, is_head, is_tunnel, close, trailers };
        let (written, close) = self.write(&parts, body, cx).await;
        self.wire.borrow_mut().end_exchange();
        match written {
            Written::Gone => Some(Ended::ClientGone),
            Written::Stalled => Some(Ended::Stalled),
            Written::Sent(Err(PumpError::Io)) => Some(Ended::ClientGone),
            Written::Sent(Err(PumpError::Body(_))) => Some(Ended::Aborted),
            Written::Sent(Ok(())) if is_tunnel => {
                self.shut_down(Linger::No).await;
                Some(Ended::Tunnel)
            }
            Written::Sent(Ok(())) if close => {
                let is_quiet = is_complete && self.wire.borrow().input.is_empty();
                self.shut_down(if is_quiet { Linger::No } else { Linger::Yes }).await;
                Some(Ended::Closed)
            }
            Written::Sent(Ok(())) => None,
        }
    }

    /// Runs the service's future and watches the client.
    async fn call<S: Service>(
        &mut self,
        service: &S,
        request: Request<Body>,
        signal: Option<ContinueSignal>,
    ) -> Called {
        let mut future = pin!(service.call(request));
        poll_fn(|cx| {
            loop {
                let polled = future.as_mut().poll(cx);
                if signal.as_ref().is_some_and(ContinueSignal::take) {
                    self.out.front().extend_from_slice(CONTINUE);
                }
                let mut wire = self.wire.borrow_mut();
                let wire = &mut *wire;
                // whatever the service made of its broken body, the client hears what it did wrong
                if let Some(violation) = wire.fault.take() {
                    return Poll::Ready(Called::Fault(violation));
                }
                if let Poll::Ready(response) = polled {
                    return Poll::Ready(Called::Response(response));
                }
                match wire.poll_watch(cx) {
                    Poll::Ready(Watch::Gone) => return Poll::Ready(Called::Gone),
                    Poll::Ready(Watch::Readable) => continue,
                    Poll::Pending => {}
                }
                return match self.out.poll_flush(&mut wire.io, &self.meter, cx) {
                    Poll::Ready(Err(_)) => Poll::Ready(Called::Gone),
                    _ => Poll::Pending,
                };
            }
        })
        .await
    }

    /// Writes a response. Returns how it went and whether the connection must end.
    async fn write(&mut self, parts: &Parts, body: Body, cx: ResponseContext) -> (Written, bool) {
        let head = encode::response_head(self.out.front(), parts, &body, cx);
        self.meter.sent_fields.set(head.field_bytes as u64);
        let mut pump = Pump::new(body, head.encoder);
        if cx.is_tunnel {
            // the answer goes first, then the client's bytes are let through
            let flushed = poll_fn(|cx| {
                let mut wire = self.wire.borrow_mut();
                self.out.poll_flush(&mut wire.io, &self.meter, cx)
            });
            if flushed.await.is_err() {
                return (Written::Gone, true);
            }
            self.wire.borrow_mut().open_gate();
        }
        let mut progress = (self.meter.sent.get(), None);
        let written = poll_fn(|cx| self.poll_write(&mut pump, &mut progress, cx)).await;
        if matches!(written, Written::Sent(Err(PumpError::Body(_)))) && pump.is_raw() {
            self.wire.borrow_mut().io.abort();
        }
        (written, head.close)
    }

    fn poll_write(
        &mut self,
        pump: &mut Pump,
        progress: &mut (u64, Option<Instant>),
        cx: &mut Context<'_>,
    ) -> Poll<Written> {
        loop {
            let sent = pump.poll_send(&mut self.out, cx, |out, cx| {
                let mut wire = self.wire.borrow_mut();
                out.poll_flush(&mut wire.io, &self.meter, cx)
            });
            if let Poll::Ready(result) = sent {
                return Poll::Ready(Written::Sent(result));
            }
            let mut wire = self.wire.borrow_mut();
            if wire.fault.take().is_some() {
                return Poll::Ready(Written::Gone);
            }
            match wire.poll_watch(cx) {
                Poll::Ready(Watch::Gone) => return Poll::Ready(Written::Gone),
                Poll::Ready(Watch::Readable) => {}
                Poll::Pending => break,
            }
        }
        if self.out.is_empty() {
            progress.1 = None;
            return Poll::Pending;
        }
        let sent = self.meter.sent.get();
        if progress.0 != sent || progress.1.is_none() {
            *progress = (sent, Some(Instant::now()));
        }
        let deadline =
            progress.1.zip(self.settings.write_stall_timeout).map(|(at, limit)| at + limit);
        self.timer.poll(deadline, cx).map(|()| Written::Stalled)
    }

    /// Answers what cannot be served and ends the connection.
    async fn refuse(&mut self, violation: Violation, response: Response<Body>) -> Ended {
        let (parts, body) = response.into_parts();
        let cx = ResponseContext {
            version: Version::HTTP_11,
            is_head: false,
            is_tunnel: false,
            close: true,
            trailers: self.settings.trailers,
        };
        {
            // nothing more is understood: no byte that follows is watched or read as a body
            let mut wire = self.wire.borrow_mut();
            wire.end_exchange();
            wire.ignore_input();
        }
        if let (Written::Sent(Ok(())), _) = self.write(&parts, body, cx).await {
            self.shut_down(Linger::Yes).await;
        }
        Ended::Refused(violation)
    }

    /// Ends the connection in order. With [`Linger::Yes`] it waits until the client has closed too:
    /// closing with unread bytes makes the kernel send a reset, which can destroy the response on its
    /// way. Bounded by `delayed_close_timeout`.
    async fn shut_down(&mut self, linger: Linger) {
        let timeout = self.settings.delayed_close_timeout;
        let deadline = Instant::now() + timeout.unwrap_or(SHUTDOWN_TIMEOUT);
        let mut is_shut = false;
        poll_fn(|cx| {
            if !is_shut {
                match wire::poll_shutdown(&self.wire, cx) {
                    Poll::Ready(Ok(())) => is_shut = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            if is_shut {
                let lingers = linger == Linger::Yes && timeout.is_some();
                if !lingers || self.wire.borrow_mut().poll_discard(cx).is_ready() {
                    return Poll::Ready(());
                }
            }
            self.timer.poll(Some(deadline), cx)
        })
        .await;
    }
}

/// Whether to wait for the client before closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Linger {
    No,
    Yes,
}

/// The state of waiting for a head.
struct Wait {
    since: Instant,
    first_byte: Option<Instant>,
    /// Bytes that were already looked at.
    seen: usize,
}

impl Wait {
    /// A head can only become complete with a line feed, or too large. Parsing it again for anything
    /// else would let a client that sends single bytes cost quadratic time.
    fn is_worth_parsing(&self, data: &[u8], max_bytes: usize) -> bool {
        let fresh = &data[self.seen.min(data.len())..];
        !fresh.is_empty() && (self.seen == 0 || fresh.contains(&b'\n') || data.len() >= max_bytes)
    }
}

fn asks_to_close(parts: &Parts) -> bool {
    parts.headers.get_all(header::CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|b| *b == b',')
            .any(|o| o.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}
