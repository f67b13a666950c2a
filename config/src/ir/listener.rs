//! Listeners and their filter chains.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Digest;
use super::endpoint::Address;
use super::http::ConnectionManager;
use super::tls::DownstreamTls;
use super::tracing::Direction;

/// `listener.v3.Listener`.
#[derive(Debug)]
pub struct Listener {
    /// Its name; the address when it has none.
    pub name: Arc<str>,
    /// `stat_prefix`, or the address with `:` as `_`: `listener.<this>.*`.
    pub stat_prefix: Arc<str>,
    /// Digest of the resource it was lowered from.
    pub digest: Digest,
    /// Where it listens; port 0 lets the kernel choose.
    pub addresses: Vec<Address>,
    /// Whether it binds at all (`bind_to_port: false` listeners serve redirected connections only).
    pub bind_to_port: bool,
    /// The chains with their conditions.
    pub chains: Vec<Arc<FilterChain>>,
    /// The chain when no other matches.
    pub default_chain: Option<Arc<FilterChain>>,
    /// What is looked at before a chain is chosen.
    pub inspect: Inspect,
    /// For all inspection. Default 15 s; `None`: no limit.
    pub inspect_timeout: Option<Duration>,
    /// Go on without the facts when the time is over.
    pub continue_on_inspect_timeout: bool,
    /// How much is buffered for a connection. Default 1 MiB.
    pub buffer_limit: u32,
    /// Length of the accept queue. Default 128 as the kernel's SOMAXCONN allows.
    pub backlog: u32,
    /// `traffic_direction`; `None`: it does not say.
    pub direction: Option<Direction>,
}

/// Which listener filters run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inspect {
    /// `original_dst`: the address before redirection.
    pub original_destination: bool,
    /// `proxy_protocol`: a PROXY header comes first.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// `tls_inspector`: SNI and ALPN of a ClientHello.
    pub tls: bool,
    /// `http_inspector`: which HTTP it is.
    pub http: bool,
}

/// Settings of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// A connection without the header is served too.
    pub optional: bool,
}

/// `listener.v3.FilterChain`.
#[derive(Debug)]
pub struct FilterChain {
    /// Its name; may be empty.
    pub name: Arc<str>,
    /// When it is chosen.
    pub matches: FilterChainMatch,
    /// Encryption; `None`: plaintext.
    pub tls: Option<Arc<DownstreamTls>>,
    /// For the handshake. Default none.
    pub transport_connect_timeout: Option<Duration>,
    /// What serves the connection.
    pub network: NetworkFilter,
}

/// The network filter at the end of a chain.
#[derive(Debug)]
pub enum NetworkFilter {
    /// Nothing: the connection is closed at once (a chain without filters).
    Close,
    /// `http_connection_manager`.
    Http(Arc<ConnectionManager>),
    /// `tcp_proxy`.
    Tcp(Arc<TcpProxy>),
}

/// `tcp_proxy.v3.TcpProxy`.
#[derive(Debug)]
pub struct TcpProxy {
    /// `tcp.<stat_prefix>.*`
    pub stat_prefix: Arc<str>,
    /// Clusters with weights; one of weight 1 for `cluster`.
    pub clusters: Vec<(Arc<str>, u32)>,
    /// Without a byte in either direction the connection ends. Default 1 h; `None`: never.
    pub idle_timeout: Option<Duration>,
}

/// `listener.v3.FilterChainMatch`. Empty lists match anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterChainMatch {
    /// The original destination's port.
    pub destination_port: Option<u16>,
    /// Destination networks.
    pub destination_ranges: Vec<Cidr>,
    /// Where the connection comes from.
    pub source_type: SourceType,
    /// Source networks.
    pub source_ranges: Vec<Cidr>,
    /// Source networks of the direct peer.
    pub direct_source_ranges: Vec<Cidr>,
    /// Source ports.
    pub source_ports: Vec<u16>,
    /// Server names in lower case: `www.example.com`, or `.example.com` for `*.example.com`.
    pub server_names: Vec<Box<str>>,
    /// `tls`, `tlcp` or `raw_buffer`; empty: any.
    pub transport_protocol: Box<str>,
    /// ALPN protocols, or what the HTTP inspector found.
    pub application_protocols: Vec<Box<str>>,
}

/// `FilterChainMatch.ConnectionSourceType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SourceType {
    /// From anywhere.
    #[default]
    Any,
    /// From this host.
    SameIpOrLoopback,
    /// From another host.
    External,
}

/// `core.v3.CidrRange`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// The network; host bits are zero.
    pub network: IpAddr,
    /// How many leading bits count.
    pub prefix_len: u8,
}

impl Cidr {
    /// The network of `prefix_len` leading bits of `address`. More bits than it has are all of them.
    pub fn new(address: IpAddr, prefix_len: u8) -> Self {
        let (network, width) = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix_len.min(32))).unwrap_or(0);
                (IpAddr::from((address.to_bits() & mask).to_be_bytes()), 32)
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix_len.min(128))).unwrap_or(0);
                (IpAddr::from((address.to_bits() & mask).to_be_bytes()), 128)
            }
        };
        Self { network, prefix_len: prefix_len.min(width) }
    }

    /// Whether `address` lies within. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let shift = |width: u32| width.saturating_sub(u32::from(self.prefix_len));
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()).checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()).checked_shr(shift(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}
