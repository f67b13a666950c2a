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
        Self { io, writing: Vec::new(), written: 0 }
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
        let mut has_written = false;
        loop {
            if self.written == self.writing.len() {
                self.written = 0;
                self.writing.clear();
                let mut connection = connection.borrow_mut();
                std::mem::swap(&mut self.writing, connection.output());
                if self.writing.is_empty() {
                    spare::give_back(std::mem::take(&mut self.writing));
                    spare::give_back(std::mem::take(connection.output()));
                    if !has_written {
                        return Poll::Ready(Ok(()));
                    }
                    connection.flushed();
                    drop(connection);
                    return Pin::new(&mut self.io).poll_flush(cx);
                }
            }
            let rest = &self.writing[self.written..];
            match std::task::ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
            has_written = true;
        }
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
