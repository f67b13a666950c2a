//! Reading: one hot 64 KiB scratch per worker, and per connection only the bytes not yet understood.
//!
//! A read goes into the worker's scratch and what arrived is split off without a copy. Once all of it
//! has been consumed and dropped the same memory is used again, so an idle connection holds no buffer
//! and a streamed body costs no allocation. Bytes that stay behind are copied out
//! ([`Input::compact`]), so that a few of them do not pin 64 KiB.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;

/// Size of the scratch: more than a TLS record, and what a socket usually holds under load.
const SCRATCH_BYTES: usize = 64 * 1024;

/// A piece shorter than this is copied rather than shared: it may outlive the read by long (a replay
/// buffer), and would pin the whole scratch.
const SHARE_MIN_BYTES: usize = 4096;

thread_local! {
    static SCRATCH: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// Received bytes that were not understood yet.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: BytesMut,
    shared: bool,
}

impl Input {
    pub(super) fn data(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Reads once. `Ok(0)` is the end of the stream.
    pub(super) fn poll_fill<T: AsyncRead + Unpin>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            // takes the same memory again if nobody holds a piece of it
            scratch.reserve(SCRATCH_BYTES);
            let count = ready!(pin!(io.read_buf(scratch)).poll(cx))?;
            if self.bytes.is_empty() {
                self.bytes = scratch.split();
                self.shared = true;
            } else {
                self.bytes.extend_from_slice(scratch);
                scratch.clear();
            }
            Poll::Ready(Ok(count))
        })
    }

    /// Moves what is left into memory of its own size. To be called before waiting.
    pub(super) fn compact(&mut self) {
        if self.shared && !self.bytes.is_empty() {
            self.bytes = BytesMut::from(&self.bytes[..]);
            self.shared = false;
        }
    }

    /// Takes the first `count` bytes out. Panics when there are fewer.
    pub(super) fn take(&mut self, count: usize) -> Bytes {
        let taken = if count < SHARE_MIN_BYTES {
            let copy = Bytes::copy_from_slice(&self.bytes[..count]);
            self.bytes.advance(count);
            copy
        } else {
            self.bytes.split_to(count).freeze()
        };
        self.release();
        taken
    }

    /// Drops the first `count` bytes. Panics when there are fewer.
    pub(super) fn skip(&mut self, count: usize) {
        self.bytes.advance(count);
        self.release();
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        self.bytes = BytesMut::new();
        self.shared = false;
    }

    fn release(&mut self) {
        if self.bytes.is_empty() {
            self.clear();
        }
    }
}

#[cfg(any(test, fuzzing))]
impl From<&[u8]> for Input {
    fn from(bytes: &[u8]) -> Self {
        Self { bytes: BytesMut::from(bytes), shared: false }
    }
}

#[cfg(any(test, fuzzing))]
impl Input {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}
