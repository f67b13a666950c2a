//! The access log.

use std::path::Path;

use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::raw::ClosedPort;
use palanquin_tests::time::eventually;
use palanquin_tests::upstream::Upstream;
use tempfile::TempDir;

fn logged(directory: &TempDir, format: &str) -> Http {
    Http::to("blue").manager(&format!(
        "
access_log:
- name: envoy.access_loggers.file
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
    path: {}
    {format}
",
        directory.path().join("access.log").display()
    ))
}

/// Waits for that many lines.
async fn lines(directory: &Path, count: usize) -> Vec<String> {
    let path = directory.join("access.log");
    eventually("lines in the access log", async || {
        let text = std::fs::read_to_string(&path).ok()?;
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count).then_some(lines)
    })
    .await
}

#[tokio::test]
async fn the_default_format_is_envoys() {
    let directory = tempfile::tempdir().unwrap();
    let blue = Upstream::echo("blue").await;
    let proxy = Proxy::http(logged(&directory, ""), &[cluster("blue", &[blue.address])]).await;
    proxy.get("/path?q=1").await;
    let lines = lines(directory.path(), 1).await;
    let line = &lines[0];
    assert!(line.contains("\"GET /path?q=1 HTTP/1.1\" 200 - 0 4 "), "{line}");
    assert!(line.ends_with(&format!("\"test.example\" \"{}\"", blue.address)), "{line}");
}

#[tokio::test]
async fn a_json_format_keeps_types_and_tells_failures() {
    let directory = tempfile::tempdir().unwrap();
    let format = "log_format: { json_format: { status: '%RESPONSE_CODE%', flags: '%RESPONSE_FLAGS%', path: '%REQ(:PATH)%', cluster: '%UPSTREAM_CLUSTER%', details: '%RESPONSE_CODE_DETAILS%' } }";
    let closed = ClosedPort::reserve();
    let clusters = [cluster("blue", &[closed.address])];
    let proxy = Proxy::http(logged(&directory, format), &clusters).await;
    proxy.get("/p").await;
    let line: serde_json::Value =
        serde_json::from_str(&lines(directory.path(), 1).await[0]).unwrap();
    assert_eq!(line["status"], 503);
    assert_eq!(line["flags"], "UF");
    assert_eq!(line["path"], "/p");
    assert_eq!(line["cluster"], "blue");
    assert!(
        line["details"].as_str().unwrap().starts_with("upstream_reset_before_response_started")
    );
}

#[tokio::test]
async fn what_a_client_sends_cannot_break_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let blue = Upstream::echo("blue").await;
    let format = "log_format: { text_format_source: { inline_string: \"%REQ(X-EVIL)%\\n\" } }";
    let clusters = [cluster("blue", &[blue.address])];
    let proxy = Proxy::http(logged(&directory, format), &clusters).await;
    let evil = http::HeaderValue::from_bytes(b"a\tb\"\xff").unwrap();
    let request = http::Request::get("/")
        .header("x-evil", evil)
        .body(palanquin_tests::upstream::full(""))
        .unwrap();
    palanquin_tests::client::send(proxy.address().await, request).await;
    proxy.get("/").await;
    let lines = lines(directory.path(), 2).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| *line == "-").count(), 1, "{lines:?}");
}

#[tokio::test]
async fn a_filter_chooses_what_is_logged() {
    let directory = tempfile::tempdir().unwrap();
    let blue = Upstream::echo("blue").await;
    let listener = Http::routes(
        "
- { match: { prefix: /bad }, direct_response: { status: 500 } }
- { match: { prefix: / }, route: { cluster: blue } }
",
    )
    .manager(&format!(
        "
access_log:
- name: envoy.access_loggers.file
  filter: {{ status_code_filter: {{ comparison: {{ op: GE, value: {{ default_value: 500, runtime_key: x }} }} }} }}
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
    path: {}
    log_format: {{ text_format_source: {{ inline_string: \"%REQ(:PATH)%\\n\" }} }}
",
        directory.path().join("access.log").display()
    ));
    let proxy = Proxy::http(listener, &[cluster("blue", &[blue.address])]).await;
    for path in ["/good", "/bad/1", "/good", "/bad/2"] {
        proxy.get(path).await;
    }
    // Each worker writes its own lines in order; the order between workers is not told.
    let mut lines = lines(directory.path(), 2).await;
    lines.sort();
    assert_eq!(lines, ["/bad/1", "/bad/2"]);
}

#[tokio::test]
async fn nothing_is_missing_from_the_log_after_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let blue = Upstream::echo("blue").await;
    let clusters = [cluster("blue", &[blue.address])];
    let proxy = Proxy::http(logged(&directory, ""), &clusters).await;
    for _ in 0..50 {
        proxy.get("/").await;
    }
    proxy.shutdown();
    proxy.ended().await;
    let text = std::fs::read_to_string(directory.path().join("access.log")).unwrap();
    assert_eq!(text.lines().count(), 50);
}
