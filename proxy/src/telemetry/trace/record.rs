//! A finished request's spans as plain facts: what crosses to the control thread.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Uri;
use http::Version;
use palanquin_config::ir::tracing::Exporter;
use palanquin_filter_api::ResponseFlags;
use smallvec::SmallVec;

/// Who we are, as every span says it.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// `node.id`
    pub id: String,
    /// `node.cluster`
    pub cluster: String,
    /// `node.locality.zone`
    pub zone: String,
}

/// The server span of a request and the client spans of its attempts. Nothing is formatted yet, and what
/// came from messages is held by reference count.
#[derive(Debug)]
pub struct SpanRecord {
    pub(super) exporter: Arc<Exporter>,
    pub(super) node: Arc<Node>,
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
    pub(super) parent: Option<[u8; 8]>,
    pub(super) start: SystemTime,
    pub(super) duration: Duration,
    pub(super) name: SpanName,
    pub(super) upstream_name: Option<Box<str>>,
    pub(super) request: RequestFacts,
    pub(super) outcome: Outcome,
    pub(super) attempts: SmallVec<[Attempt; 1]>,
    pub(super) tags: Vec<(Arc<str>, Tag)>,
    pub(super) attributes: Vec<(&'static str, Arc<str>)>,
}

/// What the server span is called.
#[derive(Debug, Clone)]
pub(super) enum SpanName {
    /// `egress <host>`
    Egress,
    /// `ingress`
    Ingress,
    /// A decorator's, or a format's.
    Given(Arc<str>),
}

/// The request as it came.
#[derive(Debug, Clone)]
pub(super) struct RequestFacts {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) scheme: Scheme,
    pub(super) host: Option<HeaderValue>,
    pub(super) original_path: Option<HeaderValue>,
    pub(super) max_path: usize,
    pub(super) user_agent: Option<HeaderValue>,
    pub(super) client_trace_id: Option<HeaderValue>,
    pub(super) downstream_cluster: Option<HeaderValue>,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) tracestate: Option<HeaderValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) protocol: Option<Version>,
    pub(super) remote: SocketAddr,
    pub(super) peer: SocketAddr,
    pub(super) request_id: Option<HeaderValue>,
    pub(super) route: Option<Arc<str>>,
    pub(super) cluster: Option<Arc<str>>,
    pub(super) cluster_stat_name: Option<Arc<str>>,
    pub(super) upstream_protocol: Option<Version>,
    pub(super) transport_failure: Option<Cow<'static, str>>,
    pub(super) details: Option<Cow<'static, str>>,
    pub(super) status: Option<StatusCode>,
    pub(super) grpc_status: Option<u8>,
    pub(super) flags: ResponseFlags,
    pub(super) received: u64,
    pub(super) sent: u64,
}

/// One attempt upstream.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) span_id: [u8; 8],
    pub(super) host: Arc<str>,
    /// After the start of the request.
    pub(super) begun: Duration,
    /// After the start of the request; `None` while it lasts.
    pub(super) ended: Option<Duration>,
    pub(super) status: Option<StatusCode>,
}

/// The value of a custom tag.
#[derive(Debug, Clone)]
pub(super) enum Tag {
    Header(HeaderValue),
    Text(Arc<str>),
}

impl SpanRecord {
    /// How many spans this is.
    pub fn spans(&self) -> u64 {
        1 + self.attempts.len() as u64
    }

    /// Where they go.
    pub fn exporter(&self) -> &Arc<Exporter> {
        &self.exporter
    }
}
