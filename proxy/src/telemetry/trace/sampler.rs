//! Whether a request is traced.
//!
//! Envoy's rule (`ConnectionManagerUtility::mutateTracingRequestHeader`), then its OpenTelemetry
//! tracer's: the shares decide first, and a parent that is not sampled can only turn a trace off.
//! Observed with Envoy 1.40; a parent's sampled flag alone does not make it trace.

use http::HeaderMap;
use palanquin_config::ir::http::RequestId;
use palanquin_config::ir::tracing::RouteTracing;
use palanquin_config::ir::tracing::Sampler;
use palanquin_config::ir::tracing::Tracing;
use palanquin_filter_api::stats::Counter;
use palanquin_filter_api::stats::http as stat;

use super::context::ParentContext;
use crate::http::names;
use crate::http::request_id::TraceReason;
use crate::http::request_id::X_REQUEST_ID;
use crate::http::request_id::sampling_number;
use crate::http::request_id::trace_reason;

/// What was decided, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The request's spans are recorded.
    pub(crate) sampled: bool,
    /// Why, as the request's id is to tell and as it is counted.
    pub(crate) reason: TraceReason,
}

impl Decision {
    /// Envoy's counter of the reason, under `http.<stat_prefix>.tracing.*`.
    pub(crate) fn counter(self) -> Counter {
        match self.reason {
            TraceReason::Client => stat::TRACING_CLIENT_ENABLED,
            TraceReason::Forced => stat::TRACING_SERVICE_FORCED,
            TraceReason::None => stat::TRACING_NOT_TRACEABLE,
            TraceReason::Sampled => stat::TRACING_RANDOM_SAMPLING,
        }
    }
}

/// What a request's id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ById {
    /// It is not asked (`use_request_id_for_trace_sampling` is off): every request is traced.
    Ignored,
    /// There is none, or one without a number: the request is not traced.
    Missing,
    /// Its number below 10,000, by which the shares decide, and what a proxy before decided.
    Number(u32, TraceReason),
}

impl ById {
    /// Reads the request's id.
    pub(crate) fn of(headers: &HeaderMap, settings: RequestId) -> Self {
        if !settings.use_for_trace_sampling {
            return Self::Ignored;
        }
        let Some(id) = headers.get(X_REQUEST_ID) else { return Self::Missing };
        match sampling_number(id) {
            Some(number) => Self::Number(number, trace_reason(id)),
            None => Self::Missing,
        }
    }
}

/// Decides. `draw` gives a number below its argument. `x-envoy-force-trace` counts only from internal
/// requests: it is removed from others before.
pub(crate) fn decide(
    tracing: &Tracing,
    route: Option<&RouteTracing>,
    headers: &HeaderMap,
    parent: Option<&ParentContext>,
    id: ById,
    draw: impl Fn(u64) -> u64,
) -> Decision {
    let (client, random, overall) = match route {
        Some(route) => (route.client_sampling, route.random_sampling, route.overall_sampling),
        None => (tracing.client_sampling, tracing.random_sampling, tracing.overall_sampling),
    };
    let reason = match id {
        ById::Ignored => TraceReason::Sampled,
        ById::Missing => TraceReason::None,
        ById::Number(number, before) => {
            let hit = |share: u32| u64::from(number) * 100 < u64::from(share);
            let reason = if before != TraceReason::None {
                before
            } else if headers.contains_key(names::X_CLIENT_TRACE_ID)
                && (client >= ALL || draw(u64::from(ALL)) < u64::from(client))
            {
                TraceReason::Client
            } else if headers.contains_key(names::X_ENVOY_FORCE_TRACE) {
                TraceReason::Forced
            } else if hit(random) {
                TraceReason::Sampled
            } else {
                TraceReason::None
            };
            if hit(overall) { reason } else { TraceReason::None }
        }
    };
    let sampled = match tracing.sampler {
        Sampler::AlwaysOn => true,
        Sampler::Shares => {
            reason != TraceReason::None && parent.is_none_or(|parent| parent.sampled)
        }
    };
    Decision { sampled, reason }
}

/// A share of one, in parts per million.
const ALL: u32 = 1_000_000;

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

    /// An id that is below every share but none at all.
    const LOWEST: ById = ById::Number(0, TraceReason::None);

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
            let decision = decide(&tracing, None, &headers(header), parent.as_ref(), LOWEST, |_| 0);
            assert_eq!(decision.sampled, want, "{shares:?} {header:?} {parent:?}");
        }
    }

    #[test]
    fn a_share_is_drawn_and_a_routes_share_goes_first() {
        let tracing = tracing(ALL, 100_000, ALL);
        let sampled = |number| {
            let id = ById::Number(number, TraceReason::None);
            decide(&tracing, None, &headers(None), None, id, |_| 0).sampled
        };
        assert!(sampled(999));
        assert!(!sampled(1000));
        let route = RouteTracing {
            client_sampling: ALL,
            random_sampling: 0,
            overall_sampling: ALL,
            custom_tags: Vec::new(),
            operation: None,
            upstream_operation: None,
        };
        let decision = decide(&tracing, Some(&route), &headers(None), None, LOWEST, |_| 0);
        assert!(!decision.sampled);
        assert_eq!(decision.counter(), stat::TRACING_NOT_TRACEABLE);
    }

    #[test]
    fn an_id_decides_for_every_proxy_on_the_way() {
        let decide = |shares: (u32, u32), id| {
            let tracing = tracing(ALL, shares.0, shares.1);
            decide(&tracing, None, &headers(None), None, id, |_| 0).reason
        };
        let before = |reason| ById::Number(9999, reason);
        // Observed from Envoy 1.40.
        assert_eq!(decide((0, ALL), before(TraceReason::Sampled)), TraceReason::Sampled);
        assert_eq!(decide((0, ALL), before(TraceReason::Forced)), TraceReason::Forced);
        assert_eq!(decide((0, 500_000), before(TraceReason::Forced)), TraceReason::None);
        assert_eq!(decide((ALL, ALL), ById::Missing), TraceReason::None);
        assert_eq!(decide((0, 0), ById::Ignored), TraceReason::Sampled);
    }

    #[test]
    fn the_sampler_always_on_asks_nobody() {
        let tracing = Tracing { sampler: Sampler::AlwaysOn, ..tracing(0, 0, 0) };
        assert!(
            decide(&tracing, None, &headers(None), Some(&parent(false)), LOWEST, |_| 0).sampled
        );
    }
}
