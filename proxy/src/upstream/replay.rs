//! A request body that can be sent again.
//!
//! While it is sent, what went by is kept, up to a limit; beyond it the body is forwarded all the same but
//! can no longer be replayed.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body::SizeHint;
use palanquin_filter_api::Body;
use palanquin_filter_api::BodyError;

/// The source of a request's body, one copy per attempt.
pub(crate) enum Replay {
    /// Sent once.
    Once(Body),
    /// Here completely: every attempt gets it.
    Whole(Bytes),
    /// Streamed, and kept.
    Kept(Rc<RefCell<Kept>>),
}

pub(crate) struct Kept {
    source: Body,
    chunks: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    bytes: usize,
    limit: usize,
    source_ended: bool,
    overflowed: bool,
}

impl Replay {
    /// `keep`: more attempts may follow. `limit` is in bytes.
    pub(crate) fn new(body: Body, keep: bool, limit: usize) -> Self {
        match body {
            Body::Full(bytes) => Self::Whole(bytes),
            Body::Empty => Self::Whole(Bytes::new()),
            body @ Body::Stream(_) if keep => Self::Kept(Rc::new(RefCell::new(Kept {
                source: body,
                chunks: Vec::new(),
                trailers: None,
                bytes: 0,
                limit,
                source_ended: false,
                overflowed: false,
            }))),
            body @ Body::Stream(_) => Self::Once(body),
        }
    }

    /// The body for the next attempt.
    pub(crate) fn next(&mut self) -> Body {
        match self {
            Self::Once(body) => std::mem::take(body),
            Self::Whole(bytes) => Body::from(bytes.clone()),
            Self::Kept(kept) => Body::from_stream(Attempt { kept: Rc::clone(kept), sent: 0 }),
        }
    }

    /// Whether one more attempt can get the whole body.
    pub(crate) fn can_replay(&self) -> bool {
        match self {
            Self::Once(_) => false,
            Self::Whole(_) => true,
            Self::Kept(kept) => !kept.borrow().overflowed,
        }
    }
}

/// One attempt's copy: first what was kept, then the source.
struct Attempt {
    kept: Rc<RefCell<Kept>>,
    sent: usize,
}

impl http_body::Body for Attempt {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let kept = &mut *this.kept.borrow_mut();
        if !kept.overflowed
            && let Some(chunk) = kept.chunks.get(this.sent)
        {
            this.sent += 1;
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        if kept.source_ended {
            let trailers = kept.trailers.clone().filter(|_| this.sent == kept.chunks.len());
            this.sent = kept.chunks.len() + 1;
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let Some(frame) = std::task::ready!(Pin::new(&mut kept.source).poll_frame(cx)) else {
            kept.source_ended = true;
            this.sent = kept.chunks.len() + 1;
            return Poll::Ready(None);
        };
        let frame = frame?;
        if let Some(data) = frame.data_ref() {
            kept.bytes += data.len();
            if kept.bytes > kept.limit {
                kept.overflowed = true;
                kept.chunks = Vec::new();
            } else {
                kept.chunks.push(data.clone());
                this.sent += 1;
            }
        } else if let Some(trailers) = frame.trailers_ref() {
            kept.trailers = Some(trailers.clone());
            kept.source_ended = true;
            this.sent = kept.chunks.len() + 1;
        }
        kept.source_ended |= kept.source.is_end_stream();
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let kept = self.kept.borrow();
        kept.source_ended
            && (kept.overflowed || self.sent >= kept.chunks.len())
            && (kept.trailers.is_none() || self.sent > kept.chunks.len())
    }

    fn size_hint(&self) -> SizeHint {
        let kept = self.kept.borrow();
        if kept.chunks.is_empty() && !kept.overflowed {
            kept.source.size_hint()
        } else {
            SizeHint::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use http_body_util::StreamBody;

    use super::*;

    fn source(chunks: &[&'static str]) -> Body {
        let frames: Vec<_> = chunks
            .iter()
            .map(|chunk| Ok::<_, BodyError>(Frame::data(Bytes::from_static(chunk.as_bytes()))))
            .collect();
        Body::from_stream(StreamBody::new(futures_util::stream::iter(frames)))
    }

    #[tokio::test]
    async fn a_second_attempt_gets_what_the_first_had_and_the_rest() {
        let mut replay = Replay::new(source(&["one ", "two ", "three"]), true, 100);
        let mut first = replay.next();
        first.frame().await.unwrap().unwrap();
        drop(first);
        assert!(replay.can_replay());
        assert_eq!(replay.next().collect().await.unwrap().to_bytes(), "one two three");
        assert_eq!(replay.next().collect().await.unwrap().to_bytes(), "one two three");
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_sent_but_not_again() {
        let mut replay = Replay::new(source(&["one ", "two ", "three"]), true, 6);
        assert_eq!(replay.next().collect().await.unwrap().to_bytes(), "one two three");
        assert!(!replay.can_replay());
    }
}
