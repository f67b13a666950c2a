use std::time::Duration;

use palanquin_config::ir::access_log::Sink;

use super::LogWriter;

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
