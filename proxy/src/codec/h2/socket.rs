//! The transport of a connection, and the thread's buffer for reading.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use tokio::io::ReadBuf;

use super::connection::Connection;
use super::connection::Fatal;
use super::receive::receive;
use super::spare;
use crate::codec::Io;

/// A transport and what is being written to it.
pub(super) struct Socket<T> {
    io: T,
    writing: Vec<u8>,
    written: usize,
    /// The transport took bytes that it may still hold: TLS seals more than a full socket takes.
    is_unflushed: bool,
    /// Reading waits for writing.
    is_held: bool,
}

/// What reading brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// Frames were taken; perhaps there are more.
    Some,
    /// The peer is gone.
    End,
    /// The peer broke the protocol.
    Fault(Fatal),
}

impl<T: Io> Socket<T> {
    pub(super) fn new(io: T) -> Self {
        Self { io, writing: Vec::new(), written: 0, is_unflushed: false, is_held: false }
    }

    /// Reads once, and hands what came to the connection. Pending while there is nothing, or so much to write
    /// that nothing more should be read; [`Self::poll_flush`] then wakes the task.
    pub(super) fn poll_read(
        &mut self,
        connection: &Rc<RefCell<Connection>>,
        turn: &mut usize,
        cx: &mut Context<'_>,
    ) -> Poll<Read> {
        if connection.borrow().is_congested() {
            self.is_held = true;
            return Poll::Pending;
        }
        if *turn >= TURN {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut scratch = ReadBuf::new(scratch);
            let result = std::task::ready!(Pin::new(&mut self.io).poll_read(cx, &mut scratch));
            let bytes = scratch.filled();
            if result.is_err() || bytes.is_empty() {
                return Poll::Ready(Read::End);
            }
            *turn += bytes.len();
            Poll::Ready(match receive(connection, bytes) {
                Ok(()) => Read::Some,
                Err(fatal) => Read::Fault(fatal),
            })
        })
    }

    /// Writes what the connection holds. Ready when all of it is written.
    pub(super) fn poll_flush(
        &mut self,
        connection: &RefCell<Connection>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.written == self.writing.len() {
                self.written = 0;
                self.writing.clear();
                std::mem::swap(&mut self.writing, connection.borrow_mut().output());
                if self.writing.is_empty() {
                    spare::give_back(std::mem::take(&mut self.writing));
                    spare::give_back(std::mem::take(connection.borrow_mut().output()));
                    return self.poll_flushed(connection, cx);
                }
            }
            let rest = &self.writing[self.written..];
            match std::task::ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
            self.is_unflushed = true;
        }
    }

    /// Has the transport pass on what it took; then there is room again.
    fn poll_flushed(
        &mut self,
        connection: &RefCell<Connection>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_unflushed {
            std::task::ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.is_unflushed = false;
            connection.borrow_mut().flushed();
        }
        if std::mem::take(&mut self.is_held) {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    /// Closes the sending side.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// How much one read takes: 4 maximal frames.
const READ: usize = 64 * 1024;

/// What a connection may read in one turn of its task, in bytes: a peer that floods must not keep a worker
/// from its other connections for longer.
const TURN: usize = READ;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Instant;

    use tokio::io::AsyncRead;
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWrite;
    use tokio::io::DuplexStream;

    use super::super::connection::Config;
    use super::super::connection::Role;
    use super::super::head::Limits;
    use super::*;

    /// As TLS over a socket that is full: it takes everything and passes it on when flushed the second time.
    struct Holding {
        io: DuplexStream,
        held: Vec<u8>,
        flushes: u32,
    }

    impl Io for Holding {}

    impl AsyncRead for Holding {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.io).poll_read(cx, buffer)
        }
    }

    impl AsyncWrite for Holding {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.held.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            if self.flushes == 1 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let held = std::mem::take(&mut self.held);
            Pin::new(&mut self.io).poll_write(cx, &held).map_ok(drop)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.io).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn what_a_transport_holds_back_is_flushed_until_it_lets_go() {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let config = Config {
            max_streams: 1,
            stream_window: 65_535,
            connection_window: 65_535,
            head: Limits { bytes: 1000, fields: 10 },
            extended_connect: false,
        };
        let connection = Connection::new(Role::Client, config, Instant::now());
        let mut socket = Socket::new(Holding { io: near, held: Vec::new(), flushes: 0 });
        poll_fn(|cx| socket.poll_flush(&connection, cx)).await.unwrap();
        let mut preface = [0; 24];
        far.read_exact(&mut preface).await.unwrap();
        assert_eq!(&preface[..3], b"PRI");
    }
}
