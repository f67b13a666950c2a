//! HTTP/2 connections: many requests at a time.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;

use palanquin_filter_api::Body;
use palanquin_filter_api::BodyError;
use palanquin_filter_api::stats::cluster as stat;

use super::Sent;
use super::record::End;
use super::record::InFlight;
use super::record::Record;
use crate::codec::Outgoing;
use crate::codec::SendErrorKind;
use crate::codec::h2::ClientConn;
use crate::upstream::failure::SendFailure;

/// A connection shared by the requests of a worker.
pub(super) struct Multiplexed {
    connection: ClientConn,
    pub(super) record: Rc<Record>,
    streams: Cell<u32>,
    limit: u32,
    /// Since when no request is on it.
    idle_since: Cell<Instant>,
}

impl Multiplexed {
    pub(super) fn new(
        connection: ClientConn,
        record: Rc<Record>,
        limit: u32,
        now: Instant,
    ) -> Rc<Self> {
        let (streams, idle_since) = (Cell::new(0), Cell::new(now));
        Rc::new(Self { connection, record, streams, limit, idle_since })
    }

    /// False when it is closed or the peer said GOAWAY.
    pub(super) fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// True when one more stream fits.
    pub(super) fn has_room(&self) -> bool {
        self.streams.get() < self.limit && self.connection.has_room()
    }

    /// Since when it has no stream; `None` while it has one.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.streams.get() == 0).then(|| self.idle_since.get())
    }

    /// Reserves a stream.
    pub(super) fn reserve(self: &Rc<Self>) -> StreamSlot {
        self.streams.set(self.streams.get() + 1);
        StreamSlot(Rc::clone(self))
    }
}

/// A stream of a connection, counted while it lives. Keeps the connection open.
pub(super) struct StreamSlot(Rc<Multiplexed>);

impl StreamSlot {
    pub(super) fn record(&self) -> &Rc<Record> {
        &self.0.record
    }

    /// Sends a request. What is counted of it ends with the response's body.
    pub(super) async fn send(
        self,
        request: &mut Outgoing,
        in_flight: InFlight,
    ) -> Result<Sent, SendFailure> {
        let record = Rc::clone(&self.0.record);
        match self.0.connection.send(request).await {
            Ok(response) => {
                let hold = Hold { in_flight, _slot: self };
                let response = response.map(|body| match body {
                    Body::Stream(body) => {
                        Body::from_stream(Held { body: Some(body), hold: Some(hold) })
                    }
                    whole => whole,
                });
                Ok(Sent { response, connection: record.facts() })
            }
            Err(error) => {
                let stats = in_flight.pool().stats();
                match &error.kind {
                    SendErrorKind::Closed => {
                        record.ends(End::Remote);
                        record.set_cut_off(true);
                    }
                    SendErrorKind::Protocol(_) => {
                        stats.inc(stat::UPSTREAM_CX_PROTOCOL_ERROR);
                        stats.inc(stat::UPSTREAM_RQ_TX_RESET);
                    }
                    SendErrorKind::Refused | SendErrorKind::Reset => {
                        stats.inc(stat::UPSTREAM_RQ_RX_RESET);
                    }
                    SendErrorKind::RequestBody(_) => stats.inc(stat::UPSTREAM_RQ_TX_RESET),
                }
                // The slot goes before the request's end is told to the pool: there is room again.
                drop(self);
                drop(in_flight);
                Err(error.into())
            }
        }
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let left = self.0.streams.get() - 1;
        self.0.streams.set(left);
        if left == 0 {
            self.0.idle_since.set(Instant::now());
        }
    }
}

/// Ends in this order: the stream's slot is free before the pool looks for room.
struct Hold {
    _slot: StreamSlot,
    in_flight: InFlight,
}

/// A response body that ends its request's counts.
struct Held {
    /// `None` once it ended. Before `hold`, so that the codec's stream is gone when the pool looks for room.
    body: Option<Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>>,
    hold: Option<Hold>,
}

impl Held {
    fn end(&mut self) {
        self.body = None;
        self.hold = None;
    }
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = body.as_mut().poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Err(error))) => {
                if let (BodyError::Reset, Some(hold)) = (error, &self.hold) {
                    hold.in_flight.pool().stats().inc(stat::UPSTREAM_RQ_RX_RESET);
                }
                self.end();
            }
            Poll::Ready(None) => self.end(),
            Poll::Ready(Some(Ok(_))) if body.is_end_stream() => self.end(),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}
