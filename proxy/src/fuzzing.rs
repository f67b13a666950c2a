//! Entry points for fuzzers to parsers that nobody else outside may call (`tests/fuzz`).

use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use http::Uri;
use palanquin_config::ir::http::EscapedSlashes;
use palanquin_config::ir::http::PathNormalization;
use palanquin_filter_api::Body;

use crate::downstream::proxy_protocol;
use crate::http::normalize;
use crate::telemetry::trace::context;

/// Reads the first bytes of a connection as a PROXY header. What is known of a prefix stays true of the
/// whole: a header does not change, and what is invalid stays invalid.
pub fn proxy_header(data: &[u8]) {
    let whole = proxy_protocol::parse(data);
    for end in 0..data.len().min(64) {
        let part = proxy_protocol::parse(&data[..end]);
        if !matches!(part, proxy_protocol::Parsed::Incomplete) && end > 0 {
            assert_eq!(format!("{part:?}"), format!("{whole:?}"));
        }
    }
    if let proxy_protocol::Parsed::Header { length, .. } = whole {
        assert!(length <= data.len() || length <= 16 + usize::from(u16::MAX));
    }
}

/// Reads `traceparent` and `tracestate`, each line a header; what is passed on is valid itself.
pub fn trace_context(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for (line, name) in
        data.split(|byte| *byte == b'\n').zip(["traceparent", "tracestate", "tracestate"])
    {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    if let Some(parent) = context::ParentContext::extract(&headers) {
        let again = context::traceparent(parent.trace_id, parent.span_id, parent.sampled);
        headers.insert("traceparent", again);
        assert_eq!(context::ParentContext::extract(&headers), Some(parent));
    }
    context::normalize_tracestate(&mut headers);
    let once = headers.clone();
    context::normalize_tracestate(&mut headers);
    assert_eq!(once, headers);
}

/// Normalises a path; nothing climbs out, and doing it twice changes nothing more. The latter only without
/// escapes: `%4%66` becomes `%4f`, as in Envoy, which a second pass would decode.
pub fn path(data: &[u8]) {
    let Ok(uri) = Uri::try_from(data) else { return };
    for escaped_slashes in [EscapedSlashes::Keep, EscapedSlashes::UnescapeAndForward] {
        let rules = PathNormalization { normalize: true, merge_slashes: true, escaped_slashes };
        let mut request = Request::new(Body::Empty);
        *request.uri_mut() = uri.clone();
        if normalize::path(&mut request, rules).is_err() || !request.uri().path().starts_with('/') {
            continue;
        }
        let once = request.uri().clone();
        assert!(once.path().split('/').all(|segment| segment != ".." && segment != "."), "{once}");
        assert!(!once.path().contains("//"), "{once}");
        assert!(normalize::path(&mut request, rules).is_ok(), "{once}");
        assert!(once.path().contains('%') || once == *request.uri(), "{once} {}", request.uri());
    }
}
