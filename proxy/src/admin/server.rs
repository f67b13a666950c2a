//! Listens, and serves the pages.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use palanquin_config::ir::endpoint::Address;
use tokio::net::TcpListener;
use tokio::net::UnixListener;
use tracing::warn;

use super::AdminState;
use super::pages;

/// The socket of the admin endpoint.
#[derive(Debug)]
pub struct AdminServer(Socket);

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl AdminServer {
    /// Listens. A Unix socket that is left over from a process that ended is replaced.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Socket(address) => {
                if !address.ip().is_loopback() {
                    warn!(%address, "the admin endpoint is open to the network, without authentication");
                }
                TcpListener::bind(address).await.map(|listener| Self(Socket::Tcp(listener)))
            }
            Address::Pipe(path) => {
                remove_stale(path);
                UnixListener::bind(path).map(|listener| Self(Socket::Unix(listener)))
            }
        }
    }

    /// The address; `None` for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// Serves until `stop` is over, then ends requests that are still served.
    ///
    /// # Errors
    /// Those of accepting.
    pub async fn run(
        self,
        state: AdminState,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let state = Arc::new(state);
        let guarded = matches!(self.0, Socket::Tcp(_));
        let app = Router::new().fallback(move |request: Request| {
            let state = Arc::clone(&state);
            async move { pages::serve(&state, &request, guarded) }
        });
        match self.0 {
            Socket::Tcp(listener) => axum::serve(listener, app).with_graceful_shutdown(stop).await,
            Socket::Unix(listener) => axum::serve(listener, app).with_graceful_shutdown(stop).await,
        }
    }
}

/// Removes a socket nobody listens on any more.
fn remove_stale(path: &Path) {
    use std::os::unix::fs::FileTypeExt as _;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        // If it cannot be removed, binding says so.
        let _ = std::fs::remove_file(path);
    }
}
