//! What a route changes of a request on its way upstream, and of the response on its way back.

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::Uri;
use http::header;
use http::uri::PathAndQuery;
use palanquin_config::ir::header_mutation::HeaderMutations;
use palanquin_config::ir::route::ClusterSpecifier;
use palanquin_config::ir::route::ForwardAction;
use palanquin_config::ir::route::HostRewrite;
use palanquin_config::ir::route::PathRewrite;
use palanquin_config::ir::route::RouteAction;
use palanquin_config::ir::route::WeightedCluster;
use palanquin_filter_api::Body;

use super::Host;
use super::attempt::Attempts;
use crate::http::header_mutation;
use crate::http::names;
use crate::http::redirect::matched_len;
use crate::http::route::Matched;
use crate::http::stream::Stream;

/// Path, host and headers, once for all attempts.
pub(crate) fn request(
    request: &mut Request<Body>,
    matched: &Matched,
    action: &ForwardAction,
    stream: &Stream,
    attempts: &Attempts,
) {
    let weighted = weighted(action, stream);
    let envoy_headers = !stream.manager().suppress_envoy_headers;
    if envoy_headers && let Some(limit) = attempts.expected_timeout() {
        let ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        request.headers_mut().insert(names::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, HeaderValue::from(ms));
    }
    if matched.virtual_host().include_request_attempt_count {
        request.headers_mut().insert(names::X_ENVOY_ATTEMPT_COUNT, HeaderValue::from(1));
    }
    let own = weighted.map(|weighted| &weighted.request_headers);
    let levels = own.into_iter().chain(&matched.route().request_headers);
    header_mutation::request(request, levels, stream);
    host(request, action, weighted, envoy_headers);
    path(request, matched, action, envoy_headers);
}

/// What depends on the endpoint, for each attempt.
pub(crate) fn for_host(
    headers: &mut HeaderMap,
    action: &ForwardAction,
    host: &Host,
    envoy_headers: bool,
) {
    if matches!(action.host_rewrite, HostRewrite::Auto)
        && !host.endpoint().hostname.is_empty()
        && let Ok(value) = HeaderValue::from_str(&host.endpoint().hostname)
    {
        set_host(headers, action, value, envoy_headers);
    }
}

/// Headers of the response. `elapsed` is the upstream's time since the request was complete; a response
/// that came before has none.
pub(crate) fn response(
    response: &mut Response<Body>,
    matched: &Matched,
    stream: &Stream,
    elapsed: Option<Duration>,
) {
    if !stream.manager().suppress_envoy_headers
        && let Some(elapsed) = elapsed
    {
        let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        response.headers_mut().insert(names::X_ENVOY_UPSTREAM_SERVICE_TIME, HeaderValue::from(ms));
    }
    configured(response, matched, stream);
}

/// Headers of an answer of our own, if a route was found.
pub(crate) fn local_reply(response: &mut Response<Body>, stream: &Stream) {
    if let Some(matched) = &stream.matched {
        configured(response, matched, stream);
    }
}

/// What the route's configuration adds to a response and removes from it.
fn configured(response: &mut Response<Body>, matched: &Matched, stream: &Stream) {
    let attempts = stream.cx.info.upstream.attempts;
    if attempts > 0 && matched.virtual_host().include_attempt_count_in_response {
        response.headers_mut().insert(names::X_ENVOY_ATTEMPT_COUNT, HeaderValue::from(attempts));
    }
    let own: Option<&HeaderMutations> = match &matched.route().action {
        RouteAction::Forward(action) => weighted(action, stream).map(|one| &one.response_headers),
        _ => None,
    };
    let levels = own.into_iter().chain(&matched.route().response_headers);
    header_mutation::response(response, levels, stream);
}

fn weighted<'a>(action: &'a ForwardAction, stream: &Stream) -> Option<&'a WeightedCluster> {
    match &action.cluster {
        ClusterSpecifier::Weighted(clusters) => clusters.clusters.get(stream.weighted?),
        _ => None,
    }
}

fn host(
    request: &mut Request<Body>,
    action: &ForwardAction,
    weighted: Option<&WeightedCluster>,
    envoy_headers: bool,
) {
    if let Some(literal) = weighted.and_then(|weighted| weighted.host_rewrite.clone()) {
        // As in Envoy this one leaves no trace of the old host.
        request.headers_mut().insert(header::HOST, literal);
        return;
    }
    let value = match &action.host_rewrite {
        HostRewrite::Literal(value) => Some(value.clone()),
        HostRewrite::Header(name) => request.headers().get(name).cloned(),
        HostRewrite::PathRegex(rewrite) => {
            let host = rewrite.regex.replace_all(request.uri().path(), &*rewrite.substitution);
            HeaderValue::from_str(&host).ok()
        }
        HostRewrite::None | HostRewrite::Auto => None,
    };
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        set_host(request.headers_mut(), action, value, envoy_headers);
    }
}

/// Changes the host; the old one is told in `x-envoy-original-host`, and in `x-forwarded-host` if the route
/// says so and it does not stand there already.
fn set_host(
    headers: &mut HeaderMap,
    action: &ForwardAction,
    value: HeaderValue,
    envoy_headers: bool,
) {
    let Some(old) = headers.insert(header::HOST, value) else { return };
    if action.append_x_forwarded_host && last_forwarded_host(headers) != Some(old.as_bytes()) {
        names::append(headers, names::X_FORWARDED_HOST, &old, b",");
    }
    if envoy_headers {
        headers.entry(names::X_ENVOY_ORIGINAL_HOST).or_insert(old);
    }
}

fn last_forwarded_host(headers: &HeaderMap) -> Option<&[u8]> {
    let line = headers.get_all(names::X_FORWARDED_HOST).iter().next_back()?;
    Some(line.as_bytes().rsplit(|byte| *byte == b',').next()?.trim_ascii())
}

fn path(
    request: &mut Request<Body>,
    matched: &Matched,
    action: &ForwardAction,
    envoy_headers: bool,
) {
    let uri = request.uri();
    let path = uri.path();
    let new: Cow<'_, str> = match &action.path_rewrite {
        PathRewrite::None => return,
        PathRewrite::Prefix(prefix) => {
            let rest = path.get(matched_len(&matched.route().matcher.path, path)..);
            Cow::Owned(format!("{prefix}{}", rest.unwrap_or_default()))
        }
        PathRewrite::Regex(rewrite) => rewrite.regex.replace_all(path, &*rewrite.substitution),
    };
    let target = match uri.query() {
        Some(query) => format!("{new}?{query}"),
        None => new.into_owned(),
    };
    let Ok(target) = PathAndQuery::from_maybe_shared(bytes::Bytes::from(target)) else { return };
    let original = envoy_headers
        .then(|| uri.path_and_query().and_then(|path| HeaderValue::from_str(path.as_str()).ok()))
        .flatten();
    *request.uri_mut() = Uri::from(target);
    if let Some(original) = original {
        request.headers_mut().insert(names::X_ENVOY_ORIGINAL_PATH, original);
    }
}
