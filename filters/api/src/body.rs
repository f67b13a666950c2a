//! The body of a message: nothing, one chunk, or a stream of frames.
//!
//! The first two cost no allocation and no virtual call; most requests and many small responses are
//! one of them. A filter that watches or changes a body wraps it in [`Body::from_stream`].

use std::fmt;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;

/// A request or response body. Flow control is polling: a frame that is not asked for is not read.
#[derive(Default)]
pub enum Body {
    /// No body at all.
    #[default]
    Empty,
    /// The whole body, already here. Never empty.
    Full(Bytes),
    /// Frames as they arrive, trailers last.
    Stream(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>),
}

/// Why a body ended before its end. The message it belongs to must be aborted, never completed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The peer closed the connection in the middle of the body.
    #[error("the peer closed the connection before the end of the body")]
    Disconnected,
    /// The peer broke the protocol's framing.
    #[error("protocol error in the body: {0}")]
    Protocol(&'static str),
    /// The peer reset the stream (HTTP/2 RST_STREAM, QUIC RESET_STREAM).
    #[error("the peer reset the stream")]
    Reset,
    /// Nothing arrived or could be sent for too long.
    #[error("timed out")]
    Timeout,
    /// More bytes than a limit allows.
    #[error("the body is larger than the limit")]
    TooLarge,
}

impl Body {
    /// Wraps a stream of frames; the one allocation a streamed body costs.
    pub fn from_stream<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = BodyError> + 'static,
    {
        Self::Stream(Box::pin(body))
    }

    /// True when no byte can come: also for a stream that says so.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Full(bytes) }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::from(Bytes::from(text))
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::from(Bytes::from_static(text.as_bytes()))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Stream(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}
