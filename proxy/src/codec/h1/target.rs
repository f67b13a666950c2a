//! Request targets and authorities (RFC 9112 §3.2, RFC 3986 §3.2.2).

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Uri;
use http::uri::PathAndQuery;
use http::uri::Scheme;

use crate::codec::Violation;

/// A parsed request target.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) uri: Uri,
    /// Replaces the host field: of an absolute-form or authority-form target.
    pub(super) authority: Option<HeaderValue>,
    /// Of an absolute-form target.
    pub(super) scheme: Option<Scheme>,
    /// A fragment was cut off; the request is to be refused.
    pub(super) has_fragment: bool,
}

impl Target {
    pub(super) fn parse(method: &Method, target: Bytes) -> Result<Self, Violation> {
        if !target.iter().all(|b| (b'!'..=b'~').contains(b)) {
            return Err(Violation::Codec("request target"));
        }
        if *method == Method::CONNECT {
            // digits after the last colon; a bracketed address without a port ends in `]`
            let has_port = target.last().is_some_and(u8::is_ascii_digit) && target.contains(&b':');
            if !has_port || !is_authority(&target) {
                return Err(Violation::InvalidUrl);
            }
            let authority = HeaderValue::from_maybe_shared(target).ok();
            return Ok(Self { authority, ..Self::origin(Uri::default()) });
        }
        if target[..] == b"*"[..] {
            let path = PathAndQuery::from_static("*");
            return match *method {
                Method::OPTIONS => Ok(Self::origin(Uri::from(path))),
                _ => Err(Violation::InvalidUrl),
            };
        }
        if target.first() == Some(&b'/') {
            return Self::path(target);
        }
        Self::absolute(&target)
    }

    fn origin(uri: Uri) -> Self {
        Self { uri, authority: None, scheme: None, has_fragment: false }
    }

    fn path(target: Bytes) -> Result<Self, Violation> {
        let has_fragment = target.contains(&b'#');
        let uri = path_and_query(target).ok_or(Violation::InvalidUrl)?;
        Ok(Self { has_fragment, ..Self::origin(uri) })
    }

    fn absolute(target: &Bytes) -> Result<Self, Violation> {
        let separator = b"://";
        let at = target
            .windows(separator.len())
            .position(|window| window == separator)
            .ok_or(Violation::Codec("request target"))?;
        let scheme = match &target[..at] {
            scheme if scheme.eq_ignore_ascii_case(b"http") => Scheme::HTTP,
            scheme if scheme.eq_ignore_ascii_case(b"https") => Scheme::HTTPS,
            _ => return Err(Violation::InvalidScheme),
        };
        let rest = target.slice(at + separator.len()..);
        let end = rest.iter().position(|b| b"/?#".contains(b)).unwrap_or(rest.len());
        let authority = rest.slice(..end);
        if authority.is_empty() || !is_authority(&authority) {
            return Err(Violation::InvalidUrl);
        }
        let path = rest.slice(end..);
        let path = match path.first() {
            Some(b'/') => path,
            _ => Bytes::from([&b"/"[..], &path[..]].concat()),
        };
        let authority =
            HeaderValue::from_maybe_shared(authority).map_err(|_| Violation::InvalidUrl)?;
        Ok(Self { authority: Some(authority), scheme: Some(scheme), ..Self::path(path)? })
    }
}

/// A `Uri` of path and query only. The few printable characters that RFC 3986 forbids and Envoy passes
/// on, but `http::Uri` does not hold, are percent-encoded.
fn path_and_query(target: Bytes) -> Option<Uri> {
    let path = PathAndQuery::from_maybe_shared(target.clone()).or_else(|_| {
        let mut encoded = Vec::with_capacity(target.len() + 16);
        for byte in &target {
            match byte {
                b'<' => encoded.extend_from_slice(b"%3C"),
                b'>' => encoded.extend_from_slice(b"%3E"),
                b'"' => encoded.extend_from_slice(b"%22"),
                b'`' => encoded.extend_from_slice(b"%60"),
                byte => encoded.push(*byte),
            }
        }
        PathAndQuery::from_maybe_shared(Bytes::from(encoded))
    });
    path.ok().map(Uri::from)
}

/// True for `host [":" port]`: a registered name, an IPv4 or a bracketed IPv6 address, and a port up
/// to 65535 or nothing after the colon. No user information, no path. An empty host is one.
pub(in crate::codec) fn is_authority(authority: &[u8]) -> bool {
    let (host_is_valid, rest) = if let Some(literal) = authority.strip_prefix(b"[") {
        let Some(end) = literal.iter().position(|b| *b == b']') else { return false };
        let in_literal = |b: &u8| b.is_ascii_hexdigit() || b":.".contains(b);
        (end > 0 && literal[..end].iter().all(in_literal), &literal[end + 1..])
    } else {
        let end = authority.iter().position(|b| *b == b':').unwrap_or(authority.len());
        let in_name = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(b);
        (authority[..end].iter().all(in_name), &authority[end..])
    };
    let port_is_valid = match rest.strip_prefix(b":") {
        None => rest.is_empty(),
        Some(port) => {
            port.len() <= 5
                && port.iter().all(u8::is_ascii_digit)
                && port.iter().fold(0, |n: u32, d| n * 10 + u32::from(d - b'0')) <= 65_535
        }
    };
    host_is_valid && port_is_valid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for good in ["", "a", "a.test:80", "a.test:", "[::1]", "[::1]:80", "1.2.3.4:65535", "a_b"] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "u@a", "a b", "a/b", "a:b", "a:80:80", "[::1", "[]", "a:65536", "a:000080", "a#b",
            "a?b", "a\\b", "[::1]x",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn an_absolute_target_gives_host_scheme_and_path() {
        let parse = |t: &'static str| Target::parse(&Method::GET, Bytes::from_static(t.as_bytes()));
        let target = parse("HTTP://b.test:81/x?y").unwrap();
        assert_eq!(target.uri, "/x?y");
        assert_eq!(target.authority.unwrap(), "b.test:81");
        assert_eq!(target.scheme, Some(Scheme::HTTP));
        assert_eq!(parse("https://b.test?z=1").unwrap().uri, "/?z=1");
        assert_eq!(parse("http://b.test").unwrap().uri, "/");
        assert_eq!(parse("ftp://b/").unwrap_err(), Violation::InvalidScheme);
        assert_eq!(parse("http:///x").unwrap_err(), Violation::InvalidUrl);
        assert_eq!(parse("http://u@b/").unwrap_err(), Violation::InvalidUrl);
        assert_eq!(parse("*").unwrap_err(), Violation::InvalidUrl);
        assert_eq!(parse("foo").unwrap_err(), Violation::Codec("request target"));
    }

    #[test]
    fn printable_characters_survive_or_are_percent_encoded() {
        let parse = |t: &'static str| Target::parse(&Method::GET, Bytes::from_static(t.as_bytes()));
        assert_eq!(parse("/a<b>`").unwrap().uri, "/a%3Cb%3E%60");
        assert_eq!(parse("/q?a=|{}[]\\^").unwrap().uri, "/q?a=|{}[]\\^");
        assert!(parse("/a#b").unwrap().has_fragment);
        assert!(parse("/\u{a0}").is_err());
    }
}
