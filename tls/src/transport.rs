//! The byte stream under a codec: plain, TLS, or of a foreign engine.

use std::fmt;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::task::ready;

use palanquin_tlcp::stream::TlcpStream;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio_rustls::TlsStream;

/// Any byte stream, for engines that are not rustls, and for tests.
pub trait Io: AsyncRead + AsyncWrite + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + fmt::Debug> Io for T {}

/// A connection as codecs use it. A closed enum: only foreign engines pay for a box and a virtual call.
#[derive(Debug)]
pub enum Transport {
    /// Without encryption.
    Plain(Peeked),
    /// TLS by rustls.
    Rustls(Box<TlsStream<Peeked>>),
    /// TLCP.
    Tlcp(Box<TlcpStream<Peeked>>),
    /// Another engine.
    Foreign(Pin<Box<dyn Io>>),
}

/// What an idle connection is found to be by [`Transport::check_idle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// The peer closed it, or it failed.
    Closed,
    /// Nothing came: it may be used.
    Open,
    /// Bytes came that nobody asked for: it must not be used. One of them is lost.
    Unsolicited,
}

impl Transport {
    /// A plain TCP connection.
    pub fn tcp(stream: TcpStream) -> Self {
        Self::Plain(Peeked::tcp(stream))
    }

    /// A plain Unix connection.
    pub fn unix(stream: UnixStream) -> Self {
        Self::Plain(Peeked::unix(stream))
    }

    /// Whether the bytes are encrypted on the way.
    pub fn is_encrypted(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// The TCP socket at the bottom, for its addresses and options.
    pub fn tcp_stream(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(io) => io.tcp_stream(),
            Self::Rustls(stream) => stream.get_ref().0.tcp_stream(),
            Self::Tlcp(stream) => stream.get_ref().tcp_stream(),
            Self::Foreign(_) => None,
        }
    }

    /// Looks without waiting whether a connection on which nothing is expected is still good. Session
    /// tickets that arrived meanwhile are taken in. Whoever waited to read must ask again.
    pub fn check_idle(&mut self) -> Idle {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        match pin!(self).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
            Poll::Pending => Idle::Open,
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => Idle::Unsolicited,
            Poll::Ready(_) => Idle::Closed,
        }
    }
}

impl From<TcpStream> for Transport {
    fn from(stream: TcpStream) -> Self {
        Self::tcp(stream)
    }
}

impl From<UnixStream> for Transport {
    fn from(stream: UnixStream) -> Self {
        Self::unix(stream)
    }
}

/// A socket with the bytes that were read from it to find out what it carries. They are given again to
/// whoever reads next.
///
/// The bytes are really read, not peeked at with `MSG_PEEK`: a peek would be one more system call for each
/// connection, and could not wait for the rest of a hello that comes in pieces.
#[derive(Debug)]
pub struct Peeked {
    socket: Socket,
    prefix: Vec<u8>,
    /// How much of `prefix` was given.
    given: usize,
    /// How many bytes were read from the socket, but for those that were peeked at.
    received: u64,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Foreign(Pin<Box<dyn Io>>),
}

impl Peeked {
    /// A TCP socket of which nothing was read.
    pub fn tcp(stream: TcpStream) -> Self {
        Self::over(Socket::Tcp(stream))
    }

    /// A Unix socket of which nothing was read.
    pub fn unix(stream: UnixStream) -> Self {
        Self::over(Socket::Unix(stream))
    }

    /// Any other stream.
    pub fn foreign(stream: impl Io + 'static) -> Self {
        Self::over(Socket::Foreign(Box::pin(stream)))
    }

    fn over(socket: Socket) -> Self {
        Self { socket, prefix: Vec::new(), given: 0, received: 0 }
    }

    /// Bytes that were read and not yet given to anyone.
    pub fn peeked(&self) -> &[u8] {
        self.prefix.get(self.given..).unwrap_or_default()
    }

    /// Forgets the first `count` peeked bytes, such as a PROXY header; at most all of them.
    pub fn consume(&mut self, count: usize) {
        self.given = self.given.saturating_add(count).min(self.prefix.len());
        self.release();
    }

    /// How many bytes came by reading; those that were peeked at do not count.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Waits for more bytes, at most `limit`, and adds them to [`Self::peeked`]. Returns how many came, 0
    /// at the end. Cancel safe: bytes that came are kept.
    pub async fn peek_more(&mut self, limit: usize) -> io::Result<usize> {
        let Self { socket, prefix, .. } = self;
        prefix.reserve(limit.min(PEEK_STEP));
        (&mut *socket).take(limit as u64).read_buf(prefix).await
    }

    /// The TCP socket, if it is one.
    pub fn tcp_stream(&self) -> Option<&TcpStream> {
        match &self.socket {
            Socket::Tcp(stream) => Some(stream),
            Socket::Foreign(_) | Socket::Unix(_) => None,
        }
    }

    fn release(&mut self) {
        if self.given == self.prefix.len() {
            self.prefix = Vec::new();
            self.given = 0;
        }
    }
}

/// A first flight of a browser with a hybrid key share is about 1.8 KiB.
const PEEK_STEP: usize = 2048;

macro_rules! each {
    ($self:expr, $enum:ident { $($variant:ident),* }, $io:ident => $body:expr) => {
        match $self.get_mut() { $($enum::$variant($io) => { let $io = Pin::new($io); $body })* }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, Self { Plain, Rustls, Tlcp, Foreign }, io => io.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, Self { Plain, Rustls, Tlcp, Foreign }, io => io.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, Self { Plain, Rustls, Tlcp, Foreign }, io => io.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Rustls(stream) => stream.is_write_vectored(),
            Self::Tlcp(stream) => stream.is_write_vectored(),
            Self::Foreign(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, Self { Plain, Rustls, Tlcp, Foreign }, io => io.poll_flush(cx))
    }

    /// Says goodbye (`close_notify`) and closes the sending side.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, Self { Plain, Rustls, Tlcp, Foreign }, io => io.poll_shutdown(cx))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, Self { Tcp, Unix, Foreign }, io => io.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, Self { Tcp, Unix, Foreign }, io => io.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, Self { Tcp, Unix, Foreign }, io => io.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(io) => io.is_write_vectored(),
            Self::Unix(io) => io.is_write_vectored(),
            Self::Foreign(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, Self { Tcp, Unix, Foreign }, io => io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, Self { Tcp, Unix, Foreign }, io => io.poll_shutdown(cx))
    }
}

impl AsyncRead for Peeked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.given < self.prefix.len() {
            let again = self.peeked();
            let count = again.len().min(buffer.remaining());
            buffer.put_slice(again.get(..count).unwrap_or_default());
            self.consume(count);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        self.received += (buffer.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peeked {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
