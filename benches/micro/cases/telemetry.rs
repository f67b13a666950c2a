//! What a request costs in the connection manager, and what access logs and spans add.

use std::hint::black_box;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use palanquin::for_benches::Exchange;
use palanquin::telemetry::Telemetry;
use palanquin::telemetry::access_log::Captured;
use palanquin::telemetry::trace::Node;
use palanquin_config::ir::format::FormatCx;
use palanquin_filter_api::stats::Registry;

use super::{Case, config, now, request};

/// Envoy's default format.
const DEFAULT_LOG: &str = r#", access_log: [{name: f, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/null}}]"#;

/// The fields of a mesh's JSON log.
const JSON_LOG: &str = r#", access_log: [{name: f, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/null, log_format: {json_format: {
start_time: "%START_TIME%", method: "%REQ(:METHOD)%", path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", protocol: "%PROTOCOL%",
response_code: "%RESPONSE_CODE%", response_flags: "%RESPONSE_FLAGS%", bytes_received: "%BYTES_RECEIVED%", bytes_sent: "%BYTES_SENT%",
duration: "%DURATION%", authority: "%REQ(:AUTHORITY)%", user_agent: "%REQ(USER-AGENT)%", request_id: "%REQ(X-REQUEST-ID)%",
upstream_host: "%UPSTREAM_HOST%", upstream_cluster: "%UPSTREAM_CLUSTER%", downstream_remote_address: "%DOWNSTREAM_REMOTE_ADDRESS%"}}}}]"#;

/// Every request is traced.
const TRACING: &str = r#", tracing: {random_sampling: {value: 100}, provider: {name: otel, typed_config: {"@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig, grpc_service: {envoy_grpc: {cluster_name: otel}}, service_name: web}}}"#;

/// A route that the proxy answers itself.
const HOSTS: &str =
    "[{name: v, domains: ['*'], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}]";

pub(super) fn cases() -> Vec<Case> {
    vec![
        log("log/default", "capture and line, Envoy's default format", DEFAULT_LOG),
        log("log/json", "capture and line, JSON of 15 fields", JSON_LOG),
        stream("stream/plain", "request record begun and ended", ""),
        stream("stream/span", "the same with a span begun and finished", TRACING),
        answer("answer/plain", "whole connection manager, direct response", ""),
        answer("answer/span-and-json-log", "the same with a span and a JSON line", BOTH.as_str()),
    ]
}

static BOTH: std::sync::LazyLock<String> =
    std::sync::LazyLock::new(|| format!("{TRACING}{JSON_LOG}"));

/// A connection whose connection manager has `more` fields. Nobody takes the spans it records: the first batch fills
/// no queue, and cases end before the second.
pub(super) fn exchange(more: &str) -> Exchange {
    let (telemetry, spans) =
        Telemetry::start(&Registry::new(1), Node::default()).expect("a process can start a thread");
    // The queue must stay open: the process ends with the case.
    Box::leak(Box::new(spans));
    Exchange::new(config::manager(HOSTS, more), &telemetry)
}

fn log(name: &str, what: &'static str, access_log: &'static str) -> Case {
    Case::new(name, what, move || {
        let exchange = exchange(access_log);
        let logs = config::manager(HOSTS, access_log).access_logs.clone();
        let request = request("example.com", "/items?q=1");
        let headers = HeaderMap::from_iter([(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain"),
        )]);
        let mut cx = exchange.context();
        cx.info.protocol = Some(http::Version::HTTP_11);
        cx.info.response_code = Some(StatusCode::OK);
        cx.info.bytes_sent = 1_234;
        cx.info.timing.end = Some(cx.info.timing.start + Duration::from_millis(12));
        cx.info.upstream.host = Some("10.0.0.7:8080".into());
        cx.info.upstream.cluster = Some("payments".into());
        let write = move || {
            let mut captured = Captured::default();
            captured.request(&logs, black_box(&request), "http");
            captured.response(&logs, &headers);
            exchange.telemetry().log(&logs, &captured, &FormatCx::new(black_box(&cx)));
        };
        warm(&write);
        write
    })
}

fn stream(name: &str, what: &'static str, more: &'static str) -> Case {
    Case::new(name, what, move || {
        let exchange = exchange(more);
        let mut request = request("example.com", "/items?q=1");
        let mut run = move || exchange.stream(black_box(&mut request));
        (0..SPANS).for_each(|_| run());
        run
    })
}

fn answer(name: &str, what: &'static str, more: &'static str) -> Case {
    Case::new(name, what, move || {
        let exchange = exchange(more);
        let run = move || {
            let response = now(exchange.handle(request("example.com", "/items?q=1")));
            assert_eq!(black_box(response).status(), StatusCode::OK);
        };
        (0..SPANS).for_each(|_| run());
        run
    })
}

/// More than one batch of spans: the worker's buffer has its final size then.
const SPANS: u32 = 520;

/// Lets the worker's buffer grow to its size: more lines than 64 KiB hold.
fn warm(write: &impl Fn()) {
    (0..1_000).for_each(|_| write());
}
