//! Clients over hyper: HTTP/1.1 and HTTP/2, with and without TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::Request;
use http::Response;
use http::Uri;
use http::header::HOST;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::time::within;
use crate::upstream::Body;
use crate::upstream::full;

/// A response, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status, version, header fields.
    pub head: http::response::Parts,
    /// The whole body.
    pub body: Bytes,
    /// The trailers.
    pub trailers: HeaderMap,
}

impl Answer {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// A header field as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Reads a response to its end.
    ///
    /// # Errors
    /// It is cut off.
    pub async fn read(response: Response<Incoming>) -> Result<Self, hyper::Error> {
        let (head, body) = response.into_parts();
        let collected = body.collect().await?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Ok(Self { head, body: collected.to_bytes(), trailers })
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    sender: Sender,
    connection: Option<JoinHandle<Result<(), hyper::Error>>>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Client {
    /// HTTP/1.1 in clear text.
    pub async fn http1(address: SocketAddr) -> Self {
        Self::over_http1(connect(address).await).await
    }

    /// HTTP/2 in clear text, with prior knowledge.
    pub async fn http2(address: SocketAddr) -> Self {
        Self::over_http2(connect(address).await).await
    }

    /// TLS; HTTP/2 if both want it (ALPN).
    ///
    /// # Errors
    /// The handshake fails. With TLS 1.3 a refused client certificate only shows in the first request.
    pub async fn tls(
        address: SocketAddr,
        server_name: &str,
        config: Arc<ClientConfig>,
    ) -> std::io::Result<Self> {
        let name = server_name.to_owned().try_into().unwrap();
        let stream = TlsConnector::from(config).connect(name, connect(address).await).await?;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(if h2 { Self::over_http2(stream).await } else { Self::over_http1(stream).await })
    }

    /// HTTP/1.1 over any stream.
    pub async fn over_http1(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = Some(tokio::spawn(connection.with_upgrades()));
        Self { sender: Sender::Http1(sender), connection }
    }

    /// HTTP/2 over any stream.
    pub async fn over_http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let builder = http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        Self { sender: Sender::Http2(sender), connection: Some(tokio::spawn(connection)) }
    }

    /// Sends a request and returns once its response begins.
    ///
    /// `uri` is a path; the host comes from the `host` field, `test.example` without one.
    ///
    /// # Errors
    /// There is no response.
    pub async fn request(
        &mut self,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let host = request.headers().get(HOST).cloned();
        let host = host.unwrap_or_else(|| http::HeaderValue::from_static("test.example"));
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                request.headers_mut().entry(HOST).or_insert(host);
                within("a free HTTP/1 connection", sender.ready()).await?;
                sender.send_request(request)
            }
            Sender::Http2(sender) => {
                request.headers_mut().remove(HOST);
                let mut parts = request.uri().clone().into_parts();
                parts.scheme = Some(http::uri::Scheme::HTTP);
                parts.authority = Some(host.to_str().unwrap().parse().unwrap());
                *request.uri_mut() = Uri::from_parts(parts).unwrap();
                within("room for an HTTP/2 stream", sender.ready()).await?;
                return within("a response", sender.send_request(request)).await;
            }
        };
        within("a response", response).await
    }

    /// Sends a request and reads the response to its end.
    ///
    /// # Errors
    /// There is no whole response.
    pub async fn try_send(&mut self, request: Request<Body>) -> Result<Answer, hyper::Error> {
        let response = self.request(request).await?;
        within("the end of a response", Answer::read(response)).await
    }

    /// As [`Self::try_send`].
    ///
    /// # Panics
    /// There is no whole response.
    pub async fn send(&mut self, request: Request<Body>) -> Answer {
        self.try_send(request).await.unwrap()
    }

    /// GET.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(get_request(path)).await
    }

    /// Another user of the same HTTP/2 connection, for requests at the same time.
    ///
    /// # Panics
    /// The connection is HTTP/1.
    #[must_use]
    pub fn another(&self) -> Self {
        match &self.sender {
            Sender::Http2(sender) => {
                Self { sender: Sender::Http2(sender.clone()), connection: None }
            }
            Sender::Http1(_) => panic!("an HTTP/1 connection takes one request at a time"),
        }
    }

    /// Waits until the peer has closed the connection.
    ///
    /// # Errors
    /// It was broken rather than closed.
    pub async fn closed(&mut self) -> Result<(), hyper::Error> {
        let connection = self.connection.take().expect("whoever connected waits, and once");
        within("the end of the connection", connection).await.unwrap()
    }

    /// Whether the connection can take another request.
    pub fn is_open(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => !sender.is_closed(),
            Sender::Http2(sender) => !sender.is_closed(),
        }
    }
}

/// A GET request.
pub fn get_request(path: &str) -> Request<Body> {
    Request::get(path).body(full("")).unwrap()
}

/// GET on a new HTTP/1.1 connection.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    Client::http1(address).await.get(path).await
}

/// GET with a host, on a new HTTP/1.1 connection.
pub async fn get_host(address: SocketAddr, host: &str, path: &str) -> Answer {
    let request = Request::get(path).header(HOST, host).body(full("")).unwrap();
    Client::http1(address).await.send(request).await
}

/// Any request on a new HTTP/1.1 connection.
pub async fn send(address: SocketAddr, request: Request<Body>) -> Answer {
    Client::http1(address).await.send(request).await
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = within("a connection", TcpStream::connect(address)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}
