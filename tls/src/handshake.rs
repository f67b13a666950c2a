//! What a handshake engine gives and needs; the seam at which other stacks than rustls are added.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use palanquin_filter_api::TlsInfo;

use crate::client::TlsTarget;
use crate::error::TlsError;
use crate::transport::Peeked;
use crate::transport::Transport;

/// A future of the `!Send` data path.
pub type LocalBoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A connection after its handshake.
#[derive(Debug)]
pub struct Secured {
    /// What the codec reads and writes.
    pub transport: Transport,
    /// What was agreed and proved.
    pub info: Arc<TlsInfo>,
}

/// Facts of a connection that a handshake may depend on.
#[derive(Debug, Clone, Copy, Default)]
pub struct HandshakeCx {
    /// Our address.
    pub local: Option<SocketAddr>,
    /// The peer's address.
    pub remote: Option<SocketAddr>,
}

/// An engine for downstream connections. [`crate::ServerTls`] is the one for standard TLS; TLCP (GB/T
/// 38636), which is not TLS, is another.
pub trait Accept: fmt::Debug + Send + Sync {
    /// Shakes hands with a client. Dropping the future drops the connection. There is no time limit: that
    /// is the caller's.
    fn accept(&self, io: Peeked, cx: HandshakeCx) -> LocalBoxFuture<'_, Result<Secured, TlsError>>;
}

/// An engine for upstream connections.
pub trait Connect: fmt::Debug + Send + Sync {
    /// Shakes hands with a server. Dropping the future drops the connection.
    fn connect<'a>(
        &'a self,
        io: Peeked,
        target: TlsTarget<'a>,
    ) -> LocalBoxFuture<'a, Result<Secured, TlsError>>;
}
