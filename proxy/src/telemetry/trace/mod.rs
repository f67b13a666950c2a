//! Spans: a server span per request and a client span per attempt, exported over OTLP.
//!
//! The path of a span: [`start`] reads the request's context and decides; [`RequestSpan`] lives with the
//! request if it is recorded; at the end it becomes a [`SpanRecord`] in the worker's buffer; batches of
//! these go through a bounded queue to [`export`] on the control thread, where they are written as
//! OTLP and leave.
//!
//! A request that is not recorded costs a `traceparent`: its context is passed on with the sampled flag
//! off and a span id of ours, never the client's.

mod attributes;
mod batch;
pub(crate) mod context;
mod encode;
mod otlp;
mod record;
mod sampler;
mod span;

use std::sync::Arc;

use http::Request;
use palanquin_config::ir::format::TraceIds;
use palanquin_config::ir::tracing::Direction;
use palanquin_config::ir::tracing::Tracing;
use palanquin_filter_api::Body;
use palanquin_filter_api::stats::Registry;
use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::tracing as stat;

pub use batch::Connect;
pub use batch::export;
use context::ParentContext;
pub use record::Node;
pub use record::SpanRecord;
use sampler::ById;
pub use span::RequestSpan;

use crate::http::names;
use crate::http::request_id;
use crate::http::request_id::TraceReason;
use crate::http::stream::Stream;

/// The statistics of span export.
pub(super) fn stats(registry: &Registry) -> Arc<Scope> {
    registry.scope(&stat::KIND, "tracing.opentelemetry", Vec::new())
}

/// Begins the trace of a request whose route is known, or joins the caller's. Called once; does nothing
/// when the connection manager does not trace.
pub(crate) fn start(request: &mut Request<Body>, stream: &mut Stream) {
    let connection = std::rc::Rc::clone(&stream.connection);
    let Some(tracing) = &connection.manager.tracing else { return };
    let matched = stream.matched.clone();
    let route = matched.as_ref().map(|matched| &**matched.route());
    let route_tracing = route.and_then(|route| route.tracing.as_ref());
    let rng = &connection.worker.rng;
    let parent = ParentContext::extract(request.headers());
    let id = ById::of(request.headers(), connection.manager.request_id);
    let decision = sampler::decide(
        tracing,
        route_tracing.map(|tracing| &**tracing),
        request.headers(),
        parent.as_ref(),
        id,
        |bound| rng.below(bound),
    );
    connection.manager.stats.inc(decision.counter());
    tell_reason(request, stream, id, decision.reason);
    let ids = TraceIds {
        trace_id: parent.map_or_else(|| trace_id(rng.next(), rng.next()), |it| it.trace_id),
        span_id: span_id(rng.next()),
    };
    stream.captured.trace(ids, decision.sampled);
    let operation = decorate(request, tracing, route);
    if decision.sampled {
        let seed = rng.next();
        let scheme = connection.scheme();
        let mut span = RequestSpan::begin(request, scheme, tracing, route_tracing, ids, seed);
        span.set_parent(parent.map(|parent| parent.span_id));
        span.set_operation(operation);
        span.set_tags(request, &stream.cx);
        stream.span = Some(Box::new(span));
    }
    propagate(request, tracing, parent.is_some(), ids, decision.sampled);
}

/// Writes the decision into the request's id, if it changed and the id may tell.
fn tell_reason(request: &mut Request<Body>, stream: &mut Stream, id: ById, reason: TraceReason) {
    let ById::Number(_, before) = id else { return };
    if before != reason
        && stream.manager().request_id.pack_trace_reason
        && let Some(id) = request_id::set_trace_reason(request.headers_mut(), reason)
    {
        stream.cx.info.request_id = Some(id);
    }
}

/// Writes our context into the request. Without a valid parent its `tracestate` means nothing.
fn propagate(
    request: &mut Request<Body>,
    tracing: &Tracing,
    has_parent: bool,
    ids: TraceIds,
    sampled: bool,
) {
    if tracing.no_context_propagation {
        return;
    }
    let headers = request.headers_mut();
    if has_parent {
        context::normalize_tracestate(headers);
    } else {
        headers.remove(context::TRACESTATE);
    }
    let value = context::traceparent(ids.trace_id, ids.span_id, sampled);
    headers.insert(context::TRACEPARENT, value);
}

/// The name a decorator gives the server span. Outbound it is told to the next hop in a header, and
/// inbound that header, which goes no further, overrides the route's own.
fn decorate(
    request: &mut Request<Body>,
    tracing: &Tracing,
    route: Option<&palanquin_config::ir::route::Route>,
) -> Option<Arc<str>> {
    let operation = route.and_then(|route| route.operation.clone());
    match tracing.direction {
        Direction::Inbound => {
            let told = request.headers_mut().remove(names::X_ENVOY_DECORATOR_OPERATION);
            let told = told.as_ref().and_then(|told| told.to_str().ok());
            told.map(Arc::from).or(operation)
        }
        Direction::Outbound => {
            let tells = route.is_some_and(|route| route.propagate_operation);
            if tells
                && let Some(operation) = &operation
                && let Ok(value) = http::HeaderValue::from_str(operation)
            {
                request.headers_mut().insert(names::X_ENVOY_DECORATOR_OPERATION, value);
            }
            operation
        }
    }
}

/// A trace id from two random numbers; never zero.
fn trace_id(high: u64, low: u64) -> [u8; 16] {
    (u128::from(high) << 64 | u128::from(low.max(1))).to_be_bytes()
}

/// A span id from a random number; never zero.
fn span_id(random: u64) -> [u8; 8] {
    random.max(1).to_be_bytes()
}

#[cfg(test)]
mod tests;
