//! Listener filters: what is looked at before a chain is chosen.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use palanquin_config::ir::listener::Listener;
use palanquin_filter_api::stats::Counter;
use palanquin_filter_api::stats::listener as stat;
use palanquin_tls::Peeked;
use palanquin_tls::inspect::MAX_HELLO;
use palanquin_tls::inspect::Sniffed;
use palanquin_tls::inspect::client_hello;
use tokio::time::timeout;

use super::detect;
use super::proxy_protocol;
use super::proxy_protocol::Parsed;

/// The addresses of a connection as far as they are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) remote: SocketAddr,
    pub(crate) direct_remote: SocketAddr,
    pub(crate) local: SocketAddr,
}

/// What the first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detected {
    /// Neither of the others, or nobody looked.
    Plain,
    /// A hello of TLCP.
    Tlcp,
    /// A hello of TLS.
    Tls,
}

impl Detected {
    /// Its name as a `transport_protocol`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "raw_buffer",
            Self::Tlcp => "tlcp",
            Self::Tls => "tls",
        }
    }
}

/// What was found out.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) ends: Ends,
    pub(crate) transport: Detected,
    pub(crate) server_name: Option<Arc<str>>,
    pub(crate) protocols: Vec<Box<str>>,
}

impl Seen {
    /// Only what the socket says.
    pub(crate) fn nothing(ends: Ends) -> Self {
        Self { ends, transport: Detected::Plain, server_name: None, protocols: Vec::new() }
    }
}

/// Why a connection is closed before it has a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InspectFailure {
    /// The client closed it, or sent what no filter understands.
    Invalid,
    /// The facts did not come in time.
    Timeout,
}

impl InspectFailure {
    pub(crate) fn counter(self) -> Counter {
        match self {
            Self::Invalid => stat::DOWNSTREAM_LISTENER_FILTER_ERROR,
            Self::Timeout => stat::DOWNSTREAM_PRE_CX_TIMEOUT,
        }
    }
}

impl From<io::Error> for InspectFailure {
    fn from(_: io::Error) -> Self {
        Self::Invalid
    }
}

/// Whether the listener looks at anything.
pub(crate) fn is_needed(listener: &Listener) -> bool {
    let inspect = &listener.inspect;
    inspect.tls || inspect.http || inspect.original_destination || inspect.proxy_protocol.is_some()
}

/// Looks, within the listener's time.
pub(crate) async fn look(
    io: &mut Peeked,
    listener: &Listener,
    ends: Ends,
) -> Result<Seen, InspectFailure> {
    let mut seen = Seen::nothing(ends);
    let looking = look_at_all(io, listener, &mut seen);
    let Some(limit) = listener.inspect_timeout else {
        looking.await?;
        return Ok(seen);
    };
    match timeout(limit, looking).await {
        Ok(result) => result?,
        Err(_) if listener.continue_on_inspect_timeout => {}
        Err(_) => return Err(InspectFailure::Timeout),
    }
    Ok(seen)
}

async fn look_at_all(
    io: &mut Peeked,
    listener: &Listener,
    seen: &mut Seen,
) -> Result<(), InspectFailure> {
    let inspect = &listener.inspect;
    if inspect.original_destination
        && let Some(stream) = io.tcp_stream()
        && let Some(original) = original_destination(stream, seen.ends.local)
    {
        seen.ends.local = original;
    }
    if let Some(rules) = inspect.proxy_protocol {
        loop {
            match proxy_protocol::parse(io.peeked()) {
                Parsed::Incomplete => more(io, proxy_protocol::MAX_HEADER).await?,
                Parsed::Header { length, addresses } => {
                    io.consume(length);
                    if let Some((source, destination)) = addresses {
                        seen.ends.remote = source;
                        seen.ends.local = destination;
                    }
                    break;
                }
                Parsed::Absent if rules.optional => break,
                Parsed::Absent | Parsed::Invalid => return Err(InspectFailure::Invalid),
            }
        }
    }
    if inspect.tls {
        loop {
            match client_hello(io.peeked()) {
                Sniffed::Incomplete => more(io, MAX_HELLO).await?,
                Sniffed::Hello(hello) => {
                    seen.transport = if hello.tlcp { Detected::Tlcp } else { Detected::Tls };
                    seen.server_name = hello.server_name.map(Arc::from);
                    seen.protocols = hello
                        .alpn
                        .iter()
                        .map(|protocol| String::from_utf8_lossy(protocol).into())
                        .collect();
                    break;
                }
                Sniffed::NotTls => break,
                Sniffed::TooLarge => return Err(InspectFailure::Invalid),
            }
        }
    }
    if inspect.http && seen.transport == Detected::Plain {
        loop {
            match detect::http(io.peeked()) {
                detect::Http::Incomplete => more(io, MAX_HELLO).await?,
                detect::Http::Found(name) => {
                    seen.protocols.push(name.into());
                    break;
                }
                detect::Http::Other => break,
            }
        }
    }
    Ok(())
}

/// Waits for more bytes; the end of the connection ends the inspection.
async fn more(io: &mut Peeked, limit: usize) -> Result<(), InspectFailure> {
    match io.peek_more(limit.saturating_sub(io.peeked().len()).max(1)).await? {
        0 => Err(InspectFailure::Invalid),
        _ => Ok(()),
    }
}

/// The address before netfilter redirected the connection; `None` when it was not.
fn original_destination(stream: &tokio::net::TcpStream, local: SocketAddr) -> Option<SocketAddr> {
    let socket = socket2::SockRef::from(stream);
    let original =
        if local.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    original.ok()?.as_socket()
}
