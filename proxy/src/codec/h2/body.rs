//! A received body.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;

use palanquin_filter_api::BodyError;

use super::stream_ref::Failed;
use super::stream_ref::StreamRef;
use super::streams::Failure;

/// What a stream receives, as frames. Taking one makes room for as much from the peer, so that a body nobody
/// reads stops it.
#[derive(Debug)]
pub(super) struct RecvBody {
    stream: StreamRef,
    content_length: Option<u64>,
    data_done: bool,
    /// Whoever serves the stream learns of its failure otherwise.
    is_failure_silent: bool,
}

impl RecvBody {
    /// A response's body with the length that its head announced.
    pub(super) fn of_response(stream: StreamRef, content_length: Option<u64>) -> Self {
        Self { stream, content_length, data_done: false, is_failure_silent: false }
    }

    /// The body of a request from a client. When its stream fails nobody is left to answer: the body then
    /// waits for the task that serves the stream to drop the exchange, instead of having an answer made,
    /// and logged, that nobody reads.
    pub(super) fn of_request(stream: StreamRef, content_length: Option<u64>) -> Self {
        Self { is_failure_silent: true, ..Self::of_response(stream, content_length) }
    }
}

impl http_body::Body for RecvBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.data_done {
            match std::task::ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Err(_)) if self.is_failure_silent => return Poll::Pending,
                Some(Err(Failed(failure))) => {
                    return Poll::Ready(Some(Err(body_error(failure))));
                }
                None => self.data_done = true,
            }
        }
        Poll::Ready(self.stream.take_trailers().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_drained()
    }

    fn size_hint(&self) -> SizeHint {
        self.content_length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// What a failed stream means for the body it carried.
pub(super) fn body_error(failure: Failure) -> BodyError {
    match failure {
        Failure::Closed => BodyError::Disconnected,
        Failure::Protocol(what) => BodyError::Protocol(what),
        Failure::Refused | Failure::Reset(_) => BodyError::Reset,
    }
}
