//! Makes a connection to a host: TCP or Unix socket, then TLS, both within `connect_timeout`.
//!
//! Plain functions called in a row rather than a stack of services: there is one order, one policy and one
//! caller. The codec handshake is the pool's, which knows what it makes of the transport.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::net::UnixStream;

use palanquin_config::ir::cluster::Cluster as Config;
use palanquin_config::ir::cluster::TcpKeepalive;
use palanquin_config::ir::endpoint::Address;
use palanquin_config::ir::tls::UpstreamTls;
use palanquin_filter_api::TlsInfo;
use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::cluster as stat;
use palanquin_tls::ClientTls;
use palanquin_tls::Peeked;
use palanquin_tls::TlsConfigError;
use palanquin_tls::TlsError;
use palanquin_tls::TlsTarget;
use palanquin_tls::Transport;

use super::host::Host;
use crate::tls_cell::CellStats;
use crate::tls_cell::Slot;
use crate::tls_cell::TlsCell;

/// How connections of one cluster are made. Shared by all workers.
#[derive(Debug)]
pub struct Dialer {
    timeout: Duration,
    keepalive: Option<TcpKeepalive>,
    tls: Option<Arc<TlsCell<ClientTls>>>,
    /// By [`super::EndpointId::transport`].
    tls_by_match: Vec<Option<Arc<TlsCell<ClientTls>>>>,
    stats: Arc<Scope>,
}

/// A connection that is ready for a codec.
#[derive(Debug)]
pub struct Dialed {
    /// What the codec reads and writes.
    pub transport: Transport,
    /// Our address; `None` on a Unix socket.
    pub local: Option<SocketAddr>,
    /// What the TLS handshake agreed on; `None` without TLS.
    pub tls: Option<Arc<TlsInfo>>,
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The socket did not connect; the text is Envoy's transport failure reason.
    #[error("{reason}")]
    Connect {
        /// `delayed connect error: Connection refused`.
        reason: Cow<'static, str>,
    },
    /// It took longer than `connect_timeout`.
    #[error("connection timeout")]
    Timeout,
    /// A secret of the TLS settings has not come yet.
    #[error("Secret is not supplied by SDS")]
    SecretMissing,
    /// The handshake failed.
    #[error("TLS handshake failed")]
    Tls(#[source] TlsError),
}

impl Dialer {
    /// The dialer for a cluster's settings.
    ///
    /// # Errors
    /// When its TLS settings cannot be used.
    pub fn new(config: &Config, stats: &CellStats) -> Result<Self, TlsConfigError> {
        let build = |tls: Option<&Arc<UpstreamTls>>| {
            tls.map(|tls| TlsCell::new(tls, stats.clone())).transpose()
        };
        let by_match = config.transport_matches.iter();
        Ok(Self {
            timeout: config.connect_timeout,
            keepalive: config.tcp_keepalive.clone(),
            tls: build(config.tls.as_ref())?,
            tls_by_match: by_match
                .map(|candidate| build(candidate.tls.as_ref()))
                .collect::<Result<_, _>>()?,
            stats: Arc::clone(&stats.scope),
        })
    }

    /// The TLS contexts.
    pub fn slots(&self) -> impl Iterator<Item = Arc<dyn Slot>> {
        let cells = self.tls.iter().chain(self.tls_by_match.iter().flatten());
        cells.map(|cell| Arc::clone(cell) as Arc<dyn Slot>)
    }

    /// Connects to `host`, offering the protocols of `alpn` if the TLS context has none of its own.
    /// Dropping the future gives up.
    ///
    /// # Errors
    /// Everything that can be wrong with a peer is a [`DialError`].
    pub async fn dial(&self, host: &Host, alpn: &[&[u8]]) -> Result<Dialed, DialError> {
        let connected = async {
            // Looked at before anything is sent; a connection that is made meanwhile keeps what it has.
            let tls = match self.tls_for(host) {
                None => None,
                Some(cell) => Some(cell.load().ok_or_else(|| {
                    self.stats.inc(stat::CLIENT_SSL_UPSTREAM_CONTEXT_SECRETS_NOT_READY);
                    DialError::SecretMissing
                })?),
            };
            let (socket, local) = match &host.endpoint().address {
                Address::Socket(address) => self.dial_tcp(*address).await?,
                Address::Pipe(path) => (Peeked::unix(dial_unix(path).await?), None),
            };
            let Some(tls) = tls else {
                return Ok(Dialed { transport: Transport::Plain(socket), local, tls: None });
            };
            let hostname = &*host.endpoint().hostname;
            let target = TlsTarget { hostname, alpn, ..TlsTarget::default() };
            // Boxed: the handshake is large and rare.
            let secured = Box::pin(tls.handshake(socket, target)).await.map_err(DialError::Tls)?;
            Ok(Dialed { transport: secured.transport, local, tls: Some(secured.info) })
        };
        within(self.timeout, connected).await
    }

    fn tls_for(&self, host: &Host) -> Option<&Arc<TlsCell<ClientTls>>> {
        match host.endpoint().transport.and_then(|place| self.tls_by_match.get(place)) {
            Some(matched) => matched.as_ref(),
            None => self.tls.as_ref(),
        }
    }

    async fn dial_tcp(
        &self,
        address: SocketAddr,
    ) -> Result<(Peeked, Option<SocketAddr>), DialError> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| connect_error(&error, &address.to_string()))?;
        let local = stream.local_addr().ok();
        // A socket that refuses an option still carries requests; Envoy goes on as well.
        drop(stream.set_nodelay(true));
        if let Some(keepalive) = &self.keepalive {
            drop(set_keepalive(&stream, keepalive));
        }
        Ok((Peeked::tcp(stream), local))
    }
}

impl DialError {
    /// Envoy's transport failure reason; `None` for a timeout.
    pub fn reason(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Connect { reason } => Some(reason.clone()),
            Self::Timeout => None,
            Self::SecretMissing => Some(Cow::Borrowed("TLS error: Secret is not supplied by SDS")),
            Self::Tls(error) => Some(Cow::Owned(error.transport_failure_reason())),
        }
    }
}

async fn within<T>(
    limit: Duration,
    dial: impl Future<Output = Result<T, DialError>>,
) -> Result<T, DialError> {
    tokio::time::timeout(limit, dial).await.unwrap_or(Err(DialError::Timeout))
}

async fn dial_unix(path: &Path) -> Result<UnixStream, DialError> {
    UnixStream::connect(path)
        .await
        .map_err(|error| connect_error(&error, &path.display().to_string()))
}

/// Envoy's words: an error that `connect` itself returns is immediate and names the address, one that
/// comes later is delayed.
fn connect_error(error: &io::Error, address: &str) -> DialError {
    let text = os_text(error);
    let is_immediate = matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::InvalidInput
    );
    let reason = if is_immediate {
        format!("immediate connect error: {text}|remote address:{address}")
    } else {
        format!("delayed connect error: {text}")
    };
    DialError::Connect { reason: reason.into() }
}

/// The system's text without the number that Rust appends.
fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}

fn set_keepalive(stream: &TcpStream, keepalive: &TcpKeepalive) -> io::Result<()> {
    let mut settings = socket2::TcpKeepalive::new();
    if let Some(time) = keepalive.time {
        settings = settings.with_time(time);
    }
    if let Some(interval) = keepalive.interval {
        settings = settings.with_interval(interval);
    }
    if let Some(probes) = keepalive.probes {
        settings = settings.with_retries(probes);
    }
    SockRef::from(stream).set_tcp_keepalive(&settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(error: io::Error) -> String {
        connect_error(&error, "/run/none.sock").to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn a_dial_that_takes_too_long_is_a_timeout() {
        let never = std::future::pending::<Result<(), DialError>>();
        let result = within(Duration::from_secs(5), never).await;
        assert!(matches!(result, Err(DialError::Timeout)));
        assert_eq!(DialError::Timeout.reason(), None);
    }

    #[test]
    fn connect_errors_read_as_envoys() {
        assert_eq!(
            reason(io::Error::from_raw_os_error(libc::ECONNREFUSED)),
            "delayed connect error: Connection refused"
        );
        assert_eq!(
            reason(io::Error::from_raw_os_error(libc::ENOENT)),
            "immediate connect error: No such file or directory|remote address:/run/none.sock"
        );
    }
}
