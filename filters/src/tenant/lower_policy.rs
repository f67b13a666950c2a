//! From messages to policies: tiers, quotas, breakers, routing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use palanquin_config::lower::Lowering;
use palanquin_proto::palanquin::tenant::v1 as pb;

use super::lower::header_name;
use super::lower::or_default;
use super::policy::Breaker;
use super::policy::Policy;
use super::policy::State;
use super::quota::MAX_RATES;
use super::quota::Quota;
use super::quota::Rate;
use super::routing;
use super::routing::Fallback;
use super::routing::Routing;
use super::routing::Target;

/// The name of the tier of everybody else.
const EVERYBODY: &str = "*";

/// A tenant's policy over its tier's: what it sets itself counts.
pub(super) fn policy(
    own: &pb::TenantPolicy,
    tiers: &BTreeMap<String, pb::Tier>,
    cx: &mut Lowering<'_>,
) -> Policy {
    let tier_name = if own.tier.is_empty() { EVERYBODY } else { &own.tier };
    if !own.tier.is_empty() && !tiers.contains_key(&own.tier) {
        cx.error_in("tier", format!("unknown tier {:?}", own.tier))
            .did_you_mean(&own.tier, tiers.keys().map(String::as_str));
    }
    let none = pb::Tier::default();
    let tier = tiers.get(tier_name).unwrap_or(&none);
    if own.fairness.is_some() || tier.fairness.is_some() {
        cx.warning_in("fairness", "is not supported yet: nobody is queued or shed");
    }
    let state = match own.state() {
        pb::State::Active => State::Active,
        pb::State::ReadOnly => State::ReadOnly,
        pb::State::Suspended => State::Suspended,
        pb::State::Migrating => {
            cx.warning_in("state", "MIGRATING is not supported yet: the tenant is active");
            State::Active
        }
    };
    let routing = own.routing.as_ref().or(tier.routing.as_ref());
    let quota = merged_quota(own.quota.as_ref(), tier.quota.as_ref());
    let breaker = merged_breaker(own.breaker.as_ref(), tier.breaker.as_ref());
    Policy {
        tier: tier_name.into(),
        state,
        routing: routing.and_then(|routing| cx.field("routing", |cx| routing_of(routing, cx))),
        quota: quota.map(|quota| cx.field("quota", |cx| quota_of(&quota, cx))).unwrap_or_default(),
        breaker: breaker
            .map(|breaker| cx.field("breaker", |cx| breaker_of(&breaker, cx)))
            .unwrap_or_default(),
    }
}

fn merged_quota(own: Option<&pb::Quota>, tier: Option<&pb::Quota>) -> Option<pb::Quota> {
    let Some(own) = own else { return tier.cloned() };
    let base = tier.cloned().unwrap_or_default();
    let number = |own, base| if own == 0 { base } else { own };
    let bytes = |own: u64, base: u64| if own == 0 { base } else { own };
    Some(pb::Quota {
        rates: if own.rates.is_empty() { base.rates } else { own.rates.clone() },
        max_concurrent_requests: number(own.max_concurrent_requests, base.max_concurrent_requests),
        max_concurrent_streams_per_connection: number(
            own.max_concurrent_streams_per_connection,
            base.max_concurrent_streams_per_connection,
        ),
        max_downstream_connections: number(
            own.max_downstream_connections,
            base.max_downstream_connections,
        ),
        request_bytes_per_second: bytes(
            own.request_bytes_per_second,
            base.request_bytes_per_second,
        ),
        response_bytes_per_second: bytes(
            own.response_bytes_per_second,
            base.response_bytes_per_second,
        ),
        buffered_bytes: bytes(own.buffered_bytes, base.buffered_bytes),
        rlqs_bucket: if own.rlqs_bucket.is_empty() {
            base.rlqs_bucket
        } else {
            own.rlqs_bucket.clone()
        },
        reject_status: number(own.reject_status, base.reject_status),
        retry_after: own.retry_after || base.retry_after,
    })
}

fn merged_breaker(own: Option<&pb::Breaker>, tier: Option<&pb::Breaker>) -> Option<pb::Breaker> {
    let Some(own) = own else { return tier.copied() };
    let base = tier.copied().unwrap_or_default();
    let number = |own, base| if own == 0 { base } else { own };
    Some(pb::Breaker {
        max_connections: number(own.max_connections, base.max_connections),
        max_pending_requests: number(own.max_pending_requests, base.max_pending_requests),
        max_requests: number(own.max_requests, base.max_requests),
        max_retries: number(own.max_retries, base.max_retries),
        retry_budget_percent: own.retry_budget_percent.max(base.retry_budget_percent),
        dedicated_pool: own.dedicated_pool || base.dedicated_pool,
        open_on_failure_rate: own.open_on_failure_rate.max(base.open_on_failure_rate),
    })
}

pub(super) fn quota_of(quota: &pb::Quota, cx: &mut Lowering<'_>) -> Quota {
    for (field, set) in [
        ("max_concurrent_streams_per_connection", quota.max_concurrent_streams_per_connection > 0),
        ("max_downstream_connections", quota.max_downstream_connections > 0),
        ("request_bytes_per_second", quota.request_bytes_per_second > 0),
        ("response_bytes_per_second", quota.response_bytes_per_second > 0),
        ("buffered_bytes", quota.buffered_bytes > 0),
        ("rlqs_bucket", !quota.rlqs_bucket.is_empty()),
    ] {
        if set {
            cx.warning_in(field, "is not supported yet and limits nothing");
        }
    }
    if quota.rates.len() > MAX_RATES {
        cx.error_in("rates", format!("more than {MAX_RATES} rates"));
    }
    let reject_status = match quota.reject_status {
        0 => StatusCode::TOO_MANY_REQUESTS,
        status => u16::try_from(status)
            .ok()
            .filter(|status| (400..600).contains(status))
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or_else(|| {
                cx.error_in("reject_status", format!("{status} is not in 400..599"));
                StatusCode::TOO_MANY_REQUESTS
            }),
    };
    Quota {
        rates: cx.list("rates", &quota.rates, |cx, rate| rate_of(rate, cx)),
        max_concurrent_requests: some_number(quota.max_concurrent_requests),
        reject_status,
        tell: quota.retry_after,
    }
}

fn rate_of(rate: &pb::Rate, cx: &mut Lowering<'_>) -> Option<Rate> {
    let per = match &rate.per {
        None => Duration::from_secs(1),
        Some(_) => cx.duration("per", rate.per.as_ref())?,
    };
    if rate.requests == 0 || per.is_zero() {
        let field = if rate.requests == 0 { "requests" } else { "per" };
        cx.error_in(field, "must be greater than zero").hint("state: SUSPENDED refuses everything");
        return None;
    }
    let cost_header = match rate.cost_header.as_str() {
        "" => None,
        name => Some(header_name("cost_header", name, cx)?),
    };
    let nanos = per.as_nanos() / u128::from(rate.requests);
    Some(Rate {
        requests: rate.requests,
        interval: u64::try_from(nanos).unwrap_or(u64::MAX).max(1),
        burst: or_default(rate.burst, rate.requests),
        cost_header,
    })
}

fn breaker_of(breaker: &pb::Breaker, cx: &mut Lowering<'_>) -> Breaker {
    for (field, set) in [
        ("max_connections", breaker.max_connections > 0),
        ("max_pending_requests", breaker.max_pending_requests > 0),
        ("max_retries", breaker.max_retries > 0),
        ("retry_budget_percent", breaker.retry_budget_percent > 0.0),
        ("dedicated_pool", breaker.dedicated_pool),
        ("open_on_failure_rate", breaker.open_on_failure_rate > 0.0),
    ] {
        if set {
            cx.warning_in(field, "is not supported yet and limits nothing");
        }
    }
    Breaker { max_requests: some_number(breaker.max_requests) }
}

fn routing_of(message: &pb::Routing, cx: &mut Lowering<'_>) -> Option<Routing> {
    use pb::routing::Action;
    if !message.migration.is_empty() {
        cx.warning_in("migration", "is not supported yet: everybody stays");
    }
    if !message.sticky_hash_header.is_empty() {
        cx.warning_in("sticky_hash_header", "is not supported yet");
    }
    let target = match &message.action {
        None => Target::Route,
        Some(Action::Cluster(name)) if name.is_empty() => {
            cx.error_in("cluster", "must not be empty");
            return None;
        }
        Some(Action::Cluster(name)) => Target::Cluster(name.as_str().into()),
        Some(Action::ClusterTemplate(text)) => match routing::template(text) {
            Ok(pieces) => Target::Template(pieces),
            Err(fault) => {
                cx.error_in("cluster_template", fault);
                return None;
            }
        },
        Some(Action::Subset(subset)) => Target::Subset(
            subset
                .r#match
                .iter()
                .map(|(key, value)| (Arc::from(key.as_str()), Arc::from(value.as_str())))
                .collect(),
        ),
        Some(Action::ShuffleShard(_)) => {
            cx.warning_in("shuffle_shard", "is not supported yet: the route's cluster is used");
            Target::Route
        }
    };
    let fallback = match message.fallback() {
        pb::routing::Fallback::RouteCluster => Fallback::RouteCluster,
        pb::routing::Fallback::Fail503 => Fallback::Fail,
        pb::routing::Fallback::NextCell => {
            cx.warning_in(
                "fallback",
                "NEXT_CELL is not supported yet: the route's cluster is used",
            );
            Fallback::RouteCluster
        }
    };
    Some(Routing { target, cell: message.cell.as_str().into(), fallback })
}

fn some_number(number: u32) -> Option<u32> {
    (number > 0).then_some(number)
}
