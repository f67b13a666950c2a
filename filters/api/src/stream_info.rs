//! The facts of one request: what access log, span and statistics tell about it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use http::HeaderValue;
use http::StatusCode;
use http::Version;

use crate::ResponseFlags;
use crate::TlsInfo;

/// The facts of a downstream connection, shared by its streams.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// `%CONNECTION_ID%`, unique in the process.
    pub id: u64,
    /// The peer's address: the client's, or what the PROXY protocol said.
    pub remote: SocketAddr,
    /// The address of the socket's peer itself.
    pub direct_remote: SocketAddr,
    /// The local address, after original-destination recovery.
    pub local: SocketAddr,
    /// The name of the listener.
    pub listener: Arc<str>,
    /// The name of the filter chain; empty when it has none.
    pub filter_chain: Arc<str>,
    /// The server name asked for, by TLS or by the TLS inspector.
    pub sni: Option<Arc<str>>,
    /// What the handshake established; `None` on plaintext.
    pub tls: Option<Arc<TlsInfo>>,
}

/// When the steps of a request happened.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The wall clock at the first byte of the request.
    pub start_time: SystemTime,
    /// The monotonic clock at the same moment.
    pub start: Instant,
    /// Last byte of the request received.
    pub request_end: Option<Instant>,
    /// First byte sent upstream.
    pub upstream_start: Option<Instant>,
    /// Response head received from upstream.
    pub upstream_response: Option<Instant>,
    /// First byte of the response sent downstream.
    pub response_start: Option<Instant>,
    /// The exchange is over.
    pub end: Option<Instant>,
}

impl Timing {
    /// Starts the clocks: `now` by the monotonic one, `start_time` by the wall clock.
    pub fn start(now: Instant, start_time: SystemTime) -> Self {
        Self {
            start_time,
            start: now,
            request_end: None,
            upstream_start: None,
            upstream_response: None,
            response_start: None,
            end: None,
        }
    }

    /// From the start to `at`.
    pub fn since_start(&self, at: Option<Instant>) -> Option<Duration> {
        at.map(|at| at.saturating_duration_since(self.start))
    }
}

/// Where the request went.
#[derive(Debug, Clone, Default)]
pub struct UpstreamInfo {
    /// The cluster that was chosen, `%UPSTREAM_CLUSTER_RAW%`.
    pub cluster: Option<Arc<str>>,
    /// Its `alt_stat_name` if it has one, `%UPSTREAM_CLUSTER%`.
    pub cluster_stat_name: Option<Arc<str>>,
    /// The endpoint of the last attempt, as `ip:port` or a path, `%UPSTREAM_HOST%`.
    pub host: Option<Arc<str>>,
    /// The host name of the endpoint, when the configuration gives one.
    pub hostname: Option<Arc<str>>,
    /// Our side of the upstream connection.
    pub local: Option<SocketAddr>,
    /// `%UPSTREAM_TRANSPORT_FAILURE_REASON%`.
    pub transport_failure: Option<Cow<'static, str>>,
    /// `%UPSTREAM_REQUEST_ATTEMPT_COUNT%`; 0 when nothing was sent upstream.
    pub attempts: u32,
    /// The protocol spoken upstream.
    pub protocol: Option<Version>,
    /// The TLS facts of the upstream connection.
    pub tls: Option<Arc<TlsInfo>>,
}

/// The facts of one stream.
#[derive(Debug)]
pub struct StreamInfo {
    /// The connection it came on.
    pub connection: Rc<ConnectionInfo>,
    /// The downstream protocol.
    pub protocol: Option<Version>,
    /// The trusted client address (after `x-forwarded-for`), `%DOWNSTREAM_REMOTE_ADDRESS%`.
    pub remote: SocketAddr,
    /// When things happened.
    pub timing: Timing,
    /// The `x-request-id`.
    pub request_id: Option<HeaderValue>,
    /// `%ROUTE_NAME%`.
    pub route_name: Option<Arc<str>>,
    /// `%VIRTUAL_CLUSTER_NAME%`'s home: the virtual host's name.
    pub virtual_host: Option<Arc<str>>,
    /// Where the request went.
    pub upstream: UpstreamInfo,
    /// The status sent downstream; `None` until then.
    pub response_code: Option<StatusCode>,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub response_code_details: Option<Cow<'static, str>>,
    /// `%RESPONSE_FLAGS%`.
    pub flags: ResponseFlags,
    /// `%CONNECTION_TERMINATION_DETAILS%`.
    pub connection_termination: Option<Cow<'static, str>>,
    /// Body bytes received from downstream.
    pub bytes_received: u64,
    /// Body bytes sent downstream.
    pub bytes_sent: u64,
    /// Body bytes sent upstream.
    pub upstream_bytes_sent: u64,
    /// Body bytes received from upstream.
    pub upstream_bytes_received: u64,
    /// The gRPC status of the response, when it carried one.
    pub grpc_status: Option<u8>,
}

impl StreamInfo {
    /// The facts at the first moment of a stream.
    pub fn begin(connection: Rc<ConnectionInfo>, now: Instant) -> Self {
        Self::begin_at(connection, now, SystemTime::now())
    }

    /// As [`Self::begin`], where the wall clock was read already.
    pub fn begin_at(connection: Rc<ConnectionInfo>, now: Instant, start_time: SystemTime) -> Self {
        Self {
            remote: connection.remote,
            connection,
            protocol: None,
            timing: Timing::start(now, start_time),
            request_id: None,
            route_name: None,
            virtual_host: None,
            upstream: UpstreamInfo::default(),
            response_code: None,
            response_code_details: None,
            flags: ResponseFlags::default(),
            connection_termination: None,
            bytes_received: 0,
            bytes_sent: 0,
            upstream_bytes_sent: 0,
            upstream_bytes_received: 0,
            grpc_status: None,
        }
    }
}
