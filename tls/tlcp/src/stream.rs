//! TLCP over a tokio stream.

use std::fmt;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use rustls_pki_types::UnixTime;
use thiserror::Error;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::ReadBuf;
use tokio::task;

use crate::config::ClientConfig;
use crate::config::ServerConfig;
use crate::config::Target;
use crate::connection::Connection;
use crate::connection::Established;
use crate::error::Error;

/// A connection after its handshake. Reads give what the peer said, until it says goodbye: a connection that
/// ends without (which somebody on the way may have done) gives [`io::ErrorKind::UnexpectedEof`]. Writes are protected
/// at once and sent when there is room; [`AsyncWrite::poll_flush`] waits until all is on its way. A shutdown says
/// goodbye. At most 48 KiB are held that the peer has not taken.
pub struct TlcpStream<T> {
    io: T,
    connection: Connection,
    established: Arc<Established>,
    /// What the next read says: the connection failed behind plaintext that was given.
    failed: Option<Error>,
}

/// A handshake that failed.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// The peer closed the connection in the middle.
    #[error("the peer closed the connection during the handshake")]
    Closed,
    /// The connection failed.
    #[error("the connection failed during the handshake")]
    Io(#[source] io::Error),
    /// The protocol failed.
    #[error("the handshake failed")]
    Protocol(#[source] Error),
}

/// Shakes hands with a client. There is no time limit: that is the caller's. Dropping the future drops the
/// connection.
///
/// # Errors
/// When the handshake fails; the client has been told.
pub async fn accept<T>(io: T, config: Arc<ServerConfig>) -> Result<TlcpStream<T>, HandshakeError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    handshake(io, Connection::server(config)).await
}

/// Shakes hands with a server, as [`accept`] does with a client.
///
/// # Errors
/// When the handshake fails; the server has been told.
pub async fn connect<T>(
    io: T,
    config: Arc<ClientConfig>,
    target: Target,
) -> Result<TlcpStream<T>, HandshakeError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let connection = Connection::client(config, target, UnixTime::now());
    handshake(io, connection.map_err(HandshakeError::Protocol)?).await
}

async fn handshake<T>(
    mut io: T,
    mut connection: Connection,
) -> Result<TlcpStream<T>, HandshakeError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        flush(&mut io, &mut connection).await.map_err(HandshakeError::Io)?;
        if let Some(established) = connection.established().map(Arc::clone) {
            return Ok(TlcpStream { io, connection, established, failed: None });
        }
        let count = io.read(connection.room()).await.map_err(HandshakeError::Io)?;
        if count == 0 {
            return Err(HandshakeError::Closed);
        }
        connection.filled(count);
        let result;
        (connection, result) = process(connection).await?;
        if let Err(error) = result {
            // The peer may be gone already; the error is what counts.
            let _ = flush(&mut io, &mut connection).await;
            return Err(HandshakeError::Protocol(error));
        }
    }
}

/// A step of the handshake; on a thread that may block when a key does.
async fn process(
    mut connection: Connection,
) -> Result<(Connection, Result<(), Error>), HandshakeError> {
    if !connection.is_blocking() {
        let result = connection.process(UnixTime::now());
        return Ok((connection, result));
    }
    let step = task::spawn_blocking(move || {
        let result = connection.process(UnixTime::now());
        (connection, result)
    });
    // Only a panic of the key's implementation, or the end of the runtime, loses the step.
    step.await.map_err(|error| HandshakeError::Io(io::Error::other(error)))
}

async fn flush<T: AsyncWrite + Unpin>(io: &mut T, connection: &mut Connection) -> io::Result<()> {
    while !connection.output().is_empty() {
        let count = io.write(connection.output()).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        connection.sent(count);
    }
    io.flush().await
}

impl<T> TlcpStream<T> {
    /// What was agreed on and proved.
    pub fn established(&self) -> &Arc<Established> {
        &self.established
    }

    /// The stream below.
    pub fn get_ref(&self) -> &T {
        &self.io
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> TlcpStream<T> {
    /// Sends as much of the output as the stream below takes.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.connection.output().is_empty() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, self.connection.output()))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.connection.sent(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlcpStream<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut taken = false;
        loop {
            // More records may be there already: as many as fit are given at once.
            while !this.connection.plaintext().is_empty() && buffer.remaining() > 0 {
                let plain = this.connection.plaintext();
                let count = plain.len().min(buffer.remaining());
                buffer.put_slice(&plain[..count]);
                this.connection.consume(count);
                taken = true;
                if buffer.remaining() == 0 {
                    return Poll::Ready(Ok(()));
                }
                if let Err(error) = this.connection.process(UnixTime::now()) {
                    this.failed = Some(error);
                    break;
                }
            }
            if taken {
                return Poll::Ready(Ok(()));
            }
            let failed = this.failed.take();
            let result = failed.map_or_else(|| this.connection.process(UnixTime::now()), Err);
            if let Err(error) = result {
                // The alert goes as far as it can without waiting.
                let _ = this.poll_send(cx);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
            if !this.connection.plaintext().is_empty() {
                continue;
            }
            if this.connection.is_closed_by_peer() {
                return Poll::Ready(Ok(()));
            }
            let mut room = ReadBuf::new(this.connection.room());
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut room))?;
            let count = room.filled().len();
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            this.connection.filled(count);
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlcpStream<T> {
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
        let this = self.get_mut();
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        if this.connection.output().len() >= OUTPUT_LIMIT {
            ready!(this.poll_send(cx))?;
        }
        let written = this.connection.write(slices, OUTPUT_LIMIT).map_err(io::Error::other)?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        // What does not go now goes with the next write or flush.
        if let Poll::Ready(Err(error)) = this.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.connection.close();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

impl<T: fmt::Debug> fmt::Debug for TlcpStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlcpStream")
            .field("io", &self.io)
            .field("established", &self.established)
            .finish_non_exhaustive()
    }
}

/// Two records.
const OUTPUT_LIMIT: usize = 32 * 1024;
