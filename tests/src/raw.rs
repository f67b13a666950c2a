//! Connections in single bytes: clients and upstreams that say what no library would.

use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;

use crate::time::within;

/// One end of a TCP connection.
#[derive(Debug)]
pub struct RawConnection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An HTTP/1 message as it was on the wire.
#[derive(Debug, Clone)]
pub struct RawMessage {
    /// The first line.
    pub start: String,
    /// The fields in order, as written.
    pub fields: Vec<(String, String)>,
    /// The body: of known length or decoded from chunks, or up to the end of the connection.
    pub body: Vec<u8>,
}

impl RawMessage {
    /// The first field of that name, in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl RawConnection {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(address)).await.unwrap();
        Self::new(stream)
    }

    /// Takes a connection over.
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// Sends bytes. A peer that has closed already is no failure here.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        // What the peer made of it is seen in what it answers.
        drop(within("a write", self.stream.write_all(bytes.as_ref())).await);
    }

    /// Sends bytes; false if the peer does not take them all within a second. The one wait for time to
    /// pass: that a peer does *not* read cannot be seen otherwise.
    pub async fn try_write(&mut self, bytes: &[u8]) -> bool {
        let write = self.stream.write_all(bytes);
        tokio::time::timeout(std::time::Duration::from_secs(1), write).await.is_ok()
    }

    /// Says that nothing more is coming.
    pub async fn finish(&mut self) {
        drop(self.stream.shutdown().await);
    }

    /// Reads up to the end of a head, including the empty line.
    ///
    /// # Panics
    /// The connection ended before.
    pub async fn read_head(&mut self) -> String {
        self.try_read_head().await.expect("a head before the connection ends")
    }

    /// As [`Self::read_head`]; `None` if the connection ends first.
    pub async fn try_read_head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Reads a whole request or response.
    pub async fn read_message(&mut self) -> RawMessage {
        self.try_read_message(Payload::AsFramed)
            .await
            .expect("a message before the connection ends")
    }

    /// Reads a response that has no body whatever its fields say (to HEAD).
    pub async fn read_bodiless(&mut self) -> RawMessage {
        self.try_read_message(Payload::None).await.expect("a message before the connection ends")
    }

    /// As [`Self::read_message`]; `None` if the connection ends before there is a head.
    pub async fn try_read_message(&mut self, payload: Payload) -> Option<RawMessage> {
        let head = self.try_read_head().await?;
        let mut lines = head.trim_end().split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut message = RawMessage { start, fields, body: Vec::new() };
        if payload == Payload::None {
            return Some(message);
        }
        let chunked = message.field("transfer-encoding").is_some_and(|value| value == "chunked");
        if chunked {
            message.body = self.read_chunks().await;
        } else if let Some(length) = message.field("content-length") {
            message.body = self.read_exact(length.parse().unwrap()).await;
        } else if message.start.starts_with("HTTP/") && !has_no_body(message.status()) {
            message.body = self.read_to_end().await;
        }
        Some(message)
    }

    async fn read_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = self.read_line().await;
            let size = usize::from_str_radix(size.split(';').next().unwrap().trim(), 16).unwrap();
            body.extend(self.read_exact(size).await);
            if size == 0 {
                // Trailers, then an empty line.
                while !self.read_line().await.is_empty() {}
                return body;
            }
            self.read_line().await;
        }
    }

    /// Reads a line, without its end.
    pub async fn read_line(&mut self) -> String {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return String::from_utf8_lossy(&line[..end]).into_owned();
            }
            assert!(self.fill().await, "the connection ended in a line: {:?}", self.buffer);
        }
    }

    /// Reads that many bytes.
    pub async fn read_exact(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(
                self.fill().await,
                "the connection ended {} bytes early",
                count - self.buffer.len()
            );
        }
        self.buffer.drain(..count).collect()
    }

    /// Reads until the peer closes (or resets).
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.buffer)
    }

    /// Waits for the peer's close.
    ///
    /// # Panics
    /// It sent something before.
    pub async fn expect_close(&mut self) {
        let rest = self.read_to_end().await;
        assert!(rest.is_empty(), "not closed but: {}", String::from_utf8_lossy(&rest));
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        // A linger of zero turns the close into a reset; nothing waits.
        self.stream.set_zero_linger().unwrap();
    }

    async fn fill(&mut self) -> bool {
        match within("bytes from the peer", self.stream.read_buf(&mut self.buffer)).await {
            Ok(count) => count > 0,
            Err(_) => false,
        }
    }
}

/// Whether a message's fields tell how long its body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// They do.
    AsFramed,
    /// There is none whatever they say.
    None,
}

/// An upstream that the test plays, byte by byte.
#[derive(Debug)]
pub struct RawUpstream {
    /// Where it listens.
    pub address: SocketAddr,
    listener: TcpListener,
}

impl RawUpstream {
    /// Listens on a port of the system's choice.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: listener.local_addr().unwrap(), listener }
    }

    /// The next connection.
    pub async fn accept(&self) -> RawConnection {
        let (stream, _) =
            within("a connection to the upstream", self.listener.accept()).await.unwrap();
        RawConnection::new(stream)
    }
}

/// An address that nobody listens on, and nobody else can while this lives: connections are refused.
#[derive(Debug)]
pub struct ClosedPort {
    /// The address.
    pub address: SocketAddr,
    socket: TcpSocket,
}

impl ClosedPort {
    /// Takes a port of the system's choice.
    pub fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self { address: socket.local_addr().unwrap(), socket }
    }

    /// Listens on it from now on.
    pub fn listen(self) -> TcpListener {
        self.socket.listen(1024).unwrap()
    }
}

fn has_no_body(status: u16) -> bool {
    status < 200 || status == 204 || status == 304
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
