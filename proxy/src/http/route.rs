//! Which route a request takes.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderMap;
use http::Method;
use http::Request;
use http::header;
use palanquin_config::ir::http::BoundRoutes;
use palanquin_config::ir::matcher::RequestView;
use palanquin_config::ir::route::PathMatch;
use palanquin_config::ir::route::Route;
use palanquin_config::ir::route::RouteMatch;
use palanquin_config::ir::route::VirtualHost;
use palanquin_filter_api::Body;
use palanquin_filter_api::DynamicMetadata;
use palanquin_filter_api::FilterChain;
use palanquin_filter_api::TlsInfo;

use super::normalize::split_port;
use crate::codec::Upgrade;
use crate::worker::LocalRoutes;
use crate::worker::Rng;

/// A matched route: positions in the pinned table, so that no reference count of shared memory moves.
#[derive(Debug, Clone)]
pub(crate) struct Matched {
    routes: LocalRoutes,
    virtual_host: usize,
    route: usize,
}

impl Matched {
    pub(crate) fn virtual_host(&self) -> &Arc<VirtualHost> {
        &self.routes.table.virtual_hosts[self.virtual_host]
    }

    pub(crate) fn route(&self) -> &Arc<Route> {
        &self.virtual_host().routes[self.route]
    }

    /// The filters of the route, or of the weighted cluster with that index.
    pub(crate) fn chain(&self, weighted: Option<u32>) -> &FilterChain {
        self.routes.chain(weighted.unwrap_or(self.route().index))
    }
}

/// What a match looks at beyond the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MatchCx<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) tls: Option<&'a TlsInfo>,
    pub(crate) metadata: &'a DynamicMetadata,
    pub(crate) rng: &'a Rng,
}

/// The virtual host of the request, by its host header.
pub(crate) fn virtual_host(routes: &BoundRoutes, headers: &HeaderMap) -> Option<usize> {
    let table = &routes.table;
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let host = if table.ignore_port_in_host_matching { split_port(host).0 } else { host };
    // Names in the table are lower case; most hosts come that way.
    let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    table.domains.find(&host)
}

/// The first route of the virtual host that matches.
pub(crate) fn select(
    routes: &LocalRoutes,
    virtual_host: usize,
    request: &Request<Body>,
    cx: &MatchCx<'_>,
) -> Option<Matched> {
    // Only matchers of headers look at it: most routes have none.
    let view = LazyCell::new(|| view(request, cx.scheme));
    let path = request.uri().path();
    let connect = request.method() == Method::CONNECT
        || request.extensions().get::<Upgrade>().is_some_and(|up| up.protocol == "CONNECT");
    let route = routes.table.virtual_hosts[virtual_host]
        .routes
        .iter()
        .position(|route| matches(&route.matcher, request, &view, path, connect, cx))?;
    Some(Matched { routes: Rc::clone(routes), virtual_host, route })
}

/// The request as matchers see it.
pub(crate) fn view<'a>(request: &'a Request<Body>, scheme: &'a str) -> RequestView<'a> {
    RequestView {
        method: request.method().as_str(),
        scheme,
        authority: request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default(),
        path_and_query: request.uri().path_and_query().map_or("/", |path| path.as_str()),
        headers: request.headers(),
    }
}

fn matches<'a>(
    rule: &RouteMatch,
    request: &'a Request<Body>,
    view: &LazyCell<RequestView<'a>, impl FnOnce() -> RequestView<'a>>,
    path: &str,
    connect: bool,
    cx: &MatchCx<'_>,
) -> bool {
    path_matches(&rule.path, path, rule.case_sensitive, connect)
        && rule.headers.iter().all(|matcher| matcher.matches(view))
        && (rule.query.is_empty() || {
            let query = request.uri().query().unwrap_or_default();
            rule.query.iter().all(|matcher| matcher.matches(query))
        })
        && (!rule.grpc || is_grpc(request.headers()))
        && rule
            .tls_presented
            .is_none_or(|want| cx.tls.is_some_and(|tls| tls.peer.is_some()) == want)
        && rule.tls_validated.is_none_or(|want| {
            cx.tls.and_then(|tls| tls.peer.as_ref()).is_some_and(|peer| peer.validated) == want
        })
        && rule.metadata.iter().all(|matcher| matcher.matches(cx.metadata))
        && rule.fraction.is_none_or(|ppm| cx.rng.below(1_000_000) < u64::from(ppm))
}

fn path_matches(rule: &PathMatch, path: &str, case_sensitive: bool, connect: bool) -> bool {
    match rule {
        // A CONNECT request has no path: as in Envoy, only a connect matcher matches it.
        PathMatch::Connect => connect,
        _ if connect => false,
        PathMatch::Exact(want) if case_sensitive => path == &**want,
        PathMatch::Exact(want) => path.eq_ignore_ascii_case(want),
        PathMatch::Prefix(want) => starts_with(path, want, case_sensitive),
        PathMatch::PathSeparatedPrefix(want) => {
            starts_with(path, want, case_sensitive)
                && matches!(path.as_bytes().get(want.len()), None | Some(b'/'))
        }
        PathMatch::Regex(regex) => regex.is_match(path),
    }
}

fn starts_with(path: &str, prefix: &str, case_sensitive: bool) -> bool {
    path.as_bytes().get(..prefix.len()).is_some_and(|head| {
        if case_sensitive {
            head == prefix.as_bytes()
        } else {
            head.eq_ignore_ascii_case(prefix.as_bytes())
        }
    })
}

/// `application/grpc`, with or without `+proto` and the like.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        let value = value.as_bytes();
        value
            .strip_prefix(b"application/grpc")
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    })
}
