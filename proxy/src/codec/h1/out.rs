//! Writing: what is ready goes out in one system call.
//!
//! Heads, chunk framing and small pieces of a body are joined in a buffer from the worker's pool; one
//! large piece is sent beside it without a copy. A connection that has nothing to send holds nothing.

use std::cell::RefCell;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Buf;
use bytes::Bytes;
use tokio::io::AsyncWrite;

use crate::codec::Meter;

/// A body piece up to this size is copied behind the head and sent with it.
const JOIN_MAX_BYTES: usize = 8 * 1024;

/// The joined bytes are flushed when they exceed this.
const FULL_BYTES: usize = 16 * 1024;

/// Buffers kept for reuse by a worker, and the largest kept.
const POOLED: usize = 32;
const POOLED_MAX_BYTES: usize = 32 * 1024;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes staged for one connection: `front`, then `large`, then `back`.
#[derive(Debug, Default)]
pub(super) struct Output {
    front: Vec<u8>,
    sent: usize,
    large: Bytes,
    back: &'static [u8],
    unflushed: bool,
}

impl Output {
    /// True when more should not be staged before a flush.
    pub(super) fn is_full(&self) -> bool {
        !self.large.is_empty() || self.front.len() >= FULL_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.front.len() && self.large.is_empty() && self.back.is_empty()
    }

    /// The buffer to write heads and framing into. Only while not [full](Self::is_full).
    pub(super) fn front(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.large.is_empty(), "bytes would overtake the large piece");
        if self.front.capacity() == 0 {
            self.front = POOL.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(4096));
        }
        &mut self.front
    }

    /// Stages a piece of a body. Only while not [full](Self::is_full).
    pub(super) fn push(&mut self, piece: Bytes) {
        if piece.len() <= JOIN_MAX_BYTES {
            self.front().extend_from_slice(&piece);
        } else {
            self.large = piece;
        }
    }

    /// Stages framing that follows the last piece.
    pub(super) fn push_back(&mut self, framing: &'static [u8]) {
        if self.large.is_empty() {
            self.front().extend_from_slice(framing);
        } else if self.back.is_empty() {
            self.back = framing;
        } else {
            // the end of a chunk, then the end of the body: the only sequence there is
            debug_assert_eq!((self.back, framing), (&b"\r\n"[..], &b"0\r\n\r\n"[..]));
            self.back = b"\r\n0\r\n\r\n";
        }
    }

    /// Writes everything staged, counting it in `meter.sent`. Ready when the transport took it all.
    pub(super) fn poll_flush<T: AsyncWrite + Unpin>(
        &mut self,
        io: &mut T,
        meter: &Meter,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let front = &self.front[self.sent..];
            let mut io = Pin::new(&mut *io);
            let count = if self.large.is_empty() && self.back.is_empty() {
                ready!(io.as_mut().poll_write(cx, front))?
            } else {
                let parts =
                    [IoSlice::new(front), IoSlice::new(&self.large), IoSlice::new(self.back)];
                // an empty first slice would be all that a transport without vectored writes sends
                let from = parts.iter().position(|part| !part.is_empty()).unwrap_or(0);
                ready!(io.as_mut().poll_write_vectored(cx, &parts[from..]))?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            Meter::add(&meter.sent, count);
            self.consume(count);
        }
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        self.release();
        Poll::Ready(Ok(()))
    }

    fn consume(&mut self, count: usize) {
        let front = count.min(self.front.len() - self.sent);
        self.sent += front;
        let large = (count - front).min(self.large.len());
        self.large.advance(large);
        self.back = &self.back[count - front - large..];
        if self.large.is_empty() {
            self.large = Bytes::new();
        }
    }

    /// Gives the buffer back to the worker.
    fn release(&mut self) {
        self.sent = 0;
        let mut buffer = std::mem::take(&mut self.front);
        if buffer.capacity() == 0 || buffer.capacity() > POOLED_MAX_BYTES {
            return;
        }
        buffer.clear();
        POOL.with_borrow_mut(|pool| {
            if pool.len() < POOLED {
                pool.push(buffer);
            }
        });
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.release();
    }
}
