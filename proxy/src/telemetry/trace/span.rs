//! A recorded request's span while the request lasts.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use http::Request;
use http::StatusCode;
use palanquin_config::ir::format::Format;
use palanquin_config::ir::format::FormatCx;
use palanquin_config::ir::format::TraceIds;
use palanquin_config::ir::tracing::CustomTag;
use palanquin_config::ir::tracing::Direction;
use palanquin_config::ir::tracing::RouteTracing;
use palanquin_config::ir::tracing::TagValue;
use palanquin_config::ir::tracing::Tracing;
use palanquin_filter_api::MetadataValue;
use palanquin_filter_api::StreamCx;
use smallvec::SmallVec;

use super::context;
use super::record::{Attempt, Outcome, RequestFacts, Scheme, SpanName, SpanRecord, Tag};
use crate::http::names;
use crate::telemetry::WorkerTelemetry;

/// The spans of one request. Only recorded requests have one.
#[derive(Debug)]
pub struct RequestSpan {
    tracing: Arc<Tracing>,
    route: Option<Arc<RouteTracing>>,
    ids: TraceIds,
    parent: Option<[u8; 8]>,
    start: Instant,
    /// Gives the ids of attempts.
    seed: u64,
    operation: Option<Arc<str>>,
    request: RequestFacts,
    attempts: SmallVec<[Attempt; 1]>,
    /// Tags known from the request already.
    tags: Vec<(Arc<str>, Tag)>,
}

impl RequestSpan {
    /// Takes the facts of a request that is to be recorded. `seed` is a random number.
    pub(super) fn begin<B>(
        request: &Request<B>,
        scheme: &str,
        tracing: &Arc<Tracing>,
        route: Option<&Arc<RouteTracing>>,
        ids: TraceIds,
        seed: u64,
    ) -> Self {
        let headers = request.headers();
        let get = |name: http::HeaderName| headers.get(name).cloned();
        let scheme = request.uri().scheme_str().unwrap_or(scheme);
        Self {
            tracing: Arc::clone(tracing),
            route: route.cloned(),
            ids,
            parent: None,
            start: Instant::now(),
            seed,
            operation: None,
            request: RequestFacts {
                method: request.method().clone(),
                uri: request.uri().clone(),
                scheme: if scheme == "https" { Scheme::Https } else { Scheme::Http },
                host: get(http::header::HOST),
                original_path: get(names::X_ENVOY_ORIGINAL_PATH),
                max_path: tracing.max_path_tag_length as usize,
                user_agent: get(http::header::USER_AGENT),
                client_trace_id: get(names::X_CLIENT_TRACE_ID),
                downstream_cluster: get(names::X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER),
                content_type: get(http::header::CONTENT_TYPE),
                tracestate: None,
            },
            attempts: SmallVec::new(),
            tags: Vec::new(),
        }
    }

    /// The caller's span.
    pub(super) fn set_parent(&mut self, parent: Option<[u8; 8]>) {
        self.parent = parent;
    }

    /// The name a decorator gives.
    pub(super) fn set_operation(&mut self, operation: Option<Arc<str>>) {
        self.operation = operation;
    }

    /// Takes the custom tags that the request alone decides.
    pub(super) fn set_tags(&mut self, request: &Request<impl Sized>, stream: &StreamCx) {
        let route = self.route.clone();
        let of_route = route.iter().flat_map(|route| &route.custom_tags);
        for tag in self.tracing.custom_tags.iter().chain(of_route) {
            if let Some(value) = early_value(tag, request, stream) {
                put(&mut self.tags, &tag.tag, value);
            }
        }
    }

    /// The trace and our span in it.
    pub fn ids(&self) -> TraceIds {
        self.ids
    }

    /// An attempt begins: the endpoint becomes a child of a client span of its own, unless
    /// `spawn_upstream_span` is off.
    pub fn begin_attempt(&mut self, headers: &mut HeaderMap, host: &Arc<str>) {
        if self.request.tracestate.is_none() && self.parent.is_some() {
            self.request.tracestate = headers.get(context::TRACESTATE).cloned();
        }
        if !self.tracing.spawn_upstream_span {
            return;
        }
        let span_id = self.next_id();
        self.attempts.push(Attempt {
            span_id,
            host: Arc::clone(host),
            begun: self.start.elapsed(),
            ended: None,
            status: None,
        });
        self.propagate(headers, span_id);
    }

    /// The attempt has got a response's head, or failed.
    pub fn attempt_done(&mut self, status: Option<StatusCode>) {
        let now = self.start.elapsed();
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.status = status;
            attempt.ended = Some(now);
        }
    }

    /// The exchange is over.
    pub fn finish(mut self: Box<Self>, stream: &StreamCx, telemetry: &WorkerTelemetry) {
        let info = &stream.info;
        let end = info.timing.end.unwrap_or_else(Instant::now);
        let duration = end.saturating_duration_since(info.timing.start);
        // The record's clock is the request's; ours began a little later, at the routing.
        let offset = self.start.saturating_duration_since(info.timing.start);
        let last = self.attempts.len().saturating_sub(1);
        for (i, attempt) in self.attempts.iter_mut().enumerate() {
            attempt.begun += offset;
            // The attempt that was answered lasts as long as its response.
            let lasts = i == last && attempt.status.is_some();
            attempt.ended = match attempt.ended {
                Some(ended) if !lasts => Some(ended + offset),
                _ => Some(duration.max(attempt.begun)),
            };
        }
        self.late_tags(stream);
        let name = self.name(stream);
        let upstream_name = self.format_name(
            stream,
            |tracing| &tracing.upstream_operation,
            |route| &route.upstream_operation,
        );
        telemetry.record(SpanRecord {
            exporter: Arc::clone(&self.tracing.exporter),
            node: Arc::clone(telemetry.node()),
            trace_id: self.ids.trace_id,
            span_id: self.ids.span_id,
            parent: self.parent,
            start: info.timing.start_time,
            duration,
            name,
            upstream_name,
            request: self.request,
            outcome: outcome(stream),
            attempts: self.attempts,
            tags: self.tags,
            attributes: stream.span_attributes.clone(),
        });
    }

    fn propagate(&self, headers: &mut HeaderMap, span_id: [u8; 8]) {
        if !self.tracing.no_context_propagation {
            let value = context::traceparent(self.ids.trace_id, span_id, true);
            headers.insert(context::TRACEPARENT, value);
        }
    }

    /// splitmix64: distinct ids from one random number.
    fn next_id(&mut self) -> [u8; 8] {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        super::span_id(mixed ^ (mixed >> 31))
    }

    fn name(&self, stream: &StreamCx) -> SpanName {
        let given =
            self.format_name(stream, |tracing| &tracing.operation, |route| &route.operation);
        match (given, &self.operation) {
            (Some(name), _) => SpanName::Given(name.into()),
            (None, Some(name)) => SpanName::Given(Arc::clone(name)),
            (None, None) if self.tracing.direction == Direction::Outbound => SpanName::Egress,
            (None, None) => SpanName::Ingress,
        }
    }

    fn format_name(
        &self,
        stream: &StreamCx,
        of_manager: fn(&Tracing) -> &Option<Format>,
        of_route: fn(&RouteTracing) -> &Option<Format>,
    ) -> Option<Box<str>> {
        let own = self.route.as_ref().and_then(|route| of_route(route).as_ref());
        let format = own.or_else(|| of_manager(&self.tracing).as_ref())?;
        let name = text(format, &FormatCx::new(stream));
        Some(name).filter(|name| !name.is_empty()).map(Into::into)
    }

    /// Takes the tags that metadata decides: filters have written it by now.
    fn late_tags(&mut self, stream: &StreamCx) {
        let route = self.route.clone();
        let of_route = route.iter().flat_map(|route| &route.custom_tags);
        for tag in self.tracing.custom_tags.iter().chain(of_route) {
            let TagValue::Metadata { namespace, path, default } = &tag.value else { continue };
            let found = stream.metadata.get(namespace, path).and_then(metadata_text);
            if let Some(value) = found.or_else(|| default.clone()) {
                put(&mut self.tags, &tag.tag, Tag::Text(value));
            }
        }
    }
}

fn early_value(tag: &CustomTag, request: &Request<impl Sized>, stream: &StreamCx) -> Option<Tag> {
    match &tag.value {
        TagValue::Literal(value) => Some(Tag::Text(Arc::clone(value))),
        TagValue::Header(name, default) => match request.headers().get(name) {
            Some(value) => Some(Tag::Header(value.clone())),
            None => default.clone().map(Tag::Text),
        },
        TagValue::Format(format) => {
            let value = text(format, &FormatCx::request(request, stream));
            (!value.is_empty()).then(|| Tag::Text(value.into()))
        }
        TagValue::Metadata { .. } => None,
    }
}

/// A tag of a name that is there already replaces it.
fn put(tags: &mut Vec<(Arc<str>, Tag)>, name: &Arc<str>, value: Tag) {
    tags.retain(|(known, _)| known != name);
    tags.push((Arc::clone(name), value));
}

fn text(format: &Format, cx: &FormatCx<'_>) -> String {
    let mut out = Vec::new();
    format.write(cx, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn metadata_text(value: &MetadataValue) -> Option<Arc<str>> {
    match value {
        MetadataValue::String(text) => Some(Arc::clone(text)),
        MetadataValue::Number(number) => Some(number.to_string().into()),
        MetadataValue::Bool(truth) => Some(truth.to_string().into()),
        MetadataValue::Null | MetadataValue::List(_) | MetadataValue::Struct(_) => None,
    }
}

fn outcome(stream: &StreamCx) -> Outcome {
    let info = &stream.info;
    let upstream = &info.upstream;
    Outcome {
        protocol: info.protocol,
        remote: info.remote,
        peer: info.connection.direct_remote,
        request_id: info.request_id.clone(),
        route: info.route_name.clone(),
        cluster: upstream.cluster.clone(),
        cluster_stat_name: upstream.cluster_stat_name.clone(),
        upstream_protocol: upstream.protocol,
        transport_failure: upstream.transport_failure.clone(),
        details: info.response_code_details.clone(),
        status: info.response_code,
        grpc_status: info.grpc_status,
        flags: info.flags,
        received: info.bytes_received,
        sent: info.bytes_sent,
    }
}
