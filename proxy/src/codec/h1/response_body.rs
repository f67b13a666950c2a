//! The body of an upstream's response, which drives the rest of the exchange when it is polled.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;

use palanquin_filter_api::BodyError;

use crate::codec::Io;
use crate::codec::Meter;
use crate::codec::SendErrorKind;

use super::chunked::Piece;
use super::client::Exchange;
use super::client::Recycle;
use super::decode::BodyDecoder;
use super::settings::Trailers;

/// Reads a response body and writes what is left of the request. Dropping it closes the connection.
pub(super) struct ResponseBody<T, R> {
    /// `None` once the response is over.
    live: Option<(Exchange<T>, R)>,
    decoder: BodyDecoder,
    keep_alive: bool,
}

// nothing is pinned inside: every field is moved and borrowed freely
impl<T, R> Unpin for ResponseBody<T, R> {}

impl<T: Io, R: Recycle<T>> ResponseBody<T, R> {
    pub(super) fn new(
        exchange: Exchange<T>,
        decoder: BodyDecoder,
        keep_alive: bool,
        recycle: R,
    ) -> Self {
        Self { live: Some((exchange, recycle)), decoder, keep_alive }
    }

    fn finish(&mut self) {
        if let Some((exchange, recycle)) = self.live.take() {
            exchange.finish(self.keep_alive, recycle);
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, BodyError>> {
        let Some((exchange, _)) = &mut self.live else { return Poll::Ready(Ok(Piece::End)) };
        exchange.poll_request(cx).map_err(|kind| match kind {
            SendErrorKind::RequestBody(error) => error,
            _ => BodyError::Disconnected,
        })?;
        loop {
            let input = &mut exchange.connection.input;
            let before = input.len();
            let piece = self.decoder.next(input);
            let taken = before - input.len();
            Meter::add(&exchange.connection.meter.received, taken);
            if let Some(piece) = piece.map_err(BodyError::Protocol)? {
                return Poll::Ready(Ok(piece));
            }
            match ready!(exchange.poll_more(cx)) {
                Ok(true) => {}
                Ok(false) if matches!(self.decoder, BodyDecoder::UntilClose) => {
                    self.decoder = BodyDecoder::Done;
                }
                // a body that stops short broke its own framing; Envoy says protocol error too
                Ok(false) => {
                    return Poll::Ready(Err(BodyError::Protocol("the body ended early")));
                }
                Err(_) => return Poll::Ready(Err(BodyError::Disconnected)),
            }
        }
    }
}

impl<T: Io, R: Recycle<T>> http_body::Body for ResponseBody<T, R> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let forwards = self
            .live
            .as_ref()
            .is_some_and(|(e, _)| e.connection.settings.trailers == Trailers::Forward);
        let piece = ready!(self.poll_piece(cx));
        if self.decoder.is_done() {
            self.finish();
        }
        Poll::Ready(match piece {
            Ok(Piece::Data(bytes)) => Some(Ok(Frame::data(bytes))),
            Ok(Piece::Trailers(trailers)) if forwards => Some(Ok(Frame::trailers(trailers))),
            Ok(Piece::Trailers(_) | Piece::End) => None,
            Err(error) => {
                // closes the connection: nothing on it can be trusted any more
                self.live = None;
                self.decoder = BodyDecoder::Done;
                Some(Err(error))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.live.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.decoder {
            BodyDecoder::Length(left) => SizeHint::with_exact(left),
            BodyDecoder::Done => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }
}
