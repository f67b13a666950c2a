//! Why a request got no response from an upstream connection. The same for HTTP/1 and HTTP/2.

use palanquin_filter_api::BodyError;

/// A failed exchange on an upstream connection; the connection is not used again unless it is HTTP/2 and
/// only the stream failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// What happened.
    pub kind: SendErrorKind,
    /// Nothing of the response had arrived and the connection had served a request before: the usual
    /// race with a peer that closes an idle connection.
    pub reused: bool,
    /// Bytes of the request handed to the transport, head included; 0: it may safely be sent again.
    pub bytes_sent: u64,
}

/// What happened to the exchange.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendErrorKind {
    /// The upstream closed the connection.
    #[error("connection termination")]
    Closed,
    /// The client's own body failed; nobody is left to answer.
    #[error("the request body failed: {0}")]
    RequestBody(BodyError),
    /// The upstream's answer broke the protocol.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// The upstream refused the stream before it looked at it (REFUSED_STREAM, or GOAWAY below it).
    #[error("the upstream refused the stream")]
    Refused,
    /// The upstream reset the stream or the connection.
    #[error("remote reset")]
    Reset,
}
