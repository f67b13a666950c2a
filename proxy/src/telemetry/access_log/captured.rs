//! What is kept of a request for its access logs.

use std::sync::Arc;

use http::HeaderMap;
use http::Request;
use palanquin_config::ir::access_log::AccessLog;
use palanquin_config::ir::access_log::LogCx;
use palanquin_config::ir::format;
use palanquin_config::ir::format::FormatCx;
use palanquin_config::ir::format::Headers;
use palanquin_config::ir::format::TraceIds;

/// Values that access logs ask for, taken while the messages are there. Without access logs nothing is
/// taken.
#[derive(Debug, Default)]
pub struct Captured {
    request: Option<Box<format::CapturedRequest>>,
    response: Option<Box<format::Captured>>,
    trailers: Option<Box<format::Captured>>,
    trace: Option<TraceIds>,
    traced: bool,
}

impl Captured {
    /// Keeps what is asked for of a request, or what it has become; a later call replaces an earlier.
    pub fn request<B>(&mut self, logs: &[Arc<AccessLog>], request: &Request<B>, scheme: &str) {
        if let Some(log) = logs.first() {
            let kept = log.capture.request(request, scheme);
            match &mut self.request {
                Some(before) => **before = kept,
                none => *none = Some(Box::new(kept)),
            }
        }
    }

    /// Keeps what is asked for of the response that is sent downstream.
    pub fn response(&mut self, logs: &[Arc<AccessLog>], headers: &HeaderMap) {
        if let Some(log) = logs.first() {
            self.response = log.capture.response(headers);
        }
    }

    /// Keeps what is asked for of the response's trailers.
    pub fn trailers(&mut self, logs: &[Arc<AccessLog>], trailers: &HeaderMap) {
        if let Some(log) = logs.first() {
            self.trailers = log.capture.trailers(trailers);
        }
    }

    /// Notes the trace, and whether it is recorded.
    pub fn trace(&mut self, ids: TraceIds, traced: bool) {
        self.trace = Some(ids);
        self.traced = traced;
    }

    /// The trace of the request, for `%TRACE_ID%` in headers.
    pub fn trace_ids(&self) -> Option<TraceIds> {
        self.trace
    }

    /// What formats and filters read when the request is over: the stream's facts and what was kept.
    pub(in crate::telemetry) fn log_cx<'a>(
        &'a self,
        facts: &FormatCx<'a>,
        random: u64,
    ) -> LogCx<'a> {
        let kept = |captured: &'a Option<Box<format::Captured>>| match captured {
            Some(captured) => Headers::Captured(captured),
            None => Headers::None,
        };
        let format = FormatCx {
            request: self.request.as_ref().map(|request| request.head()),
            response: kept(&self.response),
            trailers: kept(&self.trailers),
            trace: self.trace,
            ..*facts
        };
        let matched = self.request.as_ref().and_then(|request| request.matched());
        LogCx { format, matched, traced: self.traced, random }
    }
}
