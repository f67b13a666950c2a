//! A downstream connection as its requests see it, and the service its codec calls.

use std::rc::Rc;
use std::sync::Arc;

use http::Request;
use http::Response;
use http::request::Parts;
use palanquin_config::ir::http::ConnectionManager;
use palanquin_filter_api::Body;
use palanquin_filter_api::ConnectionInfo;
use palanquin_filter_api::LocalReply;
use palanquin_filter_api::ResponseFlags;
use palanquin_filter_api::stats::http as stat;

use super::exchange;
use super::reply::ReplyForm;
use super::stream::Stream;
use super::timeouts::SpareTimers;
use crate::codec::Drain;
use crate::codec::Service;
use crate::codec::Violation;
use crate::worker::Worker;

/// What the requests of one connection share.
pub(crate) struct Connection {
    pub(crate) info: Rc<ConnectionInfo>,
    pub(crate) manager: Arc<ConnectionManager>,
    pub(crate) worker: Rc<Worker>,
    /// Whether the connection, or the whole process, is on its way out.
    pub(crate) drain: Drain,
    /// Timers that its requests hand on.
    pub(crate) timers: Rc<SpareTimers>,
}

impl Connection {
    /// The scheme of requests that do not say it themselves.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.info.tls.is_some() { "https" } else { "http" }
    }
}

/// What a codec calls: one per connection.
pub(crate) struct ConnectionService(pub(crate) Rc<Connection>);

impl Service for ConnectionService {
    async fn call(&self, request: Request<Body>) -> Response<Body> {
        exchange::handle(request, &self.0).await
    }

    fn reject(&self, violation: &Violation, partial: Option<&Parts>) -> Response<Body> {
        let connection = &self.0;
        let mut request = Request::new(Body::Empty);
        if let Some(parts) = partial {
            request.headers_mut().clone_from(&parts.headers);
            request.method_mut().clone_from(&parts.method);
            request.uri_mut().clone_from(&parts.uri);
            *request.version_mut() = parts.version;
        }
        let mut stream = Stream::begin(&request, connection, &connection.worker.snapshot());
        stream.form = ReplyForm { grpc: false, ..stream.form };
        // without an understood head there is no method or path to log
        if partial.is_some() {
            stream.captured.request(&connection.manager.access_logs, &request, connection.scheme());
        }
        let mut reply =
            LocalReply::new(violation.status(), violation.details()).with_body(violation.body());
        let stats = &connection.manager.stats;
        if violation.is_protocol_error() {
            reply = reply.with_flags(ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR);
            stats.inc(stat::DOWNSTREAM_CX_PROTOCOL_ERROR);
        }
        match violation {
            Violation::HeadTimeout => stats.inc(stat::DOWNSTREAM_RQ_HEADER_TIMEOUT),
            Violation::InvalidUrl => stats.inc(stat::DOWNSTREAM_RQ_NON_RELATIVE_PATH),
            _ => {}
        }
        let response = stream.local_reply(reply);
        exchange::finish(stream, response)
    }
}
