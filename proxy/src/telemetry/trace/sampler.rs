//! Whether a request is traced.
//!
//! Envoy's rule (`ConnectionManagerUtility::mutateTracingRequestHeader`), then its OpenTelemetry
//! tracer's: the shares decide first, and a parent that is not sampled can only turn a trace off.
//! Observed with Envoy 1.40; a parent's sampled flag alone does not make it trace.

use http::HeaderMap;
use palanquin_config::ir::tracing::RouteTracing;
use palanquin_config::ir::tracing::Sampler;
use palanquin_config::ir::tracing::Tracing;
use palanquin_filter_api::stats::Counter;
use palanquin_filter_api::stats::http as stat;

use super::context::ParentContext;
use crate::http::names;

/// What was decided, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The request's spans are recorded.
    pub(crate) sampled: bool,
    /// Why, as Envoy counts it under `http.<stat_prefix>.tracing.*`.
    pub(crate) counter: Counter,
}

/// Decides. `draw` gives a number below its argument. `x-envoy-force-trace` counts only from internal
/// requests: it is removed from others before.
pub(crate) fn decide(
    tracing: &Tracing,
    route: Option<&RouteTracing>,
    headers: &HeaderMap,
    parent: Option<&ParentContext>,
    draw: impl Fn(u64) -> u64,
) -> Decision {
    let (client, random, overall) = match route {
        Some(route) => (route.client_sampling, route.random_sampling, route.overall_sampling),
        None => (tracing.client_sampling, tracing.random_sampling, tracing.overall_sampling),
    };
    let hit = |share: u32| match share {
        0 => false,
        1_000_000.. => true,
        share => draw(1_000_000) < u64::from(share),
    };
    let reason = if headers.contains_key(names::X_CLIENT_TRACE_ID) && hit(client) {
        Some(stat::TRACING_CLIENT_ENABLED)
    } else if headers.contains_key(names::X_ENVOY_FORCE_TRACE) {
        Some(stat::TRACING_SERVICE_FORCED)
    } else if hit(random) {
        Some(stat::TRACING_RANDOM_SAMPLING)
    } else {
        None
    };
    let reason = reason.filter(|_| hit(overall));
    let sampled = match tracing.sampler {
        Sampler::AlwaysOn => true,
        Sampler::Shares => reason.is_some() && parent.is_none_or(|parent| parent.sampled),
    };
    Decision { sampled, counter: reason.unwrap_or(stat::TRACING_NOT_TRACEABLE) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use palanquin_config::ir::tracing::{Direction, Exporter};

    use super::*;

    fn tracing(client: u32, random: u32, overall: u32) -> Tracing {
        Tracing {
            client_sampling: client,
            random_sampling: random,
            overall_sampling: overall,
            custom_tags: Vec::new(),
            max_path_tag_length: 256,
            spawn_upstream_span: true,
            operation: None,
            upstream_operation: None,
            no_context_propagation: false,
            sampler: Sampler::Shares,
            direction: Direction::Inbound,
            exporter: Arc::new(Exporter {
                cluster: "otel".into(),
                authority: "".into(),
                timeout: Duration::from_secs(1),
                metadata: Vec::new(),
                service_name: "s".into(),
                resource: Vec::new(),
            }),
        }
    }

    fn parent(sampled: bool) -> ParentContext {
        ParentContext { trace_id: [1; 16], span_id: [2; 8], sampled }
    }

    fn headers(name: Option<&'static str>) -> HeaderMap {
        name.map(|name| (name.parse().unwrap(), "1".parse().unwrap())).into_iter().collect()
    }

    const ALL: u32 = 1_000_000;

    #[test]
    fn decisions_are_those_of_envoy() {
        let (yes, no) = (Some(parent(true)), Some(parent(false)));
        let client = Some("x-client-trace-id");
        let forced = Some("x-envoy-force-trace");
        for (shares, header, parent, want) in [
            // Observed from Envoy 1.40 (`forced` by its source: the experiment came from outside).
            ((ALL, ALL, ALL), None, None, true),
            ((ALL, ALL, ALL), None, yes, true),
            ((ALL, ALL, ALL), None, no, false),
            ((ALL, ALL, ALL), forced, no, false),
            ((ALL, 0, ALL), None, None, false),
            ((ALL, 0, ALL), None, yes, false),
            ((ALL, 0, ALL), client, None, true),
            ((ALL, 0, ALL), forced, None, true),
            ((0, 0, ALL), client, None, false),
            ((ALL, ALL, 0), None, yes, false),
            ((ALL, ALL, 0), client, None, false),
            ((ALL, ALL, 0), forced, None, false),
        ] {
            let tracing = tracing(shares.0, shares.1, shares.2);
            let decision = decide(&tracing, None, &headers(header), parent.as_ref(), |_| 0);
            assert_eq!(decision.sampled, want, "{shares:?} {header:?} {parent:?}");
        }
    }

    #[test]
    fn a_share_is_drawn_and_a_routes_share_goes_first() {
        let tracing = tracing(ALL, 100_000, ALL);
        let sampled = |drawn| decide(&tracing, None, &headers(None), None, |_| drawn).sampled;
        assert!(sampled(99_999));
        assert!(!sampled(100_000));
        let route = RouteTracing {
            client_sampling: ALL,
            random_sampling: 0,
            overall_sampling: ALL,
            custom_tags: Vec::new(),
            operation: None,
            upstream_operation: None,
        };
        let decision = decide(&tracing, Some(&route), &headers(None), None, |_| 0);
        assert!(!decision.sampled);
        assert_eq!(decision.counter, stat::TRACING_NOT_TRACEABLE);
    }

    #[test]
    fn the_sampler_always_on_asks_nobody() {
        let tracing = Tracing { sampler: Sampler::AlwaysOn, ..tracing(0, 0, 0) };
        assert!(decide(&tracing, None, &headers(None), Some(&parent(false)), |_| 0).sampled);
    }
}
