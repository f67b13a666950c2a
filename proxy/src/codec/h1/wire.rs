//! The state of a downstream connection that its task and the body of its current request share.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::task::ready;

use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;

use palanquin_filter_api::Body;
use palanquin_filter_api::BodyError;

use crate::codec::Io;
use crate::codec::Meter;
use crate::codec::Violation;

use super::buffer::Input;
use super::chunked::ChunkDecoder;
use super::chunked::Piece;
use super::decode::BodyDecoder;
use super::parse::RequestFraming;
use super::settings::Settings;
use super::settings::Trailers;

/// Bytes read ahead of the request being served: to notice that the client went away, and for
/// pipelined requests. Reading stops above it.
const READ_AHEAD_BYTES: usize = 16 * 1024;

/// Whether raw bytes may be handed over as the body of an upgrade request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Closed,
    Open,
}

/// The read half of a downstream connection.
#[derive(Debug)]
pub(super) struct Wire<T> {
    pub(super) io: T,
    pub(super) input: Input,
    pub(super) meter: Rc<Meter>,
    /// The request broke its body's framing.
    pub(super) fault: Option<Violation>,
    decoder: BodyDecoder,
    gate: Gate,
    is_eof: bool,
    is_ignored: bool,
    /// Counts requests, so that a body kept beyond its exchange does not read the next one's bytes.
    exchange: u64,
    body_waker: Option<Waker>,
    trailers: Trailers,
}

/// What the connection's task learns from reading ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    /// The client closed the connection, or its side of it: Envoy makes no difference.
    Gone,
    /// Bytes arrived that the request's body may be waiting for.
    Readable,
}

impl<T: Io> Wire<T> {
    pub(super) fn new(io: T, meter: Rc<Meter>, trailers: Trailers) -> Self {
        Self {
            io,
            input: Input::default(),
            meter,
            fault: None,
            decoder: BodyDecoder::Done,
            gate: Gate::Closed,
            is_eof: false,
            is_ignored: false,
            exchange: 0,
            body_waker: None,
            trailers,
        }
    }

    /// True when no byte of the current request is left to read.
    pub(super) fn is_request_complete(&self) -> bool {
        self.decoder.is_done()
    }

    /// Ends the current exchange: a body that still exists fails from now on.
    pub(super) fn end_exchange(&mut self) {
        self.exchange += 1;
        self.body_waker = None;
    }

    /// Reads nothing more into requests: the connection is about to end.
    pub(super) fn ignore_input(&mut self) {
        self.is_ignored = true;
        self.input.clear();
    }

    /// Lets the body of an upgrade request flow.
    pub(super) fn open_gate(&mut self) {
        self.gate = Gate::Open;
        self.wake_body();
    }

    /// Reads ahead while the service works.
    pub(super) fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<Watch> {
        if self.gate == Gate::Open || self.is_ignored {
            return Poll::Pending;
        }
        if self.is_eof {
            return Poll::Ready(Watch::Gone);
        }
        while self.input.len() < READ_AHEAD_BYTES {
            match self.input.poll_fill(&mut self.io, cx) {
                Poll::Pending => {
                    self.input.compact();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0) | Err(_)) => {
                    self.is_eof = true;
                    return Poll::Ready(Watch::Gone);
                }
                Poll::Ready(Ok(_)) if !self.is_request_complete() => {
                    self.wake_body();
                    return Poll::Ready(Watch::Readable);
                }
                Poll::Ready(Ok(_)) => {}
            }
        }
        Poll::Pending
    }

    /// Reads and drops what still comes, until the client closes. For a close that loses nothing.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.input.clear();
            match ready!(self.input.poll_fill(&mut self.io, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }

    fn wake_body(&mut self) {
        if let Some(waker) = self.body_waker.take() {
            waker.wake();
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if matches!(self.decoder, BodyDecoder::UntilClose) && self.gate == Gate::Closed {
            self.remember(cx.waker());
            return Poll::Pending;
        }
        loop {
            let before = self.input.len();
            let piece = self.decoder.next(&mut self.input);
            Meter::add(&self.meter.received, before - self.input.len());
            match piece {
                Ok(Some(Piece::Data(bytes))) => {
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Ok(Some(Piece::Trailers(map))) if self.trailers == Trailers::Forward => {
                    return Poll::Ready(Some(Ok(Frame::trailers(map))));
                }
                Ok(Some(Piece::Trailers(_) | Piece::End)) => return Poll::Ready(None),
                Ok(None) if self.is_eof => return self.end_of_stream(),
                Ok(None) => {}
                Err(why) => {
                    self.fault = Some(Violation::Codec(why));
                    return Poll::Ready(Some(Err(BodyError::Protocol(why))));
                }
            }
            match self.input.poll_fill(&mut self.io, cx) {
                Poll::Pending => {
                    self.input.compact();
                    self.remember(cx.waker());
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) => self.is_eof = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) if self.gate == Gate::Open => {
                    self.is_eof = true;
                    return Poll::Ready(Some(Err(BodyError::Disconnected)));
                }
                Poll::Ready(Err(_)) => self.is_eof = true,
            }
        }
    }

    /// A tunnel's end is its body's. Any other request that stops short has no one left to answer:
    /// its body waits until the connection's task, which polled it, looks at the connection again and
    /// drops the exchange; an error would have the service answer, and log an answer, nobody reads.
    fn end_of_stream(&mut self) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if matches!(self.decoder, BodyDecoder::UntilClose) {
            self.decoder = BodyDecoder::Done;
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    /// Keeps the waker of whoever waits for the body: the task's own reading ahead replaces it in the
    /// transport, and it need not be the task's.
    fn remember(&mut self, waker: &Waker) {
        match &mut self.body_waker {
            Some(known) if known.will_wake(waker) => {}
            other => *other = Some(waker.clone()),
        }
    }
}

/// Makes the body of the next request, whose head was just taken from `input`.
pub(super) fn request_body<T: Io>(
    wire: &Rc<RefCell<Wire<T>>>,
    framing: RequestFraming,
    settings: &Settings,
) -> Body {
    let mut shared = wire.borrow_mut();
    shared.end_exchange();
    shared.decoder = match framing {
        RequestFraming::Empty => BodyDecoder::Done,
        RequestFraming::Length(length) if length <= shared.input.len() as u64 => {
            let count = usize::try_from(length).unwrap_or(usize::MAX);
            Meter::add(&shared.meter.received, count);
            shared.decoder = BodyDecoder::Done;
            return Body::from(shared.input.take(count));
        }
        RequestFraming::Length(length) => BodyDecoder::Length(length),
        RequestFraming::Chunked => BodyDecoder::Chunked(ChunkDecoder::new(settings.limits)),
        RequestFraming::Upgrade => BodyDecoder::UntilClose,
    };
    if framing == RequestFraming::Empty {
        return Body::Empty;
    }
    let exchange = shared.exchange;
    drop(shared);
    Body::from_stream(RequestBody { wire: Rc::clone(wire), exchange })
}

/// Half-closes the connection after everything was written.
pub(super) fn poll_shutdown<T: Io>(
    wire: &RefCell<Wire<T>>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    Pin::new(&mut wire.borrow_mut().io).poll_shutdown(cx)
}

/// A request body that reads from its connection when it is polled.
struct RequestBody<T> {
    wire: Rc<RefCell<Wire<T>>>,
    exchange: u64,
}

impl<T: Io> http_body::Body for RequestBody<T> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut wire = self.wire.borrow_mut();
        if wire.exchange == self.exchange {
            wire.poll_body(cx)
        } else {
            Poll::Ready(Some(Err(BodyError::Disconnected)))
        }
    }

    fn is_end_stream(&self) -> bool {
        let wire = self.wire.borrow();
        wire.exchange == self.exchange && wire.is_request_complete()
    }

    fn size_hint(&self) -> SizeHint {
        match self.wire.borrow().decoder {
            BodyDecoder::Length(left) => SizeHint::with_exact(left),
            BodyDecoder::Done => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }
}
