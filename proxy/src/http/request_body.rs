//! A streamed request body, watched on its way through: how many bytes, and when it ended.

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

/// How far a request body came.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    bytes: Cell<u64>,
    end: Cell<Option<Instant>>,
}

impl Progress {
    /// Bytes of body that arrived.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// When its end arrived.
    pub(crate) fn end(&self) -> Option<Instant> {
        self.end.get()
    }
}

/// Watches `body`; one that is here completely needs no watching.
pub(crate) fn watch(body: Body) -> (Body, Option<Rc<Progress>>) {
    if body.is_empty() || matches!(body, Body::Full(_)) {
        return (body, None);
    }
    let progress = Rc::new(Progress::default());
    let watched = Watched { body, progress: Rc::clone(&progress) };
    (Body::from_stream(watched), Some(progress))
}

struct Watched {
    body: Body,
    progress: Rc<Progress>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.progress.bytes.set(self.progress.bytes.get() + data.len() as u64);
        }
        if self.progress.end.get().is_none() && (frame.is_none() || self.body.is_end_stream()) {
            self.progress.end.set(Some(Instant::now()));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
