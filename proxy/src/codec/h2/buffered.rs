//! An IO that collects writes until it is flushed, and reads up to 64 KiB at once.
//!
//! Frames read beyond what the codec asked for wait here; an idle connection holds no buffer on either
//! side. The surprising thing: `poll_flush` does nothing, because the codec flushes after every frame.
//! The driver of the connection calls [`Flusher::poll`] at the end of its turn instead.

use std::cell::RefCell;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

/// Written bytes that may wait for a flush before a writer has to wait: a few streams' windows.
const MAX_UNWRITTEN: usize = 256 * 1024;
/// How much one read takes: 4 maximal frames.
const READ: usize = 64 * 1024;
/// What a connection may read in one turn of its task: a peer that floods must not keep a worker from its
/// other connections for longer.
const MAX_TURN: usize = READ;
/// Write buffers that a worker keeps for its connections, and the largest it keeps.
const MAX_SPARE_BUFFERS: usize = 64;
const MAX_SPARE_CAPACITY: usize = 64 * 1024;
/// The smallest buffer that is made.
const MIN_CAPACITY: usize = 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

struct Shared<T> {
    io: T,
    unread: Vec<u8>,
    read: usize,
    /// Read in this turn.
    turn: usize,
    unwritten: Vec<u8>,
    written: usize,
}

/// The codec's side.
pub(super) struct BufferedIo<T>(Rc<RefCell<Shared<T>>>);

/// The driver's side.
pub(super) struct Flusher<T>(Rc<RefCell<Shared<T>>>);

/// Wraps `io`.
pub(super) fn buffered<T>(io: T) -> (BufferedIo<T>, Flusher<T>) {
    let shared =
        Shared { io, unread: Vec::new(), read: 0, turn: 0, unwritten: Vec::new(), written: 0 };
    let shared = Rc::new(RefCell::new(shared));
    (BufferedIo(Rc::clone(&shared)), Flusher(shared))
}

impl<T: AsyncWrite + Unpin> Flusher<T> {
    /// Writes what was collected, and ends the turn. Pending while the socket is full; the task is woken when it is not.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = &mut *self.0.borrow_mut();
        shared.turn = 0;
        shared.flush(cx)
    }
}

impl<T: AsyncWrite + Unpin> Shared<T> {
    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unwritten.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.written < self.unwritten.len() {
            let rest = &self.unwritten[self.written..];
            match std::task::ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
        }
        self.written = 0;
        give_back(std::mem::take(&mut self.unwritten));
        Pin::new(&mut self.io).poll_flush(cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for BufferedIo<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let shared = &mut *self.0.borrow_mut();
        let waiting = &shared.unread[shared.read..];
        if !waiting.is_empty() {
            let n = waiting.len().min(target.remaining());
            target.put_slice(&waiting[..n]);
            shared.read += n;
            if shared.read == shared.unread.len() {
                shared.read = 0;
                give_back(std::mem::take(&mut shared.unread));
            }
            return Poll::Ready(Ok(()));
        }
        if shared.turn >= MAX_TURN {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut scratch = ReadBuf::new(scratch);
            std::task::ready!(Pin::new(&mut shared.io).poll_read(cx, &mut scratch))?;
            shared.turn += scratch.filled().len();
            let (now, later) =
                scratch.filled().split_at(scratch.filled().len().min(target.remaining()));
            target.put_slice(now);
            if !later.is_empty() {
                shared.unread = take_spare();
                append(&mut shared.unread, later);
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for BufferedIo<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let shared = &mut *self.0.borrow_mut();
        if shared.unwritten.len() > MAX_UNWRITTEN {
            std::task::ready!(shared.flush(cx))?;
        }
        if shared.unwritten.capacity() == 0 {
            shared.unwritten = take_spare();
        }
        for slice in slices {
            append(&mut shared.unwritten, slice);
        }
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = &mut *self.0.borrow_mut();
        std::task::ready!(shared.flush(cx))?;
        Pin::new(&mut shared.io).poll_shutdown(cx)
    }
}

/// Appends to a buffer that grows by powers of two: one that a busy connection has used is large enough for the
/// next turn, and not a little too large to be kept.
fn append(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let length = buffer.len() + bytes.len();
    if length > buffer.capacity() {
        let capacity = length.next_power_of_two().max(MIN_CAPACITY);
        buffer.reserve_exact(capacity - buffer.len());
    }
    buffer.extend_from_slice(bytes);
}

fn take_spare() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

fn give_back(mut buffer: Vec<u8>) {
    buffer.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < MAX_SPARE_BUFFERS && (1..=MAX_SPARE_CAPACITY).contains(&buffer.capacity())
        {
            spare.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn writes_leave_only_when_flushed_and_in_order() {
        let (near, mut far) = tokio::io::duplex(1024);
        let (mut io, flusher) = buffered(near);
        io.write_all(b"one ").await.unwrap();
        io.write_all(b"two").await.unwrap();
        io.flush().await.unwrap();
        assert_eq!(flusher.0.borrow().unwritten, b"one two");
        poll_fn(|cx| flusher.poll(cx)).await.unwrap();
        let mut got = [0; 7];
        far.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"one two");
    }

    #[tokio::test]
    async fn a_flood_is_read_in_turns() {
        let (near, mut far) = tokio::io::duplex(4 * MAX_TURN);
        let (mut io, flusher) = buffered(near);
        far.write_all(&vec![0; 3 * MAX_TURN]).await.unwrap();
        let mut turns = Vec::new();
        while turns.iter().sum::<usize>() < 3 * MAX_TURN {
            let mut got = 0;
            poll_fn(|cx| {
                let mut bytes = [0; 16 * 1024];
                let mut target = ReadBuf::new(&mut bytes);
                while Pin::new(&mut io).poll_read(cx, &mut target).is_ready() {
                    got += target.filled().len();
                    target.clear();
                }
                Poll::Ready(())
            })
            .await;
            turns.push(got);
            poll_fn(|cx| flusher.poll(cx)).await.unwrap();
        }
        assert_eq!(turns, [MAX_TURN; 3]);
    }

    #[tokio::test]
    async fn reads_ahead_and_keeps_no_buffer_when_drained() {
        let (near, mut far) = tokio::io::duplex(1024);
        let (mut io, _flusher) = buffered(near);
        far.write_all(b"abcdef").await.unwrap();
        let mut got = [0; 2];
        for want in [b"ab", b"cd", b"ef"] {
            io.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, want);
        }
        assert_eq!(io.0.borrow().unread.capacity(), 0);
    }
}
