//! Keeps other people's web pages out.

use http::HeaderMap;
use http::header;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("the host is neither an IP address nor localhost\n")]
    Host,
    #[error("the request comes from another site's page\n")]
    Origin,
}

/// Checks the `Host` of any request, and where one that changes something comes from. Several `Host`
/// headers do not get here; the HTTP server refuses them.
pub(super) fn check(
    headers: &HeaderMap,
    authority: Option<&str>,
    mutates: bool,
) -> Result<(), Refused> {
    let host = authority.or_else(|| headers.get(header::HOST)?.to_str().ok());
    // HTTP/1.0 without a host cannot come from a browser.
    if host.is_some_and(|host| !is_local_name(host)) {
        return Err(Refused::Host);
    }
    if !mutates {
        return Ok(());
    }
    let site = headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes);
    let foreign_site = site.is_some_and(|site| site != b"same-origin" && site != b"none");
    let origin = headers.get(header::ORIGIN).map(http::HeaderValue::as_bytes);
    let foreign_origin = origin.is_some_and(|origin| {
        let own = host.map(|host| format!("http://{host}"));
        own.is_none_or(|own| origin != own.as_bytes())
    });
    if foreign_site || foreign_origin { Err(Refused::Origin) } else { Ok(()) }
}

/// An IP address, `localhost` or `*.localhost`, with or without a port.
fn is_local_name(host: &str) -> bool {
    if host.is_empty() || host.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    if host.parse::<std::net::SocketAddr>().is_ok() {
        return true;
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if bracketed.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok()) {
        return true;
    }
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_addresses_and_localhost_are_hosts() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9901",
            "[::1]:9901",
            "[::1]",
            "::1",
            "localhost",
            "LOCALHOST:1",
            "a.localhost:80",
            "10.0.0.7:15000",
            "",
        ] {
            assert_eq!(check(&headers(&[("host", host)]), None, false), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil.example:9901",
            "127.0.0.1.nip.io",
            "xlocalhost",
            "[::1].evil",
        ] {
            assert_eq!(
                check(&headers(&[("host", host)]), None, false),
                Err(Refused::Host),
                "{host}"
            );
        }
        assert_eq!(check(&headers(&[]), None, true), Ok(()));
    }

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        let own = ("host", "localhost:9901");
        for good in [
            ("origin", "http://localhost:9901"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
        ] {
            assert_eq!(check(&headers(&[own, good]), None, true), Ok(()));
        }
        for bad in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
        ] {
            assert_eq!(check(&headers(&[own, bad]), None, true), Err(Refused::Origin));
            assert_eq!(check(&headers(&[own, bad]), None, false), Ok(()));
        }
    }
}
