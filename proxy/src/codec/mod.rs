//! The narrow seam between wire protocols and the rest of the proxy.
//!
//! A codec turns a connection into requests and calls a [`Service`], the HTTP connection manager, for
//! each; it knows nothing of routes, filters or clusters. HTTP/1 and HTTP/2 hand over the same form:
//!
//! - `uri` holds **path and query only**. The authority is always the `host` header (for HTTP/2 the
//!   codec inserts it from `:authority`; for an absolute-form target it replaces the client's). The
//!   scheme of an absolute-form target is in the extension [`TargetScheme`]. A CONNECT request has the
//!   path `/` and its authority in `host`; an extended CONNECT (RFC 8441) is presented in its HTTP/1
//!   form: `GET` with the [`Upgrade`] extension.
//! - Hop-by-hop fields are gone ([`hop`]), except `upgrade` and `connection: upgrade` of a request
//!   with the extension [`Upgrade`].
//! - A response may carry `connection: close` to have its HTTP/1 connection closed after it; every
//!   other connection field a service sets is ignored. `date` and `server` are not the codec's.
//! - Nothing is spawned: bodies are polled by the task that serves the connection.

use http::HeaderValue;
use http::Request;
use http::Response;
use http::request::Parts;
use http::uri::Scheme;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use palanquin_filter_api::Body;

mod drain;
mod expect;
pub mod h1;
pub mod h2;
pub mod hop;
mod meter;
mod outgoing;
mod send_error;
mod violation;

pub use drain::Drain;
pub use drain::DrainTrigger;
pub use expect::ContinueSignal;
pub use meter::Meter;
pub use outgoing::Outgoing;
pub use send_error::SendError;
pub use send_error::SendErrorKind;
pub use violation::Violation;

/// What a codec calls for each request of a connection. Implemented by the HTTP connection manager.
pub trait Service {
    /// Serves one request. The future is dropped when the client goes away.
    fn call(&self, request: Request<Body>) -> impl Future<Output = Response<Body>>;

    /// Answers a message that cannot be served; `partial` is what was understood of the request, if
    /// its head was. Also called when a request body breaks its framing before a response started.
    fn reject(&self, violation: &Violation, partial: Option<&Parts>) -> Response<Body>;
}

/// A transport a codec can drive.
pub trait Io: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Makes the coming drop an abort (a TCP reset) instead of an orderly end, where that is possible.
    /// Needed where the end of the connection is the end of the message.
    fn abort(&mut self) {}
}

impl Io for tokio::net::TcpStream {
    fn abort(&mut self) {
        // a socket that refuses the option is closed in the ordinary way: nothing better is left
        drop(self.set_zero_linger());
    }
}

impl Io for tokio::io::DuplexStream {}

impl Io for palanquin_tls::Transport {
    fn abort(&mut self) {
        if let Some(stream) = self.tcp_stream() {
            drop(stream.set_zero_linger());
        }
    }
}

/// Request extension: the client asks to leave HTTP on this connection.
///
/// The service decides. If it answers 101 (2xx for CONNECT) the request body yields the client's raw
/// bytes until it half-closes, and the response body is written raw. Otherwise the payload is never
/// handed over, and the connection is closed after the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// The value of the `upgrade` field; `CONNECT` for a CONNECT request.
    pub protocol: HeaderValue,
}

/// Request extension: the scheme of an absolute-form target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetScheme(pub Scheme);
