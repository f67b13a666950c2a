//! Fields that are known and read, and still not honoured in full: that is said.

use super::bootstrap;

/// The warnings of a bootstrap whose connection manager has these fields.
fn warnings(manager: &str) -> String {
    let lowered = bootstrap(&format!(
        r#"static_resources: {{listeners: [{{name: l, address: {{socket_address: {{address: 127.0.0.1, port_value: 1}}}}, filter_chains: [{{filters: [{{name: hcm, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: x, route_config: {{}}, {manager} http_filters: [{{name: r, typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]}}}}]}}]}}]}}"#
    ));
    let lowered = lowered.unwrap_or_else(|rejected| panic!("{:?}", rejected.problems));
    let lines: Vec<_> = lowered.warnings.warnings().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn what_is_usual_is_not_warned_of() {
    let usual = "http_protocol_options: {allow_absolute_url: true}, http2_protocol_options: {max_concurrent_streams: 100}, stream_error_on_invalid_http_message: false,";
    assert_eq!(warnings(usual), "");
}

#[test]
fn wishes_that_are_not_fulfilled_are_told_with_their_place() {
    for (field, place) in [
        ("http_protocol_options: {allow_absolute_url: false},", "allow_absolute_url"),
        ("stream_error_on_invalid_http_message: true,", "stream_error_on_invalid_http_message"),
        (
            "http2_protocol_options: {max_concurrent_streams: 2147483647},",
            "http2_protocol_options.max_concurrent_streams",
        ),
    ] {
        let found = warnings(field);
        assert!(found.contains(place), "{field}: {found:?}");
    }
}
