//! From `palanquin.tenant.v1` to [`Settings`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use http::HeaderName;
use http::StatusCode;
use palanquin_config::extension::FilterFactory;
use palanquin_config::ir::matcher::StringMatcher;
use palanquin_config::lower::Lowering;
use palanquin_filter_api::HttpFilter;
use palanquin_proto::envoy::r#type::matcher::v3 as matcher_pb;
use palanquin_proto::palanquin::tenant::v1 as pb;
use prost::Message;
use prost_types::Any;
use regex::Regex;

use super::TenantDirectory;
use super::TenantFilter;
use super::config::Entry;
use super::config::OnUnknown;
use super::config::RouteRules;
use super::config::Settings;
use super::config::Table;
use super::id;
use super::policy::Breaker;
use super::policy::Policy;
use super::policy::State;
use super::propagation::Propagation;
use super::quota::MAX_RATES;
use super::quota::Quota;
use super::quota::Rate;
use super::routing;
use super::routing::Fallback;
use super::routing::Routing;
use super::routing::Target;
use super::source::From;
use super::source::Label;
use super::source::Source;
use super::source::Sources;
use super::source::SpiffeTemplate;
use super::state::Bounds;
use super::state::ExtraQuota;

/// `Limits` when they are not set.
const MAX_TENANTS: u32 = 10_000;
const MAX_SERIES: u32 = 200;
const IDLE_TTL: Duration = Duration::from_mins(10);
/// The name of the tier of everybody else.
const EVERYBODY: &str = "*";

/// Makes tenant filters.
#[derive(Debug)]
pub struct Factory {
    tenants: TenantDirectory,
}

impl Factory {
    /// A factory whose filters' tenants are found in `tenants`.
    pub fn new(tenants: TenantDirectory) -> Self {
        Self { tenants }
    }
}

impl FilterFactory for Factory {
    type Config = Settings;
    type RouteConfig = RouteRules;

    fn name(&self) -> &'static str {
        "palanquin.filters.http.tenant"
    }

    fn types(&self) -> &'static [&'static str] {
        &["palanquin.tenant.v1.TenantFilter"]
    }

    fn route_types(&self) -> &'static [&'static str] {
        &["palanquin.tenant.v1.TenantRoute"]
    }

    fn lower(&self, any: &Any, cx: &mut Lowering<'_>) -> Option<Settings> {
        let message: pb::TenantFilter = cx.unpack(any)?;
        let errors = cx.error_count();
        let settings = self.settings(&message, cx);
        (cx.error_count() == errors).then_some(settings)
    }

    fn lower_route(&self, any: &Any, cx: &mut Lowering<'_>) -> Option<RouteRules> {
        let message: pb::TenantRoute = cx.unpack(any)?;
        let errors = cx.error_count();
        let quota = message.quota.as_ref().map(|quota| ExtraQuota {
            key: extra_key(quota),
            quota: cx.field("quota", |cx| quota_of(quota, cx)),
        });
        let rules = RouteRules {
            disabled: message.disabled,
            sources: sources(&message.sources, cx),
            require_tier: some_text(&message.require_tier),
            allow_tenants: ids("allow_tenants", &message.allow_tenants, cx),
            deny_tenants: ids("deny_tenants", &message.deny_tenants, cx),
            quota,
            read_only: message.read_only_methods_only,
        };
        (cx.error_count() == errors).then_some(rules)
    }

    fn build(&self, base: &Arc<Settings>, overrides: &[Arc<RouteRules>]) -> Arc<dyn HttpFilter> {
        Arc::new(TenantFilter::new(Arc::clone(base), overrides.first().map(Arc::clone)))
    }
}

impl Factory {
    fn settings(&self, message: &pb::TenantFilter, cx: &mut Lowering<'_>) -> Settings {
        if message.admission.as_ref().is_some_and(|admission| admission.trigger != 0) {
            cx.warning_in("admission", "is not supported yet: nobody is queued or shed");
        }
        let limits = message.limits.unwrap_or_default();
        let ttl = cx.field("limits", |cx| cx.duration("idle_ttl", limits.idle_ttl.as_ref()));
        let bounds = Bounds {
            max_tenants: or_default(limits.max_tracked_tenants, MAX_TENANTS) as usize,
            max_series: or_default(limits.max_metric_tenants, MAX_SERIES) as usize,
            idle_ttl: ttl.unwrap_or(IDLE_TTL),
        };
        let book = self.tenants.book(&message.stat_prefix, cx.stats(), bounds, Instant::now());
        let empty = pb::TenantTable::default();
        let table = match &message.table {
            None => &empty,
            Some(pb::tenant_filter::Table::InlineTable(table)) => table,
            Some(pb::tenant_filter::Table::OnDemand(_)) => {
                cx.error_in("on_demand", "policies on demand are not supported yet")
                    .hint("use inline_table");
                &empty
            }
        };
        let tiers = &table.tiers;
        let default_policy =
            cx.field("inline_table", |cx| policy(&pb::TenantPolicy::default(), tiers, cx));
        let mut lowered = Table::default();
        cx.field("inline_table", |cx| {
            for (name, own) in &table.tenants {
                cx.entry("tenants", name, |cx| {
                    let Some(id) = checked_id(name, cx) else { return };
                    if !own.tenant.is_empty() && !own.tenant.eq_ignore_ascii_case(name) {
                        cx.error_in("tenant", format!("{:?} is not its key {name:?}", own.tenant));
                    }
                    let policy = Arc::new(policy(own, tiers, cx));
                    let tenant = book.named(&id);
                    let aliases = ids("aliases", &own.aliases, cx);
                    for key in std::iter::once(id).chain(aliases) {
                        let entry =
                            Entry { tenant: Arc::clone(&tenant), policy: Arc::clone(&policy) };
                        entry.tenant.pin(&policy.tier);
                        if let Some(other) = lowered.insert(key.clone(), entry) {
                            other.tenant.unpin();
                            cx.error(format!("{key:?} names two tenants (or is an alias of one)"));
                        }
                    }
                });
            }
        });
        Settings {
            sources: sources(&message.sources, cx),
            default_tenant: match message.default_tenant.as_str() {
                "" => None,
                name => cx.field("default_tenant", |cx| checked_id(name, cx)),
            },
            on_unknown: match message.on_unknown() {
                pb::tenant_filter::OnUnknown::AllowUnlabelled => OnUnknown::AllowUnlabelled,
                pb::tenant_filter::OnUnknown::Deny => OnUnknown::Deny,
                pb::tenant_filter::OnUnknown::UseDefaultPolicy => OnUnknown::UseDefaultPolicy,
            },
            table: lowered,
            default_policy,
            propagation: propagation(message.propagation.as_ref(), cx),
            shadow: message.shadow,
            book,
        }
    }
}

fn propagation(message: Option<&pb::Propagation>, cx: &mut Lowering<'_>) -> Propagation {
    const DEFAULT: HeaderName = HeaderName::from_static("x-tenant-id");
    let message = message.cloned().unwrap_or_default();
    let request_header = cx.field("propagation", |cx| {
        if message.strip_upstream_external {
            cx.warning_in(
                "strip_upstream_external",
                "is not supported yet: the header is always sent",
            );
        }
        match message.request_header.as_str() {
            "" => DEFAULT,
            name => HeaderName::from_bytes(name.as_bytes()).unwrap_or_else(|_| {
                cx.error_in("request_header", format!("{name:?} is not a header name"));
                DEFAULT
            }),
        }
    });
    Propagation {
        request_header,
        baggage: message.baggage,
        span_attributes: message.span_attribute,
        metadata: message.access_log_filter_state,
        response_header: message.response_header,
    }
}

fn sources(messages: &[pb::Source], cx: &mut Lowering<'_>) -> Sources {
    Sources::new(cx.list("sources", messages, |cx, message| {
        let from = source_from(message, cx)?;
        let trusted_peers = trusted_peers(message, &from, cx);
        Some(Source {
            from,
            trusted_peers,
            extract: extract(&message.extract_regex, cx)?,
            valid: valid(&message.valid_regex, cx)?,
            must_agree: message.must_agree,
        })
    }))
}

fn trusted_peers(message: &pb::Source, from: &From, cx: &mut Lowering<'_>) -> Vec<Box<str>> {
    let prefixes = &message.trusted_peer_spiffe_prefixes;
    if prefixes.is_empty() && from.is_claimed() {
        cx.warning(
            "anybody can send this: without trusted_peer_spiffe_prefixes nobody is believed",
        );
    }
    cx.list("trusted_peer_spiffe_prefixes", prefixes, |cx, prefix| {
        if !prefix.starts_with("spiffe://") {
            cx.error(format!("{prefix:?} does not begin with spiffe://"));
            return None;
        }
        Some(prefix.as_str().into())
    })
}

fn source_from(message: &pb::Source, cx: &mut Lowering<'_>) -> Option<From> {
    use pb::source::From as Kind;
    let path = |path: &[String]| path.iter().map(|key| key.as_str().into()).collect();
    Some(match &message.from {
        None => {
            cx.error("one of peer_spiffe, jwt_claim, header, sni_label, host_label, path_segment, baggage_key, metadata, constant is necessary");
            return None;
        }
        Some(Kind::PeerSpiffe(spiffe)) => cx.field("peer_spiffe", |cx| {
            if spiffe.trust_domain.is_empty() {
                cx.error_in("trust_domain", "must not be empty");
            }
            SpiffeTemplate::parse(&spiffe.trust_domain, &spiffe.path_template)
                .map_err(|fault| {
                    cx.error_in("path_template", fault);
                })
                .ok()
                .map(From::PeerSpiffe)
        })?,
        Some(Kind::JwtClaim(claim)) => From::Metadata {
            namespace: "envoy.filters.http.jwt_authn".into(),
            path: std::iter::once(claim.provider.as_str().into())
                .chain(claim.claim_path.iter().map(|key| key.as_str().into()))
                .collect(),
        },
        Some(Kind::Header(name)) => From::Header(header_name("header", name, cx)?),
        Some(Kind::SniLabel(label)) => From::SniLabel(label_of(label)),
        Some(Kind::HostLabel(label)) => From::HostLabel(label_of(label)),
        Some(Kind::PathSegment(0)) => {
            cx.error_in("path_segment", "segments are counted from 1");
            return None;
        }
        Some(Kind::PathSegment(index)) => From::PathSegment(*index as usize),
        Some(Kind::BaggageKey(key)) => From::BaggageKey(key.as_str().into()),
        Some(Kind::Metadata(metadata)) => From::Metadata {
            namespace: metadata.namespace.as_str().into(),
            path: path(&metadata.path),
        },
        Some(Kind::Constant(name)) => {
            From::Constant(cx.field("constant", |cx| checked_id(name, cx))?)
        }
    })
}

fn label_of(label: &pb::SniLabel) -> Label {
    let suffix = label.suffix.trim_start_matches('.').to_ascii_lowercase();
    Label { index: label.index as usize, suffix: suffix.into() }
}

/// `None` after an error.
#[expect(clippy::option_option, reason = "the outer one is a reported error")]
fn extract(pattern: &str, cx: &mut Lowering<'_>) -> Option<Option<Regex>> {
    if pattern.is_empty() {
        return Some(None);
    }
    match Regex::new(pattern) {
        Ok(regex) if regex.captures_len() == 2 => Some(Some(regex)),
        Ok(_) => {
            cx.error_in("extract_regex", format!("{pattern:?} must have exactly one group"));
            None
        }
        Err(error) => {
            cx.error_in(
                "extract_regex",
                format!("{pattern:?} is not a regular expression: {error}"),
            );
            None
        }
    }
}

/// `None` after an error.
#[expect(clippy::option_option, reason = "the outer one is a reported error")]
fn valid(pattern: &str, cx: &mut Lowering<'_>) -> Option<Option<StringMatcher>> {
    use matcher_pb::string_matcher::MatchPattern;
    if pattern.is_empty() {
        return Some(None);
    }
    let regex = matcher_pb::RegexMatcher { regex: pattern.to_owned(), engine_type: None };
    let message = matcher_pb::StringMatcher {
        ignore_case: false,
        match_pattern: Some(MatchPattern::SafeRegex(regex)),
    };
    cx.field("valid_regex", |cx| cx.string_matcher(&message)).map(Some)
}

/// A tenant's policy over its tier's: what it sets itself counts.
fn policy(
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

fn quota_of(quota: &pb::Quota, cx: &mut Lowering<'_>) -> Quota {
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

fn ids(field: &str, names: &[String], cx: &mut Lowering<'_>) -> Vec<Box<str>> {
    cx.list(field, names, |cx, name| checked_id(name, cx))
}

/// An id of the configuration, in its one form. A source's own pattern may allow more, so only what could
/// never be one is refused.
fn checked_id(name: &str, cx: &mut Lowering<'_>) -> Option<Box<str>> {
    let mut buffer = String::new();
    let Some(id) = id::normalize(name, None, &mut buffer) else {
        cx.error(format!("{name:?} is not a tenant id"))
            .hint("1 to 63 of a-z, 0-9, '.', '_', '-'; not with '_' first");
        return None;
    };
    Some(id.into())
}

fn header_name(field: &str, name: &str, cx: &mut Lowering<'_>) -> Option<HeaderName> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| {
            cx.error_in(field, format!("{name:?} is not a header name"));
        })
        .ok()
}

/// A quota of a route is known by what it says: the same text is the same state in the next configuration.
fn extra_key(quota: &pb::Quota) -> Arc<str> {
    use std::hash::BuildHasher;
    let hash = foldhash::quality::FixedState::default().hash_one(quota.encode_to_vec());
    format!("{hash:016x}").into()
}

fn some_text(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}

fn some_number(number: u32) -> Option<u32> {
    (number > 0).then_some(number)
}

fn or_default(number: u32, default: u32) -> u32 {
    if number == 0 { default } else { number }
}
