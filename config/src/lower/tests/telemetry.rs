//! Access logs and tracing.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, StatusCode};
use palanquin_filter_api::{ConnectionInfo, ResponseFlags, StreamCx, StreamInfo, Upstreams};

use super::{bootstrap, errors};
use crate::ir::access_log::{AccessLog, LogCx, Sink};
use crate::ir::format::FormatCx;
use crate::ir::http::ConnectionManager;
use crate::ir::listener::NetworkFilter;
use crate::ir::tracing::{Direction, Sampler, TagValue};

/// A bootstrap whose connection manager has `extra`, one line of flow YAML.
fn yaml(extra: &str) -> String {
    format!(
        r#"
static_resources:
  listeners:
  - name: web
    address: {{socket_address: {{address: 127.0.0.1, port_value: 10000}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          {extra}
          route_config: {{name: local}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: otel
    type: STATIC
    load_assignment:
      cluster_name: otel
      endpoints: []
"#
    )
}

fn manager(extra: &str) -> (Arc<ConnectionManager>, String) {
    let lowered = bootstrap(&yaml(extra)).unwrap_or_else(|rejected| panic!("{rejected}"));
    let NetworkFilter::Http(manager) = &lowered.value.listeners[0].chains[0].network else {
        panic!("no HTTP")
    };
    let warnings: Vec<_> = lowered.warnings.warnings().map(ToString::to_string).collect();
    (Arc::clone(manager), warnings.join("\n"))
}

const FILE: &str = r#""@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /l"#;

/// An access log to a file: more of its configuration, and a filter.
fn log(more: &str, filter: &str) -> String {
    format!("access_log: [{{name: f, filter: {filter}, typed_config: {{{FILE}{more}}}}}]")
}

struct NoUpstreams;

impl Upstreams for NoUpstreams {
    fn find(&self, _: &str) -> Option<Arc<str>> {
        None
    }
}

/// A request for `/x` with a header, answered with 503 and flag UF after 20 ms.
fn write(log: &AccessLog) -> String {
    let now = Instant::now();
    let connection = ConnectionInfo {
        id: 7,
        remote: "192.0.2.7:5000".parse().unwrap(),
        direct_remote: "192.0.2.7:5000".parse().unwrap(),
        local: "127.0.0.1:10000".parse().unwrap(),
        listener: "web".into(),
        filter_chain: "".into(),
        sni: None,
        tls: None,
    };
    let mut info = StreamInfo::begin(Rc::new(connection), now);
    info.timing.end = Some(now + Duration::from_millis(20));
    info.response_code = Some(StatusCode::SERVICE_UNAVAILABLE);
    info.flags = ResponseFlags::UPSTREAM_CONNECTION_FAILURE;
    let stream = StreamCx::new(info, Rc::new(NoUpstreams));
    let request = Request::get("/x")
        .header("host", "a.test")
        .header("x-many", "one")
        .header("x-many", "two")
        .body(())
        .unwrap();
    let captured = log.capture.request(&request, "http");
    let cx = LogCx {
        format: FormatCx::new(&stream).with_request(captured.head()),
        matched: captured.matched(),
        traced: false,
        random: 500_000,
    };
    let mut out = Vec::new();
    log.write(&cx, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_log_without_a_format_has_envoys_default_one() {
    let (manager, warnings) = manager(&log("", "null").replace("filter: null, ", ""));
    assert_eq!(warnings, "");
    assert_eq!(manager.access_logs[0].sink, Sink::File("/l".into()));
    let line = write(&manager.access_logs[0]);
    assert!(
        line.ends_with("] \"GET /x -\" 503 UF 0 0 20 - \"-\" \"-\" \"-\" \"a.test\" \"-\"\n"),
        "{line}"
    );
}

#[test]
fn formats_of_every_kind_are_written() {
    for (more, want) in [
        (
            r#", log_format: {text_format_source: {inline_string: "%REQ(:PATH)% %REQ(no)%\n"}}"#,
            "/x -\n",
        ),
        (
            r#", log_format: {omit_empty_values: true, text_format_source: {inline_string: "[%REQ(no)%]"}}"#,
            "[]",
        ),
        (
            r#", log_format: {json_format: {b: "%RESPONSE_CODE%", a: {c: "%REQ(no)%"}}}"#,
            "{\"a\":{\"c\":null},\"b\":503}\n",
        ),
        (r#", format: "%PROTOCOL%""#, "-"),
        (r", typed_json_format: {n: 1}", "{\"n\":1}\n"),
    ] {
        let (manager, _) = manager(&log(more, "{not_health_check_filter: {}}"));
        assert_eq!(write(&manager.access_logs[0]), want, "{more}");
    }
}

#[test]
fn filters_choose_what_is_told() {
    let compare = |op: &str, value: u32| {
        format!("{{comparison: {{op: {op}, value: {{default_value: {value}, runtime_key: k}}}}}}")
    };
    for (filter, want) in [
        (format!("{{status_code_filter: {}}}", compare("GE", 500)), true),
        (format!("{{status_code_filter: {}}}", compare("EQ", 200)), false),
        (format!("{{status_code_filter: {}}}", compare("NE", 200)), true),
        (format!("{{duration_filter: {}}}", compare("GE", 21)), false),
        (format!("{{duration_filter: {}}}", compare("LE", 20)), true),
        ("{not_health_check_filter: {}}".into(), true),
        ("{traceable_filter: {}}".into(), false),
        ("{runtime_filter: {runtime_key: k, percent_sampled: {numerator: 51}}}".into(), true),
        ("{runtime_filter: {runtime_key: k, percent_sampled: {numerator: 50}}}".into(), false),
        ("{runtime_filter: {runtime_key: k}}".into(), false),
        ("{header_filter: {header: {name: x-many, string_match: {exact: two}}}}".into(), true),
        (r#"{header_filter: {header: {name: x-many, string_match: {exact: "one,two"}}}}"#.into(), false),
        (r#"{header_filter: {header: {name: ":path", string_match: {exact: /y}}}}"#.into(), false),
        ("{response_flag_filter: {}}".into(), true),
        ("{response_flag_filter: {flags: [NR, UF]}}".into(), true),
        ("{response_flag_filter: {flags: [NR]}}".into(), false),
        ("{response_flag_filter: {flags: [UDO]}}".into(), false),
        ("{grpc_status_filter: {statuses: [UNAVAILABLE]}}".into(), true),
        ("{grpc_status_filter: {statuses: [UNAVAILABLE], exclude: true}}".into(), false),
        ("{metadata_filter: {}}".into(), true),
        ("{metadata_filter: {matcher: {filter: a, path: [{key: b}], value: {present_match: true}}, match_if_key_not_found: false}}".into(), false),
        ("{or_filter: {filters: [{traceable_filter: {}}, {response_flag_filter: {}}]}}".into(), true),
        ("{and_filter: {filters: [{traceable_filter: {}}, {response_flag_filter: {}}]}}".into(), false),
        ("{log_type_filter: {types: [DownstreamEnd]}}".into(), true),
        ("{log_type_filter: {types: [DownstreamStart]}}".into(), false),
    ] {
        let (manager, _) = manager(&log(r#", format: "told""#, &filter));
        assert_eq!(write(&manager.access_logs[0]) == "told", want, "{filter}");
    }
}

#[test]
fn what_is_wrong_with_a_log_is_said_at_its_field() {
    let at = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.access_log[0]";
    for (extra, want) in [
        (
            log(
                r#", log_format: {text_format_source: {inline_string: "%RESPONSE_COD%"}}"#,
                "{not_health_check_filter: {}}",
            ),
            ".typed_config.log_format.text_format_source: unknown operator %RESPONSE_COD% at byte 0 (did you mean %RESPONSE_CODE%?)",
        ),
        (
            log(
                r#", log_format: {json_format: {a: {b: "%REQ()%"}}}"#,
                "{not_health_check_filter: {}}",
            ),
            ".typed_config.log_format.json_format[\"a\"][\"b\"]: %REQ% needs a header's name at byte 0",
        ),
    ] {
        assert!(
            errors(&yaml(&extra)).contains(&format!("{at}{want}")),
            "{}",
            errors(&yaml(&extra))
        );
    }
}

#[test]
fn loggers_we_do_not_have_are_warnings() {
    let extra = r#"access_log: [{name: als, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig, common_config: {log_name: x, transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: otel}}}}}]"#;
    let (manager, warnings) = manager(extra);
    assert!(manager.access_logs.is_empty());
    assert!(warnings.contains("access_log[0].typed_config: access logger envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig is not supported yet"), "{warnings}");
    let (_, warnings) =
        self::manager(&log(r#", format: "%UNIQUE_ID%""#, "{not_health_check_filter: {}}"));
    assert!(warnings.contains("%UNIQUE_ID% is not measured"), "{warnings}");
}

const OTEL: &str = r#""@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig"#;

#[test]
fn tracing_gets_envoys_defaults() {
    let (manager, warnings) = manager(&format!(
        "tracing: {{random_sampling: {{value: 12.5}}, custom_tags: [{{tag: a, literal: {{value: b}}}}], \
         provider: {{name: o, typed_config: {{{OTEL}, service_name: svc, grpc_service: \
         {{envoy_grpc: {{cluster_name: otel}}, timeout: 2s}}}}}}}}"
    ));
    assert_eq!(warnings, "");
    let tracing = manager.tracing.as_ref().unwrap();
    assert_eq!((tracing.client_sampling, tracing.random_sampling), (1_000_000, 125_000));
    assert_eq!(tracing.max_path_tag_length, 256);
    assert!(tracing.spawn_upstream_span);
    assert_eq!(tracing.sampler, Sampler::Shares);
    assert!(matches!(&tracing.custom_tags[0].value, TagValue::Literal(value) if &**value == "b"));
    assert_eq!(&*tracing.exporter.service_name, "svc");
    assert_eq!(tracing.exporter.timeout, Duration::from_secs(2));
}

#[test]
fn spans_have_the_direction_of_their_listener() {
    let extra = format!(
        "tracing: {{provider: {{name: o, typed_config: {{{OTEL}, grpc_service: \
         {{envoy_grpc: {{cluster_name: otel}}}}}}}}}}"
    );
    for (field, want) in [
        ("", Direction::Inbound),
        ("traffic_direction: INBOUND", Direction::Inbound),
        ("traffic_direction: OUTBOUND", Direction::Outbound),
    ] {
        let yaml = yaml(&extra).replace("name: web", &format!("name: web\n    {field}"));
        let lowered = bootstrap(&yaml).unwrap_or_else(|rejected| panic!("{rejected}"));
        let NetworkFilter::Http(manager) = &lowered.value.listeners[0].chains[0].network else {
            panic!("no HTTP")
        };
        assert_eq!(manager.tracing.as_ref().unwrap().direction, want, "{field}");
    }
}

#[test]
fn a_collector_must_be_a_cluster_that_exists() {
    let provider = |config: &str| {
        format!("tracing: {{provider: {{name: o, typed_config: {{{OTEL}, {config}}}}}}}")
    };
    let unknown = provider("grpc_service: {envoy_grpc: {cluster_name: otl}}");
    assert!(errors(&yaml(&unknown)).contains("cluster_name: unknown cluster \"otl\""));
    let google = provider("grpc_service: {google_grpc: {target_uri: a, stat_prefix: b}}");
    assert!(errors(&yaml(&google)).contains("envoy_grpc is necessary"));
    let (manager, warnings) =
        manager(&provider("http_service: {http_uri: {uri: http://a, cluster: otel, timeout: 1s}}"));
    assert!(manager.tracing.is_none());
    assert!(warnings.contains("OTLP over HTTP is not supported yet"), "{warnings}");
}
