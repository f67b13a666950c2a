//! Brings host and path of a request into the one form that routing, policy and upstream see.

use std::borrow::Cow;

use http::HeaderValue;
use http::Request;
use http::StatusCode;
use http::Uri;
use http::header;
use http::uri::PathAndQuery;
use palanquin_config::ir::http::ConnectionManager;
use palanquin_config::ir::http::EscapedSlashes;
use palanquin_config::ir::http::PathNormalization;
use palanquin_config::ir::http::StripPort;
use palanquin_filter_api::Body;
use palanquin_filter_api::LocalReply;

/// Normalises `request` as the connection manager says. `local_port` is the listener's.
pub(crate) fn request(
    request: &mut Request<Body>,
    manager: &ConnectionManager,
    local_port: u16,
) -> Result<(), Box<LocalReply>> {
    host(request, manager, local_port);
    path(request, manager.path)
}

fn host(request: &mut Request<Body>, manager: &ConnectionManager, local_port: u16) {
    if manager.strip_port == StripPort::None && !manager.strip_trailing_host_dot {
        return;
    }
    let Some(host) = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return;
    };
    let (mut name, mut port) = split_port(host);
    match manager.strip_port {
        StripPort::Any => port = None,
        StripPort::Matching => port = port.filter(|port| port.parse() != Ok(local_port)),
        StripPort::None => {}
    }
    if manager.strip_trailing_host_dot {
        name = name.strip_suffix('.').unwrap_or(name);
    }
    let stripped = match port {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    };
    if stripped != host
        && let Ok(value) = HeaderValue::from_str(&stripped)
    {
        request.headers_mut().insert(header::HOST, value);
    }
}

/// Splits `host:port`; a bracketed IPv6 address keeps its brackets.
pub(crate) fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit())
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            (name, Some(port))
        }
        _ => (host, None),
    }
}

pub(crate) fn path(
    request: &mut Request<Body>,
    rules: PathNormalization,
) -> Result<(), Box<LocalReply>> {
    // Whoever sends such a path is not served any further on this connection, as in Envoy.
    let failed = || {
        let close = HeaderValue::from_static("close");
        let reply = LocalReply::new(StatusCode::BAD_REQUEST, "path_normalization_failed");
        Box::new(reply.with_header(header::CONNECTION, close))
    };
    let uri = request.uri();
    let path = uri.path();
    if rules == PathNormalization::default() || !path.starts_with('/') {
        return Ok(());
    }
    let mut normal = Cow::Borrowed(path);
    let escaped = contains_escaped_slash(path);
    if escaped {
        match rules.escaped_slashes {
            EscapedSlashes::Keep => {}
            EscapedSlashes::Reject => return Err(failed()),
            EscapedSlashes::UnescapeAndForward | EscapedSlashes::UnescapeAndRedirect => {
                normal = Cow::Owned(unescape_slashes(&normal));
            }
        }
    }
    if rules.normalize {
        normal = Cow::Owned(canonical(&normal).ok_or_else(failed)?);
    }
    if rules.merge_slashes && normal.contains("//") {
        normal = Cow::Owned(merge_slashes(&normal));
    }
    if *normal == *path {
        return Ok(());
    }
    let target = match uri.query() {
        Some(query) => format!("{normal}?{query}"),
        None => normal.into_owned(),
    };
    if escaped && rules.escaped_slashes == EscapedSlashes::UnescapeAndRedirect {
        let location = HeaderValue::from_str(&target).map_err(|_| failed())?;
        return Err(Box::new(
            LocalReply::new(StatusCode::TEMPORARY_REDIRECT, "path_normalization_failed")
                .with_header(header::LOCATION, location),
        ));
    }
    let target =
        PathAndQuery::from_maybe_shared(bytes::Bytes::from(target)).map_err(|_| failed())?;
    *request.uri_mut() = Uri::from(target);
    Ok(())
}

fn contains_escaped_slash(path: &str) -> bool {
    path.as_bytes().windows(3).any(is_escaped_slash)
}

fn is_escaped_slash(window: &[u8]) -> bool {
    matches!(window, [b'%', b'2', b'f' | b'F'] | [b'%', b'5', b'c' | b'C'])
}

fn unescape_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        match from.as_bytes().get(..3) {
            Some(window) if is_escaped_slash(window) => {
                out.push(if window[1] == b'2' { '/' } else { '\\' });
                rest = from.get(3..).unwrap_or_default();
            }
            _ => {
                out.push('%');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

/// RFC 3986 §6.2.2: percent-encoded unreserved characters are decoded, backslashes become slashes, and dot
/// segments are resolved. Other escapes stay as they are, valid or not, as in Envoy: signatures and routes
/// may depend on them. `None`: an encoded NUL.
fn canonical(path: &str) -> Option<String> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find(['%', '\\']) {
        let (before, from) = rest.split_at(at);
        decoded.push_str(before);
        rest = match (from.as_bytes()[0], escaped(from)) {
            (b'\\', _) => {
                decoded.push('/');
                &from[1..]
            }
            (_, Some(0)) => return None,
            (_, Some(value)) if is_unreserved(value) => {
                decoded.push(char::from(value));
                &from[3..]
            }
            _ => {
                decoded.push('%');
                &from[1..]
            }
        };
    }
    decoded.push_str(rest);
    let mut segments: Vec<&str> = Vec::new();
    let mut parts = decoded.split('/').skip(1).peekable();
    while let Some(segment) = parts.next() {
        let last = parts.peek().is_none();
        match segment {
            "." => {
                if last {
                    segments.push("");
                }
            }
            ".." => {
                segments.pop();
                if last {
                    segments.push("");
                }
            }
            segment => segments.push(segment),
        }
    }
    Some(format!("/{}", segments.join("/")))
}

/// The byte that `text` begins with, if that is an escape.
fn escaped(text: &str) -> Option<u8> {
    let [b'%', high, low, ..] = text.as_bytes() else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn merge_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_brought_into_their_canonical_form() {
        for (path, want) in [
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/../../x", "/x"),
            ("/a/.", "/a/"),
            ("/%7Efoo/%2e%2E/b", "/b"),
            ("/%c3%a9/é", "/%c3%a9/é"),
            ("/%zz/%2", "/%zz/%2"),
            ("/%%61%2g/../%2561", "/%2561"),
            ("/a\\b", "/a/b"),
            ("/", "/"),
        ] {
            assert_eq!(canonical(path).as_deref(), Some(want), "{path}");
        }
        assert_eq!(canonical("/%00"), None);
    }

    #[test]
    fn slashes_are_merged_and_unescaped() {
        assert_eq!(merge_slashes("//a///b/"), "/a/b/");
        assert_eq!(unescape_slashes("/a%2Fb%5c%41%2"), "/a/b\\%41%2");
    }

    #[test]
    fn a_port_is_split_off_names_and_bracketed_addresses() {
        assert_eq!(split_port("a.test:80"), ("a.test", Some("80")));
        assert_eq!(split_port("[::1]:80"), ("[::1]", Some("80")));
        assert_eq!(split_port("[::1]"), ("[::1]", None));
        assert_eq!(split_port("a.test"), ("a.test", None));
    }
}
