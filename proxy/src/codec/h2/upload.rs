//! Sends a body on an HTTP/2 stream, as far as the peer's window lets it.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Buf;
use bytes::Bytes;
use h2::Reason;
use h2::SendStream;
use http_body::Body as _;

use palanquin_filter_api::Body;
use palanquin_filter_api::BodyError;

use super::body::body_error;

/// A body on its way out. Polled until it is ready; dropping it early resets the stream.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    body: Body,
    /// Data taken from the body that the window had no room for.
    waiting: Bytes,
    sent: u64,
    failed: Option<Failed>,
}

/// A body that failed, and the wait for the next turn of the connection's task. A reset drops every frame
/// of the stream that was not written yet; what came before the failure has to leave first.
struct Failed {
    error: BodyError,
    turn: Pin<Box<dyn Future<Output = ()>>>,
}

/// Why an upload ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UploadError {
    /// The body itself failed; the stream was reset.
    Body(BodyError),
    /// The peer ended the stream (or the connection did).
    Stream(BodyError),
}

impl Upload {
    pub(super) fn new(stream: SendStream<Bytes>, body: Body) -> Self {
        Self { stream, body, waiting: Bytes::new(), sent: 0, failed: None }
    }

    /// Body bytes handed to the stream so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// The peer's RST_STREAM, if it sent one; registers for it otherwise.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        self.stream.poll_reset(cx).map(|reset| match reset {
            Ok(_) => BodyError::Reset,
            Err(error) => body_error(&error),
        })
    }

    /// Moves on. `Ready(Ok)` once the end of the stream is queued.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        loop {
            if let Some(failed) = &mut self.failed {
                std::task::ready!(failed.turn.as_mut().poll(cx));
                self.stream.send_reset(Reason::INTERNAL_ERROR);
                return Poll::Ready(Err(UploadError::Body(failed.error.clone())));
            }
            if !self.waiting.is_empty() {
                std::task::ready!(self.poll_send(cx))?;
                if self.body.is_end_stream() {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => self.waiting = data,
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        return Poll::Ready(
                            self.stream.send_trailers(trailers).map_err(stream_error),
                        );
                    }
                },
                Some(Err(error)) => {
                    let turn = Box::pin(tokio::task::yield_now());
                    self.failed = Some(Failed { error, turn });
                }
                None => {
                    return Poll::Ready(
                        self.stream.send_data(Bytes::new(), true).map_err(stream_error),
                    );
                }
            }
        }
    }

    /// Sends what waits, in as many pieces as the window asks for; the last piece ends the stream if the
    /// body has nothing more.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        while !self.waiting.is_empty() {
            let mut room = self.stream.capacity();
            if room < self.waiting.len() {
                self.stream.reserve_capacity(self.waiting.len());
                room = self.stream.capacity();
            }
            while room == 0 {
                room = match std::task::ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(room)) => room,
                    Some(Err(error)) => return Poll::Ready(Err(stream_error(error))),
                    None => return Poll::Ready(Err(UploadError::Stream(BodyError::Reset))),
                };
            }
            let piece = self.waiting.split_to(room.min(self.waiting.remaining()));
            let end = self.waiting.is_empty() && self.body.is_end_stream();
            self.sent += piece.len() as u64;
            self.stream.send_data(piece, end).map_err(stream_error)?;
        }
        Poll::Ready(Ok(()))
    }
}

fn stream_error(error: h2::Error) -> UploadError {
    UploadError::Stream(body_error(&error))
}
