//! Which HTTP a connection speaks.

use std::time::Duration;

use palanquin_tls::Transport;

/// A version of HTTP over a byte stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpVersion {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What a client of HTTP/2 sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// As much of it as tells: no HTTP/1 request begins so.
const TELLING: usize = 18;

/// By what TLS agreed on; `None` when that says nothing.
pub(crate) fn by_alpn(protocol: Option<&[u8]>) -> Option<HttpVersion> {
    match protocol? {
        b"h2" => Some(HttpVersion::Http2),
        b"http/1.1" | b"http/1.0" => Some(HttpVersion::Http1),
        _ => None,
    }
}

/// By the first bytes, which stay to be read. `None`: the client left, or said nothing for `limit`.
pub(crate) async fn by_preface(
    transport: &mut Transport,
    limit: Option<Duration>,
) -> Option<HttpVersion> {
    // Over TLS without ALPN Envoy looks at the first bytes too; they are behind the record layer, and a
    // client that speaks HTTP/2 without saying so in ALPN breaks RFC 9113 §3.2.
    let Transport::Plain(io) = transport else { return Some(HttpVersion::Http1) };
    let looking = async {
        loop {
            let seen = io.peeked();
            let n = seen.len().min(TELLING);
            if seen[..n] != PREFACE[..n] {
                return Some(HttpVersion::Http1);
            }
            if n == TELLING {
                return Some(HttpVersion::Http2);
            }
            if io.peek_more(READ).await.ok()? == 0 {
                // An HTTP/1 codec answers whatever this was.
                return (!io.peeked().is_empty()).then_some(HttpVersion::Http1);
            }
        }
    };
    match limit {
        Some(limit) => tokio::time::timeout(limit, looking).await.ok().flatten(),
        None => looking.await,
    }
}

/// How much one read takes: the usual request is smaller.
const READ: usize = 2048;

/// What the HTTP inspector finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Http {
    /// This protocol: `h2c`, `http/1.1` or `http/1.0`.
    Found(&'static str),
    /// It could become HTTP.
    Incomplete,
    /// It is not.
    Other,
}

/// Looks at the first bytes of a connection.
pub(crate) fn http(bytes: &[u8]) -> Http {
    let n = bytes.len().min(PREFACE.len());
    if bytes[..n] == PREFACE[..n] {
        return if n == PREFACE.len() { Http::Found("h2c") } else { Http::Incomplete };
    }
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        let method_length = bytes.iter().position(|byte| *byte == b' ').unwrap_or(bytes.len());
        let method = &bytes[..method_length];
        let plausible = method.len() <= 20 && method.iter().all(u8::is_ascii_uppercase);
        return if plausible && bytes.len() < 16 * 1024 { Http::Incomplete } else { Http::Other };
    };
    let line = bytes[..end].trim_ascii_end();
    if line.ends_with(b" HTTP/1.1") {
        Http::Found("http/1.1")
    } else if line.ends_with(b" HTTP/1.0") {
        Http::Found("http/1.0")
    } else {
        Http::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_told_from_its_first_line_however_it_is_cut() {
        let request = b"GET / HTTP/1.1\r\nhost: a\r\n";
        assert_eq!(http(request), Http::Found("http/1.1"));
        for cut in 0..15 {
            assert_eq!(http(&request[..cut]), Http::Incomplete, "{cut}");
        }
        assert_eq!(http(PREFACE), Http::Found("h2c"));
        assert_eq!(http(b"SSH-2.0-x\r\n"), Http::Other);
        assert_eq!(http(b"\x16\x03\x01"), Http::Other);
    }
}
