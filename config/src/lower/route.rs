//! One route: what it matches, and what it does short of forwarding.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use palanquin_proto::envoy::config::route::v3 as pb;
use palanquin_proto::envoy::config::route::v3::redirect_action::RedirectResponseCode;

use super::Lowering;
use super::core::metadata;
use super::header_mutation::Direction;
use super::route_table::Scopes;
use super::route_table::Tally;
use crate::ir::format::Capture;
use crate::ir::format::Needs;
use crate::ir::header_mutation::HeaderMutations;
use crate::ir::route::ClusterSpecifier;
use crate::ir::route::DirectResponse;
use crate::ir::route::PathMatch;
use crate::ir::route::Redirect;
use crate::ir::route::RedirectPath;
use crate::ir::route::Route;
use crate::ir::route::RouteAction;
use crate::ir::route::RouteMatch;

impl Lowering<'_> {
    pub(super) fn route(
        &mut self,
        route: &pb::Route,
        scopes: &Scopes<'_>,
        tally: &mut Tally,
    ) -> Option<Route> {
        let index = tally.routes;
        tally.routes += 1;
        if route.r#match.is_none() {
            self.error_in("match", "is necessary").hint("match: {prefix: \"/\"} takes every path");
        }
        let matcher = route
            .r#match
            .as_ref()
            .and_then(|matcher| self.field("match", |cx| cx.route_match(matcher)));
        let request = self.header_mutations(
            Direction::Request,
            &route.request_headers_to_add,
            &route.request_headers_to_remove,
        );
        let response = self.header_mutations(
            Direction::Response,
            &route.response_headers_to_add,
            &route.response_headers_to_remove,
        );
        let own = self.per_filter_config(&route.typed_per_filter_config);
        let tracing = route
            .tracing
            .as_ref()
            .and_then(|tracing| self.field("tracing", |cx| cx.route_tracing(tracing)));
        #[expect(deprecated, reason = "Envoy still accepts the old field")]
        let old_limit = route.per_request_buffer_limit_bytes;
        let buffer_limit = self.buffer_limit(old_limit, route.request_body_buffer_limit);
        let action = self.action(route, scopes, tally);
        let decorator = route.decorator.as_ref();
        if decorator.is_some_and(|decorator| decorator.operation.is_empty()) {
            self.field("decorator", |cx| {
                cx.error_in("operation", "must not be empty");
            });
        }
        let (matcher, action) = (matcher?, action?);
        let response_headers = in_order(response, scopes.response_headers, scopes.reversed);
        Some(Route {
            name: route.name.as_str().into(),
            index,
            matcher,
            response_needs: response_needs(&response_headers, &action),
            action,
            request_headers: in_order(request, scopes.request_headers, scopes.reversed),
            response_headers,
            per_filter_config: own.into_iter().chain(scopes.per_filter_config.clone()).collect(),
            metadata: metadata(route.metadata.as_ref()),
            tracing: tracing.map(Arc::new),
            buffer_limit: buffer_limit.or(scopes.buffer_limit),
            operation: decorator.map(|decorator| decorator.operation.as_str().into()),
            propagate_operation: decorator
                .is_some_and(|decorator| decorator.propagate.unwrap_or(true)),
        })
    }

    fn route_match(&mut self, matcher: &pb::RouteMatch) -> Option<RouteMatch> {
        // A condition left out would make the route take what it must not.
        if !matcher.cookies.is_empty() {
            self.error_in("cookies", "matching cookies is not supported yet")
                .hint("match the cookie header with a regex");
        }
        if !matcher.filter_state.is_empty() {
            self.error_in("filter_state", "matching filter state is not supported yet");
        }
        let path = self.path_match(matcher);
        let fraction = self.runtime_fraction("runtime_fraction", matcher.runtime_fraction.as_ref());
        let tls = matcher.tls_context.as_ref();
        let headers = self.list("headers", &matcher.headers, Self::header_matcher);
        let query = self.list("query_parameters", &matcher.query_parameters, Self::query_matcher);
        let metadata =
            self.list("dynamic_metadata", &matcher.dynamic_metadata, Self::metadata_matcher);
        Some(RouteMatch {
            path: path?,
            case_sensitive: matcher.case_sensitive.unwrap_or(true),
            headers,
            query,
            metadata,
            grpc: matcher.grpc.is_some(),
            fraction,
            tls_presented: tls.and_then(|tls| tls.presented),
            tls_validated: tls.and_then(|tls| tls.validated),
        })
    }

    fn path_match(&mut self, matcher: &pb::RouteMatch) -> Option<PathMatch> {
        use pb::route_match::PathSpecifier;
        match &matcher.path_specifier {
            None => {
                self.error("one of prefix, path, safe_regex, path_separated_prefix is necessary");
                None
            }
            Some(PathSpecifier::Prefix(prefix)) => Some(PathMatch::Prefix(prefix.as_str().into())),
            Some(PathSpecifier::Path(path)) => Some(PathMatch::Exact(path.as_str().into())),
            Some(PathSpecifier::SafeRegex(regex)) => {
                self.field("safe_regex", |cx| cx.full_match(regex)).map(PathMatch::Regex)
            }
            Some(PathSpecifier::ConnectMatcher(_)) => Some(PathMatch::Connect),
            Some(PathSpecifier::PathSeparatedPrefix(prefix)) => {
                // The rule of the API: `^[^?#]+[^?#/]$`.
                if prefix.len() < 2 || prefix.contains(['?', '#']) || prefix.ends_with('/') {
                    self.error_in(
                        "path_separated_prefix",
                        format!("{prefix:?} must have two characters or more, no ? or #, and not end with /"),
                    )
                    .hint("for \"/\" use prefix");
                    return None;
                }
                Some(PathMatch::PathSeparatedPrefix(prefix.as_str().into()))
            }
            Some(PathSpecifier::PathMatchPolicy(_)) => {
                self.error_in("path_match_policy", "URI templates are not supported yet");
                None
            }
        }
    }

    fn action(
        &mut self,
        route: &pb::Route,
        scopes: &Scopes<'_>,
        tally: &mut Tally,
    ) -> Option<RouteAction> {
        use pb::route::Action;
        match &route.action {
            None => {
                self.error("one of route, redirect, direct_response is necessary");
                None
            }
            Some(Action::Route(action)) => self
                .field("route", |cx| cx.forward_action(action, scopes, tally))
                .map(|forward| RouteAction::Forward(Box::new(forward))),
            Some(Action::Redirect(redirect)) => {
                self.field("redirect", |cx| cx.redirect(redirect)).map(RouteAction::Redirect)
            }
            Some(Action::DirectResponse(direct)) => self
                .field("direct_response", |cx| cx.direct_response(direct, scopes.max_direct_body))
                .map(RouteAction::DirectResponse),
            Some(Action::FilterAction(_)) => {
                self.error_in("filter_action", "filter actions are not supported yet");
                None
            }
            Some(Action::NonForwardingAction(_)) => {
                self.error_in("non_forwarding_action", "is for gRPC servers, not for proxies");
                None
            }
        }
    }

    fn direct_response(
        &mut self,
        direct: &pb::DirectResponseAction,
        max_body: usize,
    ) -> Option<DirectResponse> {
        if direct.body_format.is_some() {
            self.error_in("body_format", "formatted bodies are not supported yet");
        }
        let status = u16::try_from(direct.status)
            .ok()
            .filter(|status| (200..600).contains(status))
            .and_then(|status| StatusCode::from_u16(status).ok());
        if status.is_none() {
            self.error_in("status", format!("{} is not in 200..599", direct.status));
        }
        let body = match &direct.body {
            None => Some(Bytes::new()),
            Some(source) => self.field("body", |cx| {
                let body = cx.data_source(source)?;
                if body.len() > max_body {
                    let found = body.len();
                    cx.error(format!("response body size is {found} bytes; maximum is {max_body}"))
                        .hint("max_direct_response_body_size_bytes of the route configuration");
                    return None;
                }
                Some(body)
            }),
        };
        Some(DirectResponse { status: status?, body: body? })
    }

    fn redirect(&mut self, redirect: &pb::RedirectAction) -> Option<Redirect> {
        use pb::redirect_action::PathRewriteSpecifier;
        use pb::redirect_action::SchemeRewriteSpecifier;
        let path = match &redirect.path_rewrite_specifier {
            None => RedirectPath::Keep,
            Some(PathRewriteSpecifier::PathRedirect(path)) if path.is_empty() => RedirectPath::Keep,
            Some(PathRewriteSpecifier::PathRedirect(path)) => {
                RedirectPath::Full(path.as_str().into())
            }
            Some(PathRewriteSpecifier::PrefixRewrite(prefix)) => {
                RedirectPath::Prefix(prefix.as_str().into())
            }
            Some(PathRewriteSpecifier::RegexRewrite(rewrite)) => {
                RedirectPath::Regex(self.field("regex_rewrite", |cx| cx.regex_rewrite(rewrite))?)
            }
            Some(PathRewriteSpecifier::PathRewrite(_)) => {
                self.error_in("path_rewrite", "path formats are not supported yet");
                return None;
            }
        };
        let scheme = match &redirect.scheme_rewrite_specifier {
            Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Some("https".into()),
            Some(SchemeRewriteSpecifier::HttpsRedirect(false)) | None => None,
            Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => Some(scheme.as_str().into()),
        };
        let port = match redirect.port_redirect {
            0 => None,
            port => {
                let Ok(port) = u16::try_from(port) else {
                    self.error_in("port_redirect", format!("{port} is more than 65535"));
                    return None;
                };
                Some(port)
            }
        };
        // It ends up in the location header.
        self.header_value("host_redirect", &redirect.host_redirect)?;
        Some(Redirect {
            scheme,
            host: (!redirect.host_redirect.is_empty())
                .then(|| redirect.host_redirect.as_str().into()),
            port,
            path,
            status: match redirect.response_code() {
                RedirectResponseCode::MovedPermanently => StatusCode::MOVED_PERMANENTLY,
                RedirectResponseCode::Found => StatusCode::FOUND,
                RedirectResponseCode::SeeOther => StatusCode::SEE_OTHER,
                RedirectResponseCode::TemporaryRedirect => StatusCode::TEMPORARY_REDIRECT,
                RedirectResponseCode::PermanentRedirect => StatusCode::PERMANENT_REDIRECT,
            },
            strip_query: redirect.strip_query,
        })
    }
}

/// What of the request the values of response headers read, those of weighted clusters too.
fn response_needs(levels: &[HeaderMutations], action: &RouteAction) -> Option<Capture> {
    let mut needs = Needs::default();
    for level in levels {
        level.needs(&mut needs);
    }
    if let RouteAction::Forward(action) = action
        && let ClusterSpecifier::Weighted(weighted) = &action.cluster
    {
        for cluster in &weighted.clusters {
            cluster.response_headers.needs(&mut needs);
        }
    }
    needs.head.then(|| Capture::new(needs))
}

/// A route's header changes and those around it, less the empty ones, in the order of application: the
/// route's first, or last when the most specific is to win.
fn in_order(
    own: HeaderMutations,
    outer: [&HeaderMutations; 2],
    reversed: bool,
) -> Vec<HeaderMutations> {
    let mut all: Vec<_> = std::iter::once(own)
        .chain(outer.into_iter().cloned())
        .filter(|mutations| !mutations.is_empty())
        .collect();
    if reversed {
        all.reverse();
    }
    all
}
