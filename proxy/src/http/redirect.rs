//! Redirects: where a client is sent instead.

use std::fmt::Display;
use std::fmt::Write;

use http::HeaderValue;
use http::Request;
use http::StatusCode;
use http::header;
use palanquin_config::ir::route::PathMatch;
use palanquin_config::ir::route::Redirect;
use palanquin_config::ir::route::RedirectPath;
use palanquin_filter_api::Body;
use palanquin_filter_api::LocalReply;

use super::normalize::split_port;

/// The answer of a redirect route. `scheme` is the request's.
pub(crate) fn reply(
    redirect: &Redirect,
    matched: &PathMatch,
    request: &Request<Body>,
    scheme: &str,
) -> Box<LocalReply> {
    let uri = request.uri();
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let (host, port) = split_port(host.unwrap_or_default());
    let new_scheme = redirect.scheme.as_deref().unwrap_or(scheme);
    let mut location = format!("{new_scheme}://{}", redirect.host.as_deref().unwrap_or(host));
    match (redirect.port, port) {
        (Some(port), _) => push_port(&mut location, &port),
        // A standard port says nothing once the scheme has changed.
        (None, Some("80")) if new_scheme != scheme && scheme == "http" => {}
        (None, Some("443")) if new_scheme != scheme && scheme == "https" => {}
        (None, Some(port)) if redirect.host.is_none() => push_port(&mut location, &port),
        (None, _) => {}
    }
    let query = uri.query().filter(|_| !redirect.strip_query);
    match &redirect.path {
        RedirectPath::Keep => push_path(&mut location, uri.path(), query),
        RedirectPath::Full(path) => {
            let own_query = path.contains('?');
            push_path(&mut location, path, query.filter(|_| !own_query));
        }
        RedirectPath::Prefix(prefix) => {
            let rest = uri.path().get(matched_len(matched, uri.path())..).unwrap_or_default();
            push_path(&mut location, &format!("{prefix}{rest}"), query);
        }
        RedirectPath::Regex(rewrite) => {
            let path = rewrite.regex.replace_all(uri.path(), &*rewrite.substitution);
            push_path(&mut location, &path, query);
        }
    }
    let mut reply = LocalReply::new(redirect.status, "direct_response");
    match HeaderValue::from_str(&location) {
        Ok(location) => {
            reply.headers.insert(header::LOCATION, location);
        }
        Err(_) => reply.status = StatusCode::BAD_REQUEST,
    }
    Box::new(reply)
}

fn push_port(location: &mut String, port: &dyn Display) {
    write!(location, ":{port}").expect("a String takes every write");
}

fn push_path(location: &mut String, path: &str, query: Option<&str>) {
    location.push_str(path);
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
}

/// How much of the path a prefix rewrite replaces: what the route matched.
pub(crate) fn matched_len(matched: &PathMatch, path: &str) -> usize {
    match matched {
        PathMatch::Prefix(prefix) | PathMatch::PathSeparatedPrefix(prefix) => prefix.len(),
        PathMatch::Exact(_) | PathMatch::Regex(_) | PathMatch::Connect => path.len(),
    }
}
