//! A received HTTP/2 body.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;
use h2::RecvStream;
use http_body::Frame;
use http_body::SizeHint;

use palanquin_filter_api::BodyError;

/// Turns the crate's receive stream into frames. Polling for a frame gives its predecessor's window
/// back to the peer, so a body nobody reads stops the peer.
pub(super) struct RecvBody {
    stream: RecvStream,
    content_length: Option<u64>,
    /// Data that was taken from the stream already.
    first: Option<Bytes>,
    data_done: bool,
    /// Whoever serves the stream learns of its failure otherwise.
    is_failure_silent: bool,
}

/// What of a response's body is here.
pub(super) enum Download {
    /// The rest is to come.
    Streamed(RecvBody),
    /// All of it.
    Whole(Bytes),
}

impl RecvBody {
    /// A body with the length that its head announced.
    pub(super) fn new(stream: RecvStream, content_length: Option<u64>) -> Self {
        Self { stream, content_length, first: None, data_done: false, is_failure_silent: false }
    }

    /// A response's body: whole, if all of it has arrived with its head; that costs no stream.
    pub(super) fn download(mut stream: RecvStream, content_length: Option<u64>) -> Download {
        // Nobody needs to be woken: the next poll registers whoever waits then.
        match stream.poll_data(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Ok(data))) => {
                // Only fails when the stream is gone; its error comes with the next poll.
                drop(stream.flow_control().release_capacity(data.len()));
                if stream.is_end_stream() {
                    return Download::Whole(data);
                }
                Download::Streamed(Self { first: Some(data), ..Self::new(stream, content_length) })
            }
            // An error is told again by the next poll.
            _ => Download::Streamed(Self::new(stream, content_length)),
        }
    }

    /// The body of a request from a client. When its stream fails nobody is left to answer: the body then
    /// waits for the task that serves the stream to drop the exchange, instead of having an answer made,
    /// and logged, that nobody reads.
    pub(super) fn of_request(stream: RecvStream, content_length: Option<u64>) -> Self {
        Self { is_failure_silent: true, ..Self::new(stream, content_length) }
    }

    fn fail(&self, error: &h2::Error) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.is_failure_silent {
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(body_error(error))))
    }
}

impl http_body::Body for RecvBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if !self.data_done {
            match std::task::ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Only fails when the stream is gone; its error comes with the next poll.
                    drop(self.stream.flow_control().release_capacity(data.len()));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return self.fail(&error),
                None => self.data_done = true,
            }
        }
        match std::task::ready!(self.stream.poll_trailers(cx)) {
            Ok(Some(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Ok(None) => Poll::Ready(None),
            Err(error) => self.fail(&error),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content_length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// What a failed stream means for the body it carried.
pub(super) fn body_error(error: &h2::Error) -> BodyError {
    if error.is_io() {
        BodyError::Disconnected
    } else if error.is_reset() {
        BodyError::Reset
    } else if error.is_go_away() && error.is_remote() {
        BodyError::Disconnected
    } else {
        BodyError::Protocol("HTTP/2 framing")
    }
}
