//! An upstream connection: one exchange at a time, driven by whoever waits for its response.
//!
//! There is no driver task. `send` writes the request and reads the response head; what is left of the
//! request is written while the response's body is polled. A connection that is dropped is closed; one
//! whose response ended soundly is given back through [`Recycle`].

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use http::Response;
use http::StatusCode;

use palanquin_filter_api::Body;

use crate::codec::ContinueSignal;
use crate::codec::Io;
use crate::codec::Meter;
use crate::codec::Outgoing;
use crate::codec::SendError;
use crate::codec::SendErrorKind;
use crate::codec::Upgrade;

use super::buffer::Input;
use super::decode::BodyDecoder;
use super::encode;
use super::out::Output;
use super::parse_response::Asked;
use super::parse_response::ResponseHead;
use super::parse_response::parse_response;
use super::pump::Pump;
use super::pump::PumpError;
use super::response_body::ResponseBody;
use super::settings::ClientSettings;

/// Interim (1xx) responses accepted before a final one.
const MAX_INTERIM: u32 = 16;

/// Takes back a connection that can serve another request: a pool.
pub trait Recycle<T>: 'static {
    /// Called at most once, at the end of a response that leaves the connection clean.
    fn recycle(self, connection: Box<ClientConn<T>>);
}

impl<T, F: FnOnce(Box<ClientConn<T>>) + 'static> Recycle<T> for F {
    fn recycle(self, connection: Box<ClientConn<T>>) {
        self(connection);
    }
}

/// One HTTP/1.1 connection to an upstream.
#[derive(Debug)]
pub struct ClientConn<T> {
    pub(super) io: T,
    pub(super) input: Input,
    pub(super) settings: Rc<ClientSettings>,
    pub(super) meter: Rc<Meter>,
    out: Output,
    exchanges: u64,
}

impl<T: Io> ClientConn<T> {
    /// Takes a connected transport.
    pub fn new(io: T, settings: Rc<ClientSettings>) -> Self {
        Self {
            io,
            input: Input::default(),
            settings,
            meter: Rc::default(),
            out: Output::default(),
            exchanges: 0,
        }
    }

    /// The byte counts of the current exchange; reset by each [`send`](Self::send).
    pub fn meter(&self) -> &Rc<Meter> {
        &self.meter
    }

    /// Exchanges begun on this connection.
    pub fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// False when the upstream has closed the idle connection or sent bytes nobody asked for. Costs no
    /// system call unless the transport knows of something to read.
    pub fn is_usable(&mut self, cx: &mut Context<'_>) -> bool {
        self.input.is_empty() && self.input.poll_fill(&mut self.io, cx).is_pending()
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// The `host` header is written as it is. With the extension [`Upgrade`] the request asks to leave
    /// HTTP, and a 101 (2xx to CONNECT) has a body of raw bytes. Dropping the future or the body of the
    /// response closes the connection. The head is left as it is, so that the request can be sent again.
    ///
    /// # Errors
    /// [`SendError`] when no response head came. An error in the body is told by the body.
    pub async fn send<R: Recycle<T>>(
        mut self: Box<Self>,
        request: &mut Outgoing,
        recycle: R,
    ) -> Result<Response<Body>, SendError> {
        let body = request.take_body();
        let parts = &request.head;
        let upgrade = parts.extensions.get::<Upgrade>().map(|upgrade| &upgrade.protocol);
        let asked = Asked::of(&parts.method, upgrade.is_some());
        self.meter.reset();
        self.exchanges += 1;
        let trailers = self.settings.trailers;
        let head = encode::request_head(self.out.front(), parts, &body, upgrade, trailers);
        self.meter.sent_fields.set(head.field_bytes as u64);
        let mut progress = Progress {
            expectation: parts.extensions.get::<ContinueSignal>().cloned(),
            ..Progress::default()
        };
        let pump = Some(Pump::new(body, head.encoder));
        let mut exchange = Exchange { connection: self, pump, write_failed: false, closes: false };
        match poll_fn(|cx| exchange.poll_head(asked, &mut progress, cx)).await {
            Ok(head) => Ok(exchange.respond(head, recycle)),
            Err(kind) => {
                let connection = &exchange.connection;
                let has_received =
                    connection.meter.received.get() > 0 || !connection.input.is_empty();
                let reused = connection.exchanges > 1 && !has_received;
                Err(SendError { kind, reused, bytes_sent: connection.meter.sent.get() })
            }
        }
    }
}

/// A request and its response on their connection.
#[derive(Debug)]
pub(super) struct Exchange<T> {
    pub(super) connection: Box<ClientConn<T>>,
    /// What is left of the request.
    pump: Option<Pump>,
    write_failed: bool,
    /// The request was a tunnel's and has ended: the upstream is to be told.
    closes: bool,
}

/// How far the response head has come.
#[derive(Debug, Default)]
struct Progress {
    seen: usize,
    interim: u32,
    /// Of a client that waits for `100 Continue`.
    expectation: Option<ContinueSignal>,
}

impl<T: Io> Exchange<T> {
    fn poll_head(
        &mut self,
        asked: Asked,
        progress: &mut Progress,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, SendErrorKind>> {
        self.poll_request(cx)?;
        let connection = &mut *self.connection;
        loop {
            let data = connection.input.data();
            let fresh = &data[progress.seen.min(data.len())..];
            let limit = connection.settings.limits.max_bytes;
            let is_new = progress.seen == 0 || fresh.contains(&b'\n') || data.len() >= limit;
            let parsed = if is_new && !fresh.is_empty() {
                parse_response(data, asked, &connection.settings)
                    .map_err(SendErrorKind::Protocol)?
            } else {
                None
            };
            if let Some(head) = parsed {
                connection.input.skip(head.bytes);
                progress.seen = 0;
                Meter::add(&connection.meter.received, head.bytes);
                let status = head.parts.status;
                if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                    connection.meter.received_fields.set(head.field_bytes as u64);
                    return Poll::Ready(Ok(head));
                }
                progress.interim += 1;
                if status == StatusCode::CONTINUE
                    && let Some(expectation) = &progress.expectation
                {
                    expectation.raise();
                }
                if progress.interim > MAX_INTERIM {
                    return Poll::Ready(Err(SendErrorKind::Protocol("too many interim responses")));
                }
                continue;
            }
            progress.seen = data.len();
            match connection.input.poll_fill(&mut connection.io, cx) {
                // half a head is an answer that broke the protocol, not a connection that ended
                Poll::Ready(Ok(0)) if !connection.input.is_empty() => {
                    return Poll::Ready(Err(SendErrorKind::Protocol("the head ended early")));
                }
                Poll::Ready(Ok(0)) => {
                    let failed = self.write_failed;
                    return Poll::Ready(Err(if failed {
                        SendErrorKind::Reset
                    } else {
                        SendErrorKind::Closed
                    }));
                }
                Poll::Ready(Ok(_)) => {}
                // TLS without close_notify; for TCP there is no such error
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Err(SendErrorKind::Closed));
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(SendErrorKind::Reset)),
                Poll::Pending => {
                    connection.input.compact();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Writes what is left of the request. Waiting is not an outcome: the response is read meanwhile.
    /// Nor is a transport that takes no more: the upstream may have answered before it closed.
    pub(super) fn poll_request(&mut self, cx: &mut Context<'_>) -> Result<(), SendErrorKind> {
        let connection = &mut *self.connection;
        if let Some(pump) = &mut self.pump {
            let sent = pump.poll_send(&mut connection.out, cx, |out, cx| {
                out.poll_flush(&mut connection.io, &connection.meter, cx)
            });
            match sent {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) => self.closes = pump.is_raw(),
                Poll::Ready(Err(PumpError::Body(error))) => {
                    return Err(SendErrorKind::RequestBody(error));
                }
                Poll::Ready(Err(PumpError::Io)) => self.write_failed = true,
            }
            self.pump = None;
        }
        if self.closes && Pin::new(&mut connection.io).poll_shutdown(cx).is_ready() {
            self.closes = false;
        }
        Ok(())
    }

    fn respond<R: Recycle<T>>(mut self, head: ResponseHead, recycle: R) -> Response<Body> {
        let ResponseHead { parts, decoder, keep_alive, .. } = head;
        let input = &mut self.connection.input;
        let body = match decoder {
            // nothing to wait for: no stream, and the connection is free already
            BodyDecoder::Length(length) if self.pump.is_none() && length <= input.len() as u64 => {
                let count = usize::try_from(length).unwrap_or(usize::MAX);
                Meter::add(&self.connection.meter.received, count);
                let body = if count == 0 { Body::Empty } else { Body::Full(input.take(count)) };
                self.finish(keep_alive, recycle);
                body
            }
            BodyDecoder::Done if self.pump.is_none() => {
                self.finish(keep_alive, recycle);
                Body::Empty
            }
            decoder => Body::from_stream(ResponseBody::new(self, decoder, keep_alive, recycle)),
        };
        Response::from_parts(parts, body)
    }

    /// Ends the exchange after the last byte of the response: the connection is reused if nothing is
    /// left on it, in either direction, and closed otherwise.
    pub(super) fn finish<R: Recycle<T>>(self, keep_alive: bool, recycle: R) {
        let is_clean =
            self.pump.is_none() && !self.write_failed && self.connection.input.is_empty();
        if keep_alive && is_clean {
            recycle.recycle(self.connection);
        }
    }

    /// Reads more of the response. `Ok(false)` at the end of the stream.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let connection = &mut *self.connection;
        let filled = connection.input.poll_fill(&mut connection.io, cx);
        if filled.is_pending() {
            connection.input.compact();
        }
        Poll::Ready(ready!(filled).map(|count| count > 0))
    }
}
