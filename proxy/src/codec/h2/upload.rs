//! Sends a body on a stream, as far as the peer's windows let it.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Body as _;

use palanquin_filter_api::Body;
use palanquin_filter_api::BodyError;

use super::body::body_error;
use super::frame::Reason;
use super::stream_ref::Failed;
use super::stream_ref::StreamRef;

/// A body on its way out. Polled until it is ready; dropping it early resets the stream, unless somebody else
/// still refers to it.
#[derive(Debug)]
pub(super) struct Upload {
    stream: StreamRef,
    body: Body,
    /// Data taken from the body that there was no room for.
    waiting: Bytes,
    sent: u64,
}

/// Why an upload ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum UploadError {
    /// The body itself failed; the stream was reset.
    Body(BodyError),
    /// The stream failed.
    Stream(BodyError),
}

impl Upload {
    pub(super) fn new(stream: StreamRef, body: Body) -> Self {
        Self { stream, body, waiting: Bytes::new(), sent: 0 }
    }

    /// Body bytes handed to the connection so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Ready when the stream fails.
    pub(super) fn poll_failure(&self, cx: &mut Context<'_>) -> Poll<BodyError> {
        self.stream.poll_failure(cx).map(body_error)
    }

    /// Moves on. `Ready(Ok)` once the end of the stream is queued.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        loop {
            if !self.waiting.is_empty() {
                let Self { stream, body, waiting, sent } = self;
                let end = body.is_end_stream();
                let sending = stream.poll_send(cx, waiting, end, sent);
                std::task::ready!(sending).map_err(stream_error)?;
                if end {
                    return Poll::Ready(Ok(()));
                }
            }
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.waiting = data,
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        let sent = self.stream.send_trailers(&trailers);
                        return Poll::Ready(sent.map_err(stream_error));
                    }
                },
                Some(Err(error)) => {
                    self.stream.reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(Err(UploadError::Body(error)));
                }
                None => {
                    let Self { stream, sent, .. } = self;
                    let sending = stream.poll_send(cx, &mut Bytes::new(), true, sent);
                    return sending.map_err(stream_error);
                }
            }
        }
    }
}

fn stream_error(Failed(failure): Failed) -> UploadError {
    UploadError::Stream(body_error(failure))
}
