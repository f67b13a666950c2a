//! Texts were observed from Envoy 1.40.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http_body_util::BodyExt as _;
use palanquin_config::ir::endpoint::Address;
use palanquin_filter_api::stats::Registry;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use super::*;
use crate::telemetry::access_log::LogWriter;

struct FixedFacts;

impl Facts for FixedFacts {
    fn clusters(&self) -> Vec<ClusterStatus> {
        Vec::new()
    }

    fn listeners(&self) -> Vec<ListenerStatus> {
        let address = Address::Socket("127.0.0.1:21800".parse().unwrap());
        vec![ListenerStatus { name: "l1".into(), address }]
    }

    fn config_dump(&self) -> Vec<Value> {
        vec![
            json!({ "@type": "x/envoy.admin.v3.BootstrapConfigDump", "password": "p" }),
            json!({ "@type": "x/envoy.admin.v3.EndpointsConfigDump" }),
        ]
    }

    fn certificates(&self) -> Vec<Value> {
        Vec::new()
    }

    fn tenants(&self) -> Value {
        json!({ "tenants": [] })
    }
}

fn state() -> (AdminState, mpsc::Receiver<Command>) {
    let (commands, receiver) = mpsc::channel(1);
    let state = AdminState {
        stats: Registry::new(1),
        logs: LogWriter::start().unwrap(),
        health: Arc::default(),
        facts: Box::new(FixedFacts),
        commands,
        started: Instant::now(),
        version: "v".into(),
        options: json!({ "concurrency": 1 }),
        node: json!({ "id": "n1" }),
    };
    state.health.set(ServerState::Live);
    (state, receiver)
}

fn ask(state: &AdminState, method: Method, target: &str) -> Response<Body> {
    let request =
        Request::builder().method(method).uri(target).header("host", "localhost").body(()).unwrap();
    pages::serve(state, &request, true)
}

async fn body(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn ready_says_what_the_server_does() {
    let (state, _commands) = state();
    let response = ask(&state, Method::GET, "/ready");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/plain; charset=UTF-8");
    assert_eq!(response.headers()["cache-control"], "no-cache, max-age=0");
    assert_eq!(body(response).await, "LIVE\n");
    assert_eq!(body(ask(&state, Method::POST, "/healthcheck/fail")).await, "OK\n");
    let response = ask(&state, Method::GET, "/ready");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body(response).await, "DRAINING\n");
    ask(&state, Method::POST, "/healthcheck/ok");
    assert_eq!(ask(&state, Method::GET, "/ready").status(), StatusCode::OK);
    state.health.set(ServerState::Initializing);
    assert_eq!(body(ask(&state, Method::GET, "/ready")).await, "INITIALIZING\n");
}

#[tokio::test]
async fn get_never_changes_anything() {
    let (state, mut commands) = state();
    for path in [
        "/quitquitquit",
        "/healthcheck/fail",
        "/logging?level=debug",
        "/drain_listeners",
        "/reopen_logs",
    ] {
        for method in [Method::GET, Method::HEAD, Method::PUT] {
            let response = ask(&state, method.clone(), path);
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            let text = format!("Method {method} not allowed, POST required.");
            assert_eq!(body(response).await, text);
        }
    }
    assert!(commands.try_recv().is_err());
    assert_eq!(state.health.state(), ServerState::Live);
}

#[tokio::test]
async fn post_asks_the_control_thread() {
    let (state, mut commands) = state();
    let graceful = Command::DrainListeners { graceful: true, inbound_only: true, skip_exit: false };
    for (target, command) in [
        ("/quitquitquit", Command::Quit),
        ("/logging?level=warning", Command::LogLevel("warn")),
        ("/drain_listeners?graceful&inboundonly", graceful),
    ] {
        assert_eq!(body(ask(&state, Method::POST, target)).await, "OK\n");
        assert_eq!(commands.try_recv(), Ok(command));
    }
    assert_eq!(ask(&state, Method::POST, "/logging?level=x").status(), StatusCode::BAD_REQUEST);
    // Nobody takes the commands: the queue of one is full.
    ask(&state, Method::POST, "/quitquitquit");
    let busy = ask(&state, Method::POST, "/quitquitquit");
    assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn pages_show_what_envoys_show() {
    let (state, _commands) = state();
    assert_eq!(body(ask(&state, Method::GET, "/listeners")).await, "l1::127.0.0.1:21800\n");
    assert_eq!(
        body(ask(&state, Method::GET, "/listeners?format=json")).await,
        "{\n \"listener_statuses\": [\n  {\n   \"name\": \"l1\",\n   \"local_address\": {\n    \"socket_address\": {\n     \"address\": \"127.0.0.1\",\n     \"port_value\": 21800\n    }\n   }\n  }\n ]\n}\n"
    );
    let info = body(ask(&state, Method::GET, "/server_info")).await;
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["state"], "LIVE");
    assert_eq!(info["node"]["id"], "n1");
    assert_eq!(body(ask(&state, Method::GET, "/certs")).await, "{\n \"certificates\": []\n}\n");
    let unknown = ask(&state, Method::GET, "/nope");
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert!(body(unknown).await.starts_with("invalid path. admin commands are:\n  /: Admin home"));
    assert!(
        body(ask(&state, Method::GET, "/help")).await.contains("\n  /quitquitquit (POST): exit")
    );
    assert!(body(ask(&state, Method::GET, "/")).await.contains("<a href=\"stats/prometheus\">"));
}

#[tokio::test]
async fn statistics_are_filtered_and_a_bad_filter_is_refused() {
    let (state, _commands) = state();
    let filtered = body(ask(&state, Method::GET, "/stats?filter=lines_%64ropped%24")).await;
    assert_eq!(filtered, "access_log.lines_dropped: 0\n");
    let used = body(ask(&state, Method::GET, "/stats?usedonly")).await;
    assert!(used.starts_with("server.concurrency: 1\n"), "{used}");
    assert!(used.contains("server.live: 1\n") && !used.contains(": 0\n"), "{used}");
    let prometheus = body(ask(&state, Method::GET, "/stats?format=prometheus")).await;
    assert!(prometheus.contains("# TYPE envoy_access_log_lines_dropped counter\n"));
    for bad in ["/stats?filter=(", "/stats?format=xml", "/stats?type=Gauges"] {
        assert_eq!(ask(&state, Method::GET, bad).status(), StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn the_dump_hides_secrets_and_endpoints_unless_asked() {
    let (state, _commands) = state();
    let dump = body(ask(&state, Method::GET, "/config_dump")).await;
    assert!(dump.contains("[redacted]") && !dump.contains("EndpointsConfigDump"));
    let dump = body(ask(&state, Method::GET, "/config_dump?include_eds")).await;
    assert!(dump.contains("EndpointsConfigDump"));
    let missing = ask(&state, Method::GET, "/config_dump?resource=x");
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(body(missing).await, "x not found in config dump");
}

#[test]
fn a_foreign_host_is_refused_over_tcp_only() {
    let (state, _commands) = state();
    let request = Request::get("/ready").header("host", "evil.example").body(()).unwrap();
    assert_eq!(pages::serve(&state, &request, true).status(), StatusCode::FORBIDDEN);
    assert_eq!(pages::serve(&state, &request, false).status(), StatusCode::OK);
}

const ASK: &[u8] = b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn it_answers_on_tcp_and_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    // A socket that a dead process left.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    for address in [Address::Socket("127.0.0.1:0".parse().unwrap()), Address::Pipe(path.clone())] {
        let server = AdminServer::bind(&address).await.unwrap();
        let bound = server.local_addr();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(server.run(state().0, async {
            let _ = stopped.await;
        }));
        let mut answer = String::new();
        if let Some(address) = bound {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.write_all(ASK).await.unwrap();
            stream.read_to_string(&mut answer).await.unwrap();
        } else {
            let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
            stream.write_all(ASK).await.unwrap();
            stream.read_to_string(&mut answer).await.unwrap();
        }
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("LIVE\n"), "{answer}");
        drop(stop);
        serving.await.unwrap().unwrap();
    }
}
