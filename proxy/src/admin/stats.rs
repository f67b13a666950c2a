//! `/stats` and `/stats/prometheus`.

use axum::body::Body;
use http::Response;
use http::StatusCode;

use super::AdminState;
use super::gauges;
use super::pages::Query;
use super::reply;
use crate::telemetry::stats;

/// Parameters of Envoy's that would change the answer.
const UNSUPPORTED: &[&str] = &["histogram_buckets", "invert_filter", "text_readouts", "type"];

pub(super) fn serve(state: &AdminState, query: &Query<'_>) -> Response<Body> {
    match query.get("format").as_deref() {
        None | Some("text") => show(state, query, |source, selection| {
            reply::text(StatusCode::OK, stats::text(source, selection))
        }),
        Some("json") => {
            show(state, query, |source, selection| reply::json(&stats::json(source, selection)))
        }
        Some("prometheus") => serve_prometheus(state, query),
        Some(_) => {
            reply::text(StatusCode::BAD_REQUEST, "usage: /stats?format=(text|json|prometheus)\n")
        }
    }
}

pub(super) fn serve_prometheus(state: &AdminState, query: &Query<'_>) -> Response<Body> {
    show(state, query, |source, selection| {
        reply::text(StatusCode::OK, stats::prometheus(source, selection))
    })
}

fn show(
    state: &AdminState,
    query: &Query<'_>,
    write: impl Fn(stats::Source<'_>, &stats::Selection) -> Response<Body>,
) -> Response<Body> {
    if let Err(refused) = query.refuse(UNSUPPORTED) {
        return *refused;
    }
    let filter = match query.regex("filter") {
        Ok(filter) => filter,
        Err(refused) => return *refused,
    };
    let selection = stats::Selection { filter, used_only: query.get("usedonly").is_some() };
    let _server = gauges::measure(state);
    let extra = state.logs.counts();
    write(stats::Source { registry: &state.stats, extra: &extra }, &selection)
}
