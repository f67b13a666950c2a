//! Header names that are Envoy's rather than HTTP's.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

macro_rules! names {
    ($($name:ident = $text:literal;)*) => {
        $(#[doc = concat!("`", $text, "`")]
        pub(crate) const $name: HeaderName = HeaderName::from_static($text);)*
    };
}

names! {
    X_CLIENT_TRACE_ID = "x-client-trace-id";
    X_ENVOY_ATTEMPT_COUNT = "x-envoy-attempt-count";
    X_ENVOY_DECORATOR_OPERATION = "x-envoy-decorator-operation";
    X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER = "x-envoy-downstream-service-cluster";
    X_ENVOY_DOWNSTREAM_SERVICE_NODE = "x-envoy-downstream-service-node";
    X_ENVOY_EXPECTED_RQ_TIMEOUT_MS = "x-envoy-expected-rq-timeout-ms";
    X_ENVOY_EXTERNAL_ADDRESS = "x-envoy-external-address";
    X_ENVOY_FORCE_TRACE = "x-envoy-force-trace";
    X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT = "x-envoy-hedge-on-per-try-timeout";
    X_ENVOY_INTERNAL = "x-envoy-internal";
    X_ENVOY_IP_TAGS = "x-envoy-ip-tags";
    X_ENVOY_MAX_RETRIES = "x-envoy-max-retries";
    X_ENVOY_ORIGINAL_PATH = "x-envoy-original-path";
    X_ENVOY_ORIGINAL_DST_HOST = "x-envoy-original-dst-host";
    X_ENVOY_ORIGINAL_HOST = "x-envoy-original-host";
    X_ENVOY_ORIGINAL_URL = "x-envoy-original-url";
    X_ENVOY_PEER_METADATA = "x-envoy-peer-metadata";
    X_ENVOY_PEER_METADATA_ID = "x-envoy-peer-metadata-id";
    X_ENVOY_RETRIABLE_HEADER_NAMES = "x-envoy-retriable-header-names";
    X_ENVOY_RETRIABLE_STATUS_CODES = "x-envoy-retriable-status-codes";
    X_ENVOY_RETRY_GRPC_ON = "x-envoy-retry-grpc-on";
    X_ENVOY_RETRY_ON = "x-envoy-retry-on";
    X_ENVOY_UPSTREAM_ALT_STAT_NAME = "x-envoy-upstream-alt-stat-name";
    X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS = "x-envoy-upstream-rq-per-try-timeout-ms";
    X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE = "x-envoy-upstream-rq-timeout-alt-response";
    X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS = "x-envoy-upstream-rq-timeout-ms";
    X_ENVOY_UPSTREAM_SERVICE_TIME = "x-envoy-upstream-service-time";
    X_ENVOY_RATELIMITED = "x-envoy-ratelimited";
    X_FORWARDED_CLIENT_CERT = "x-forwarded-client-cert";
    X_FORWARDED_FOR = "x-forwarded-for";
    X_FORWARDED_HOST = "x-forwarded-host";
    X_FORWARDED_PROTO = "x-forwarded-proto";
    GRPC_MESSAGE = "grpc-message";
    GRPC_STATUS = "grpc-status";
    GRPC_TIMEOUT = "grpc-timeout";
}

/// Adds `value` to the list in the header `name`: one line in the end, however many there were.
pub(crate) fn append(headers: &mut HeaderMap, name: HeaderName, value: &HeaderValue, comma: &[u8]) {
    let mut list = Vec::new();
    for line in headers.get_all(&name) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(comma);
    }
    if list.is_empty() {
        headers.insert(name, value.clone());
        return;
    }
    list.extend_from_slice(value.as_bytes());
    if let Ok(list) = HeaderValue::from_bytes(&list) {
        headers.insert(name, list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_grows_in_one_line() {
        let mut headers = HeaderMap::new();
        let name = http::header::VIA;
        append(&mut headers, name.clone(), &HeaderValue::from_static("a"), b", ");
        assert_eq!(headers[&name], "a");
        headers.append(&name, HeaderValue::from_static("b"));
        append(&mut headers, name.clone(), &HeaderValue::from_static("c"), b", ");
        assert_eq!(headers[&name], "a, b, c");
        assert_eq!(headers.len(), 1);
    }
}
