//! The tenant filter: who a request is for, where it goes, and how much of us it may use.
//!
//! A request's tenant is found once ([`source`]), its policy is one lookup in an immutable table
//! ([`policy`]), and its counters live in a [`state::Tenant`] that outlives configurations. The order of
//! decisions is: state, route rules, rates, concurrency, routing, breaker. Nothing here locks on a
//! request's path, except when a tenant that no table names is seen for the first time.
//!
//! The message is `palanquin.tenant.v1.TenantFilter`; carried as a `TypedStruct` in an optional filter, the
//! same configuration loads in Envoy, which leaves the filter out.

mod chain;
mod config;
mod directory;
mod id;
mod lower;
mod lower_policy;
mod policy;
mod propagation;
mod quota;
mod routing;
mod source;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use palanquin_filter_api::Body;
use palanquin_filter_api::Flow;
use palanquin_filter_api::GrpcStatus;
use palanquin_filter_api::HttpFilter;
use palanquin_filter_api::LocalReply;
use palanquin_filter_api::ResponseFlags;
use palanquin_filter_api::StreamCx;
use palanquin_filter_api::stats;

pub use directory::TenantDirectory;
pub use directory::TenantLine;
pub use lower::Factory;

use config::OnUnknown;
use config::RouteRules;
use config::Settings;
use policy::Policy;
use quota::Limit;
use quota::Refusal;
use source::Identity;
use state::Active;
use state::Permit;
use state::Tenant;

/// gRPC's PERMISSION_DENIED.
const PERMISSION_DENIED: GrpcStatus = GrpcStatus(7);
/// gRPC's RESOURCE_EXHAUSTED.
const RESOURCE_EXHAUSTED: GrpcStatus = GrpcStatus(8);

/// The filter of one route.
#[derive(Debug)]
pub(crate) struct TenantFilter {
    settings: Arc<Settings>,
    rules: Option<Arc<RouteRules>>,
}

/// What the filter keeps of a request; dropping it gives back what the request used.
struct Held {
    tenant: Arc<Tenant>,
    _active: Active,
    _breaker: Option<Permit>,
}

impl TenantFilter {
    pub(crate) fn new(settings: Arc<Settings>, rules: Option<Arc<RouteRules>>) -> Self {
        Self { settings, rules }
    }

    /// Finds the tenant: by a source, by default, or as the configuration says about unknown ones.
    /// `Ok(None)` is a request without a tenant.
    fn identify(
        &self,
        request: &Request<Body>,
        cx: &StreamCx,
    ) -> Result<Option<Found<'_>>, Box<LocalReply>> {
        let settings = &*self.settings;
        let own = self.rules.as_ref().map(|rules| &rules.sources).filter(|own| !own.is_empty());
        let unknown = match own.unwrap_or(&settings.sources).identify(request, cx) {
            Identity::Found { id, source } => {
                let (tenant, policy) = settings.tenant(id.as_str());
                return Ok(Some(Found { tenant, policy, source }));
            }
            Identity::Mismatch => {
                return Err(denied(StatusCode::FORBIDDEN, "tenant_sources_disagree"));
            }
            Identity::Invalid => denied(StatusCode::BAD_REQUEST, "tenant_invalid"),
            Identity::Absent => denied(StatusCode::FORBIDDEN, "tenant_unknown"),
        };
        if let Some(id) = &settings.default_tenant {
            let (tenant, policy) = settings.tenant(id);
            return Ok(Some(Found { tenant, policy, source: "default" }));
        }
        match settings.on_unknown {
            OnUnknown::AllowUnlabelled => Ok(None),
            OnUnknown::Deny => Err(unknown),
            OnUnknown::UseDefaultPolicy => {
                let tenant = Arc::clone(settings.unknown());
                Ok(Some(Found { tenant, policy: &settings.default_policy, source: "unknown" }))
            }
        }
    }

    /// Everything that may refuse the request, in order. On success what it uses is held.
    fn admit(
        &self,
        tenant: &Arc<Tenant>,
        policy: &Policy,
        request: &Request<Body>,
        cx: &mut StreamCx,
    ) -> Result<Held, Refused> {
        let rules = self.rules.as_deref();
        check_state(policy, request)?;
        if let Some(rules) = rules {
            check_rules(rules, tenant, policy, request)?;
        }
        let extra = rules.and_then(|rules| rules.quota.as_ref());
        let active = tenant
            .admit(cx.now(), request.headers(), &policy.quota, extra)
            .map_err(Refused::Quota)?;
        routing::apply(policy, tenant, cx).map_err(Refused::Denied)?;
        let breaker = match (policy.breaker.max_requests, &cx.cluster) {
            (Some(limit), Some(cluster)) => {
                Some(tenant.enter_cluster(cluster, limit).ok_or(Refused::Breaker)?)
            }
            _ => None,
        };
        Ok(Held { tenant: Arc::clone(tenant), _active: active, _breaker: breaker })
    }

    /// Counts a refusal, and turns it into an answer unless we only watch.
    fn refuse(&self, tenant: &Tenant, refused: Refused) -> Option<Box<LocalReply>> {
        let scope = tenant.scope();
        let (counter, reply) = match refused {
            Refused::Denied(reply) => (stats::tenant::DENIED, reply),
            Refused::Quota(Refusal { kind: Limit::Rate, reply }) => {
                (stats::tenant::RATE_LIMITED, reply)
            }
            Refused::Quota(Refusal { kind: Limit::Concurrency, reply }) => {
                (stats::tenant::CONCURRENCY_LIMITED, reply)
            }
            Refused::Breaker => (stats::tenant::BREAKER_OVERFLOW, overflow()),
        };
        scope.inc(counter);
        if self.settings.shadow {
            scope.inc(stats::tenant::SHADOW_REFUSED);
            return None;
        }
        tenant.count_refused();
        Some(reply)
    }
}

impl HttpFilter for TenantFilter {
    fn on_request<'a>(&'a self, request: &'a mut Request<Body>, cx: &'a mut StreamCx) -> Flow<'a> {
        if self.rules.as_ref().is_some_and(|rules| rules.disabled) {
            self.settings.propagation.clear(request);
            return Flow::Continue;
        }
        let found = match self.identify(request, cx) {
            Ok(found) => found,
            Err(reply) => {
                let scope = self.settings.unknown().scope();
                scope.inc(stats::tenant::DENIED);
                if !self.settings.shadow {
                    return Flow::Respond(reply);
                }
                scope.inc(stats::tenant::SHADOW_REFUSED);
                None
            }
        };
        let Some(Found { tenant, policy, source }) = found else {
            self.settings.propagation.clear(request);
            return Flow::Continue;
        };
        tenant.begin(cx.now());
        // Logs and spans tell the tenant of a refused request too.
        self.settings.propagation.apply(&tenant, policy, source, request, cx);
        match self.admit(&tenant, policy, request, cx) {
            Ok(held) => cx.put(held),
            Err(refused) => {
                if let Some(reply) = self.refuse(&tenant, refused) {
                    return Flow::Respond(reply);
                }
                let active = tenant.enter();
                cx.put(Held { tenant, _active: active, _breaker: None });
            }
        }
        Flow::Continue
    }

    fn on_response<'a>(
        &'a self,
        response: &'a mut Response<Body>,
        cx: &'a mut StreamCx,
    ) -> Flow<'a> {
        if let Some(held) = cx.get::<Held>() {
            self.settings.propagation.respond(&held.tenant, response);
        }
        Flow::Continue
    }
}

/// The tenant of a request.
struct Found<'s> {
    tenant: Arc<Tenant>,
    policy: &'s Policy,
    source: &'static str,
}

/// Why a request of a known tenant is refused.
enum Refused {
    Breaker,
    Denied(Box<LocalReply>),
    Quota(Refusal),
}

fn check_state(policy: &Policy, request: &Request<Body>) -> Result<(), Refused> {
    match policy.state {
        policy::State::Active => Ok(()),
        policy::State::ReadOnly if is_reading(request.method()) => Ok(()),
        policy::State::ReadOnly => Err(forbidden("tenant_read_only")),
        policy::State::Suspended => Err(forbidden("tenant_suspended")),
    }
}

fn check_rules(
    rules: &RouteRules,
    tenant: &Tenant,
    policy: &Policy,
    request: &Request<Body>,
) -> Result<(), Refused> {
    let is_listed = |list: &[Box<str>]| list.iter().any(|id| **id == **tenant.id());
    if is_listed(&rules.deny_tenants) {
        return Err(forbidden("tenant_denied"));
    }
    if !rules.allow_tenants.is_empty() && !is_listed(&rules.allow_tenants) {
        return Err(forbidden("tenant_not_allowed"));
    }
    if rules.require_tier.as_ref().is_some_and(|tier| **tier != *policy.tier) {
        return Err(forbidden("tenant_tier"));
    }
    if rules.read_only && !is_reading(request.method()) {
        return Err(forbidden("tenant_read_only"));
    }
    Ok(())
}

fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn forbidden(details: &'static str) -> Refused {
    Refused::Denied(denied(StatusCode::FORBIDDEN, details))
}

fn denied(status: StatusCode, details: &'static str) -> Box<LocalReply> {
    let reply = LocalReply::new(status, details).with_body(details);
    Box::new(reply.with_grpc_status(PERMISSION_DENIED))
}

/// As Envoy's own breakers answer, with our flag beside theirs.
fn overflow() -> Box<LocalReply> {
    const BODY: &str =
        "upstream connect error or disconnect/reset before headers. reset reason: overflow";
    let flags = ResponseFlags::UPSTREAM_OVERFLOW | ResponseFlags::TENANT_OVERFLOW;
    let reply = LocalReply::new(StatusCode::SERVICE_UNAVAILABLE, "tenant_breaker_overflow")
        .with_body(BODY)
        .with_flags(flags)
        .with_header(
            http::HeaderName::from_static("x-envoy-overloaded"),
            http::HeaderValue::from_static("true"),
        );
    Box::new(reply)
}
