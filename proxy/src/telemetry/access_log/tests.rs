use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use palanquin_config::ir::access_log::{AccessLog, Line, Sink};
use palanquin_config::ir::format::{Capture, Format, FormatCx, Missing, Needs, TraceIds};
use palanquin_filter_api::stats::Registry;
use palanquin_filter_api::{ConnectionInfo, StreamCx, StreamInfo, Upstreams};

use super::{Captured, LogWriter};
use crate::telemetry::Telemetry;
use crate::telemetry::trace::Node;

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn lines_are_appended_and_nothing_is_lost_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    std::fs::write(&path, "before\n").unwrap();
    let writer = LogWriter::start().unwrap();
    let sink = Sink::File(path.clone());
    for i in 0..50 {
        writer.send(&sink, format!("line {i}\n").into_bytes());
    }
    writer.flush(LIMIT);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("before\nline 0\nline 1\n"));
    assert!(text.ends_with("line 49\n"));
}

#[test]
fn a_rotated_file_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let writer = LogWriter::start().unwrap();
    let sink = Sink::File(path.clone());
    writer.send(&sink, b"old\n".to_vec());
    writer.flush(LIMIT);
    std::fs::rename(&path, folder.path().join("a.log.1")).unwrap();
    writer.send(&sink, b"still old\n".to_vec());
    assert!(writer.reopen());
    writer.send(&sink, b"new\n".to_vec());
    writer.flush(LIMIT);
    assert_eq!(std::fs::read_to_string(folder.path().join("a.log.1")).unwrap(), "old\nstill old\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
}

#[test]
fn a_file_that_cannot_be_written_is_counted() {
    let writer = LogWriter::start().unwrap();
    writer.send(&Sink::File("/nonexistent/folder/a.log".into()), b"one\ntwo\n".to_vec());
    writer.flush(LIMIT);
    let counts = writer.counts();
    assert!(counts.contains(&("access_log.lines_dropped", 2)));
    assert!(counts.contains(&("filesystem.write_failed", 1)));
}

struct NoUpstreams;

impl Upstreams for NoUpstreams {
    fn find(&self, _: &str) -> Option<Arc<str>> {
        None
    }
}

fn stream() -> StreamCx {
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
    let info = StreamInfo::begin(Rc::new(connection), Instant::now());
    StreamCx::new(info, Rc::new(NoUpstreams))
}

fn log(path: &std::path::Path, format: &str) -> Arc<AccessLog> {
    let line = Line::Text(Format::compile(format, Missing::Dash).unwrap());
    let mut needs = Needs::default();
    line.needs(&mut needs);
    let capture = Arc::new(Capture::new(needs));
    Arc::new(AccessLog { sink: Sink::File(path.into()), line, filter: None, capture })
}

#[tokio::test(start_paused = true)]
async fn a_requests_line_is_in_the_file_a_moment_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let format = "%REQ(:METHOD)% %REQ(:PATH)% %REQ(x-a)% %RESP(x-b)% %TRAILER(x-c)% %TRACE_ID%\n";
    let logs = [log(&path, format)];
    let mut request = Request::post("/p?q").header("x-a", "1").body(()).unwrap();
    let mut captured = Captured::default();
    captured.request(&logs, &request, "http");
    // What becomes of the messages later does not matter.
    request.headers_mut().clear();
    let headers = |name: &'static str| {
        [(name.parse().unwrap(), "2".parse().unwrap())].into_iter().collect::<http::HeaderMap>()
    };
    captured.response(&logs, &headers("x-b"));
    captured.trailers(&logs, &headers("x-c"));
    captured.trace(TraceIds { trace_id: [0xab; 16], span_id: [1; 8] }, true);

    let (telemetry, _spans) = Telemetry::start(&Registry::new(1), Node::default()).unwrap();
    let worker = telemetry.worker();
    worker.log(&logs, &captured, &FormatCx::new(&stream()));
    // Virtual time: 200 ms pass at once when nothing else is to be done.
    assert!(tokio::time::timeout(Duration::from_secs(1), worker.run()).await.is_err());
    telemetry.flush_logs(LIMIT);
    let line = format!("POST /p?q 1 2 2 {}\n", "ab".repeat(16));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), line);
}

#[test]
fn a_worker_that_ends_loses_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let logs = [log(&path, "%CONNECTION_ID% 0123456789012345678901234567890123456789\n")];
    let (telemetry, _spans) = Telemetry::start(&Registry::new(1), Node::default()).unwrap();
    let worker = telemetry.worker();
    let stream = stream();
    // More than one buffer of 64 KiB.
    for _ in 0..5_000 {
        worker.log(&logs, &Captured::default(), &FormatCx::new(&stream));
    }
    drop(worker);
    telemetry.flush_logs(LIMIT);
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 5_000);
}
