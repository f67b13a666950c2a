//! A non-blocking connection with an input and an output buffer, cleartext or TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustls::Connection;

/// One connection. What was read is in `input`, what is to be sent goes to `output`.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    tls: Option<Box<Connection>>,
    /// Bytes read and not yet consumed.
    pub input: Vec<u8>,
    /// Bytes to send with the next [`Stream::flush`].
    pub output: Vec<u8>,
    sent: usize,
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// New bytes are in the input.
    Data,
    /// Nothing now.
    Nothing,
    /// The peer is gone, or broke TLS.
    Closed,
}

/// What is left after a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing: all was handed to the kernel.
    All,
    /// The socket is full; flush again when it is writable.
    Blocked,
    /// The peer is gone.
    Closed,
}

impl Stream {
    /// Wraps a non-blocking socket.
    pub fn new(socket: TcpStream, tls: Option<Connection>) -> Self {
        let tls = tls.map(Box::new);
        Self { socket, tls, input: Vec::new(), output: Vec::new(), sent: 0 }
    }

    /// The socket, for the epoll set.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Whether a handshake is still going on.
    pub fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Reads once; `scratch` is a buffer shared by all connections.
    pub fn fill(&mut self, scratch: &mut [u8]) -> Filled {
        match &mut self.tls {
            None => match self.socket.read(scratch) {
                Ok(0) => Filled::Closed,
                Ok(count) => {
                    self.input.extend_from_slice(&scratch[..count]);
                    Filled::Data
                }
                Err(error) => outcome(&error),
            },
            Some(tls) => {
                match tls.read_tls(&mut self.socket) {
                    Ok(0) => return Filled::Closed,
                    Ok(_) => {}
                    Err(error) => return outcome(&error),
                }
                let Ok(state) = tls.process_new_packets() else { return Filled::Closed };
                let waiting = state.plaintext_bytes_to_read();
                if waiting == 0 {
                    return if state.peer_has_closed() { Filled::Closed } else { Filled::Nothing };
                }
                let start = self.input.len();
                self.input.resize(start + waiting, 0);
                match tls.reader().read_exact(&mut self.input[start..]) {
                    Ok(()) => Filled::Data,
                    Err(_) => Filled::Closed,
                }
            }
        }
    }

    /// Sends what is in the output, as far as the socket takes it.
    pub fn flush(&mut self) -> Flushed {
        loop {
            match &mut self.tls {
                None => {
                    if self.sent == self.output.len() {
                        self.clear();
                        return Flushed::All;
                    }
                    match self.socket.write(&self.output[self.sent..]) {
                        Ok(count) => self.sent += count,
                        Err(error) => return blocked(&error),
                    }
                }
                Some(tls) => {
                    if self.sent < self.output.len() {
                        match tls.writer().write(&self.output[self.sent..]) {
                            Ok(count) => self.sent += count,
                            Err(_) => return Flushed::Closed,
                        }
                    }
                    if !tls.wants_write() {
                        let all = self.sent == self.output.len();
                        if all {
                            self.clear();
                            return Flushed::All;
                        }
                        // Before the handshake is over rustls keeps only so much; wait for the peer.
                        return Flushed::All;
                    }
                    if let Err(error) = tls.write_tls(&mut self.socket) {
                        return blocked(&error);
                    }
                }
            }
        }
    }

    fn clear(&mut self) {
        self.output.clear();
        self.sent = 0;
    }
}

fn outcome(error: &io::Error) -> Filled {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Filled::Nothing,
        _ => Filled::Closed,
    }
}

fn blocked(error: &io::Error) -> Flushed {
    match error.kind() {
        // A socket that still connects says so too.
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::NotConnected => {
            Flushed::Blocked
        }
        _ => Flushed::Closed,
    }
}
