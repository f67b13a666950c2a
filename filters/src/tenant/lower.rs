//! From `palanquin.tenant.v1` to [`Settings`].

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use http::HeaderName;
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
use super::lower_policy::policy;
use super::lower_policy::quota_of;
use super::propagation::Propagation;
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

pub(super) fn header_name(field: &str, name: &str, cx: &mut Lowering<'_>) -> Option<HeaderName> {
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

pub(super) fn or_default(number: u32, default: u32) -> u32 {
    if number == 0 { default } else { number }
}
