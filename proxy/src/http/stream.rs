//! One request's record: what it carries from its first byte until its last, and its end.
//!
//! A stream ends exactly once: when its response's body ends, or when it is dropped because the client or
//! the connection went away. The end writes the access log, finishes the span, counts, and tells the
//! filters.

use std::rc::Rc;
use std::time::Instant;
use std::time::SystemTime;

use http::HeaderMap;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Version;
use palanquin_config::ir::format::CapturedRequest;
use palanquin_config::ir::format::FormatCx;
use palanquin_config::ir::http::ConnectionManager;
use palanquin_config::ir::route::RouteAction;
use palanquin_filter_api::Body;
use palanquin_filter_api::FilterChain;
use palanquin_filter_api::LocalReply;
use palanquin_filter_api::ResponseFlags;
use palanquin_filter_api::StreamCx;
use palanquin_filter_api::StreamInfo;
use palanquin_filter_api::stats::http as stat;

use super::Connection;
use super::forwarded::Origin;
use super::names;
use super::reply;
use super::reply::ReplyForm;
use super::request_body::Progress;
use super::route::Matched;
use super::timeouts::Timeouts;
use crate::telemetry::access_log::Captured;
use crate::telemetry::trace::RequestSpan;
use crate::upstream::rewrite;
use crate::worker::WorkerSnapshot;

/// See the module.
pub(crate) struct Stream {
    pub(crate) cx: StreamCx,
    pub(crate) connection: Rc<Connection>,
    pub(crate) snapshot: Rc<WorkerSnapshot>,
    pub(crate) matched: Option<Matched>,
    /// Which weighted cluster the route drew.
    pub(crate) weighted: Option<usize>,
    pub(crate) timeouts: Timeouts,
    pub(crate) origin: Option<Origin>,
    pub(crate) form: ReplyForm,
    pub(crate) span: Option<Box<RequestSpan>>,
    /// How far the request body came; `None` when it was complete with its head.
    pub(crate) request_progress: Option<Rc<Progress>>,
    /// Request header values that access logs ask for.
    pub(crate) captured: Captured,
    /// What the route's response headers read of the request.
    pub(crate) request_for_response: Option<Box<CapturedRequest>>,
    chain: Option<FilterChain>,
    ended: bool,
}

impl Stream {
    /// Starts the clock and counts the request.
    pub(crate) fn begin(
        request: &Request<Body>,
        connection: &Rc<Connection>,
        snapshot: &Rc<WorkerSnapshot>,
    ) -> Box<Self> {
        let now = Instant::now();
        let manager = &connection.manager;
        let start_time = connection.worker.clock.at(now);
        let mut info = StreamInfo::begin_at(Rc::clone(&connection.info), now, start_time);
        info.protocol = Some(request.version());
        manager.stats.inc(stat::DOWNSTREAM_RQ_TOTAL);
        manager.stats.inc(match request.version() {
            Version::HTTP_2 => stat::DOWNSTREAM_RQ_HTTP2_TOTAL,
            _ => stat::DOWNSTREAM_RQ_HTTP1_TOTAL,
        });
        manager.stats.raise(stat::DOWNSTREAM_RQ_ACTIVE);
        // Boxed once, here: it is more than a kilobyte, and goes through many hands.
        Box::new(Self {
            cx: StreamCx::new(info, Rc::clone(snapshot) as _),
            connection: Rc::clone(connection),
            snapshot: Rc::clone(snapshot),
            matched: None,
            weighted: None,
            timeouts: Timeouts::start(
                now,
                manager.stream_idle_timeout,
                manager.max_stream_duration,
                manager.request_timeout,
                &connection.timers,
            ),
            origin: None,
            form: ReplyForm {
                grpc: super::route::is_grpc(request.headers()),
                head: request.method() == http::Method::HEAD,
            },
            span: None,
            request_progress: None,
            captured: Captured::default(),
            request_for_response: None,
            chain: None,
            ended: false,
        })
    }

    pub(crate) fn manager(&self) -> &ConnectionManager {
        &self.connection.manager
    }

    /// The filters of the request: its route's, or the connection manager's own.
    pub(crate) fn set_chain(&mut self, chain: &FilterChain) {
        self.chain = (!chain.is_empty()).then(|| chain.clone());
    }

    /// See [`Self::set_chain`]; `None` when no filter runs.
    pub(crate) fn chain(&self) -> Option<FilterChain> {
        self.chain.clone()
    }

    /// Whether nothing stands between the routing of the request and its forwarding.
    pub(crate) fn is_forwarded_at_once(&self) -> bool {
        let is_forwarded = |matched: &Matched| match matched.route().action {
            RouteAction::Forward(_) => true,
            RouteAction::DirectResponse(_) | RouteAction::Redirect(_) => false,
        };
        self.chain.is_none() && self.matched.as_ref().is_some_and(is_forwarded)
    }

    /// Keeps what is read of the request when it is gone. Called when the request is known, unless it [leaves at
    /// once](Self::is_forwarded_at_once), and again when it leaves: logs show what was sent.
    pub(crate) fn keep(&mut self, request: &Request<Body>) {
        let connection = &self.connection;
        let scheme = connection.scheme();
        self.captured.request(&connection.manager.access_logs, request, scheme);
        if let Some(matched) = &self.matched
            && let Some(needs) = &matched.route().response_needs
        {
            self.request_for_response = Some(Box::new(needs.request(request, scheme)));
        }
    }

    /// `cx` with what the stream knows beside its facts.
    pub(crate) fn format_cx<'a>(&'a self, cx: FormatCx<'a>) -> FormatCx<'a> {
        FormatCx {
            route: self.matched.as_ref().map(|matched| &matched.route().metadata),
            trace: self.captured.trace_ids(),
            ..cx
        }
    }

    /// Notes and renders an answer of the proxy's own. Once there is a route, the answer gets the route's
    /// response headers: Envoy does so for routes to clusters, whoever answers in their stead.
    pub(crate) fn local_reply(&mut self, reply: LocalReply) -> Response<Body> {
        let info = &mut self.cx.info;
        info.flags |= reply.flags;
        info.response_code_details = Some(reply.details.clone());
        info.response_code = Some(if self.form.grpc { StatusCode::OK } else { reply.status });
        reply::render(reply, self.form, |response| rewrite::local_reply(response, self))
    }

    /// The time of day when the response came, from upstream or from ourselves: now.
    pub(crate) fn time_of_response(&self) -> SystemTime {
        let now = self.cx.info.timing.upstream_response.unwrap_or_else(Instant::now);
        self.connection.worker.clock.at(now)
    }

    /// Lets the stream end with the body of `response`. A body that is here already ends it now.
    pub(crate) fn attach_to(mut self: Box<Self>, response: Response<Body>) -> Response<Body> {
        self.cx.info.response_code = Some(response.status());
        let now = Instant::now();
        self.cx.info.timing.response_start = Some(now);
        self.captured.response(&self.connection.manager.access_logs, response.headers());
        if self.cx.info.grpc_status.is_none() {
            self.cx.info.grpc_status = grpc_status(response.headers());
        }
        match response.body() {
            Body::Empty => {
                self.end_at(now);
                response
            }
            Body::Full(bytes) => {
                self.cx.info.bytes_sent = bytes.len() as u64;
                self.end_at(now);
                response
            }
            Body::Stream(_) => response.map(|body| super::response_body::attach(body, self)),
        }
    }

    /// The exchange is over; later calls do nothing.
    pub(crate) fn end(&mut self) {
        if !self.ended {
            self.end_at(Instant::now());
        }
    }

    fn end_at(&mut self, now: Instant) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let info = &mut self.cx.info;
        info.timing.end = Some(now);
        match &self.request_progress {
            Some(progress) => {
                info.bytes_received += progress.bytes();
                info.timing.request_end = progress.end();
            }
            None => info.timing.request_end = Some(info.timing.start),
        }
        self.count(now);
        if let Some(span) = self.span.take() {
            span.finish(&self.cx, &self.connection.worker.telemetry);
        }
        self.connection.worker.telemetry.log(
            &self.connection.manager.access_logs,
            &self.captured,
            &self.format_cx(FormatCx::new(&self.cx)),
        );
        if let Some(chain) = self.chain.take() {
            chain.on_complete(&mut self.cx);
        }
    }

    fn count(&self, now: Instant) {
        let stats = &self.connection.manager.stats;
        let info = &self.cx.info;
        stats.lower(stat::DOWNSTREAM_RQ_ACTIVE);
        if let Some(code) = info.response_code {
            stats.inc(stat::DOWNSTREAM_RQ_COMPLETED);
            stats.inc(match code.as_u16() {
                ..200 => stat::DOWNSTREAM_RQ_1XX,
                200..300 => stat::DOWNSTREAM_RQ_2XX,
                300..400 => stat::DOWNSTREAM_RQ_3XX,
                400..500 => stat::DOWNSTREAM_RQ_4XX,
                _ => stat::DOWNSTREAM_RQ_5XX,
            });
        }
        stats.record(stat::DOWNSTREAM_RQ_TIME, now.saturating_duration_since(info.timing.start));
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.ended {
            // Dropped in the middle: the client went away, or its connection was closed.
            let info = &mut self.cx.info;
            info.flags |= ResponseFlags::DOWNSTREAM_CONNECTION_TERMINATION;
            if info.response_code_details.is_none() || info.response_code.is_some() {
                info.response_code_details = Some("downstream_remote_disconnect".into());
            }
            self.connection.manager.stats.inc(stat::DOWNSTREAM_RQ_RX_RESET);
            self.end();
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("cx", &self.cx).finish_non_exhaustive()
    }
}

/// The gRPC status of trailers, or of a trailers-only response.
pub(crate) fn grpc_status(headers: &HeaderMap) -> Option<u8> {
    headers.get(names::GRPC_STATUS)?.to_str().ok()?.parse().ok()
}
