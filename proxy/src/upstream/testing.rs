//! Clusters and scripted upstreams for tests: real sockets on loopback, every step awaited.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use palanquin_config::ir::Digest;
use palanquin_config::ir::cluster::Balancer;
use palanquin_config::ir::cluster::Cluster;
use palanquin_config::ir::cluster::Discovery;
use palanquin_config::ir::cluster::Http2Settings;
use palanquin_config::ir::cluster::Thresholds;
use palanquin_config::ir::cluster::UpstreamHttp1;
use palanquin_config::ir::cluster::UpstreamProtocol;
use palanquin_config::ir::endpoint::Address;
use palanquin_config::ir::endpoint::Endpoint;
use palanquin_config::ir::endpoint::EndpointSet;
use palanquin_config::ir::endpoint::Health;

/// An HTTP/1 round robin cluster of these endpoints, with Envoy's defaults.
pub(super) fn cluster(endpoints: Vec<Endpoint>) -> Cluster {
    Cluster {
        name: "test".into(),
        stat_name: "test".into(),
        digest: Digest::default(),
        discovery: Discovery::Static(Arc::new(set(endpoints))),
        balancer: Balancer::RoundRobin,
        locality_weighted: false,
        subsets: None,
        panic_threshold_percent: 50.0,
        connect_timeout: Duration::from_secs(5),
        buffer_limit: 1 << 20,
        protocol: UpstreamProtocol::Http1,
        http1: UpstreamHttp1::default(),
        http2: Http2Settings {
            max_concurrent_streams: 100,
            initial_stream_window_size: 1 << 20,
            initial_connection_window_size: 1 << 20,
            allow_connect: false,
            keepalive: None,
        },
        idle_timeout: Some(Duration::from_hours(1)),
        max_connection_duration: None,
        max_requests_per_connection: None,
        max_stream_duration: None,
        breakers: [Thresholds::default(), Thresholds::default()],
        tls: None,
        transport_matches: Vec::new(),
        tcp_keepalive: None,
        metadata: palanquin_filter_api::DynamicMetadata::default(),
    }
}

pub(super) fn set(endpoints: Vec<Endpoint>) -> EndpointSet {
    EndpointSet {
        digest: Digest::default(),
        endpoints: endpoints.into_iter().map(Arc::new).collect(),
        localities: Vec::new(),
        overprovisioning_factor: 140,
    }
}

pub(super) fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint {
        address: Address::Socket(address),
        hostname: "".into(),
        weight: 1,
        priority: 0,
        locality: 0,
        health: Health::Healthy,
        labels: palanquin_filter_api::MetadataMap::new(),
        transport_labels: palanquin_filter_api::MetadataMap::new(),
    }
}

/// The `n`-th of many endpoints nobody connects to.
pub(super) fn nowhere(n: u16) -> Endpoint {
    endpoint(SocketAddr::from(([127, 0, 0, 1], 10_000 + n)))
}

/// An upstream that does what the test says.
pub(super) struct Upstream(TcpListener);

impl Upstream {
    pub(super) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(super) async fn accept(&self) -> Peer {
        Peer(self.0.accept().await.unwrap().0)
    }
}

/// The upstream's end of a connection.
pub(super) struct Peer(pub(super) TcpStream);

impl Peer {
    /// Reads up to the end of a request head.
    pub(super) async fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    pub(super) async fn write(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Reads a request and answers it.
    pub(super) async fn serve(&mut self, response: &str) {
        self.read_head().await;
        self.write(response).await;
    }

    /// Waits until the proxy closes.
    pub(super) async fn closed(&mut self) {
        let mut rest = Vec::new();
        // A reset is a close as well.
        drop(self.0.read_to_end(&mut rest).await);
        assert!(rest.is_empty(), "unexpected bytes: {:?}", String::from_utf8_lossy(&rest));
    }
}

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
pub(super) const OK_CLOSE: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
