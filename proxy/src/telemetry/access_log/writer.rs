//! The thread that writes log lines. Disks block; workers and the control thread must not.

use std::collections::HashMap;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use palanquin_config::ir::access_log::Sink;
use tracing::warn;

/// Buffers that may wait: with 64 KiB each, 4 MiB.
const QUEUE: usize = 64;

/// A handle to the thread. It ends when the last handle is gone and everything is written.
#[derive(Debug, Clone)]
pub struct LogWriter {
    sender: SyncSender<Message>,
    counts: Arc<Counts>,
}

/// What happened to log lines. Relaxed: only shown.
#[derive(Debug, Default)]
struct Counts {
    buffers_dropped: AtomicU64,
    lines_dropped: AtomicU64,
    writes_failed: AtomicU64,
    writes: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Flush(SyncSender<()>),
    Lines(Sink, Vec<u8>),
    Reopen,
}

impl LogWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start() -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        std::thread::Builder::new().name("access-log".into()).spawn(move || {
            let mut files = Files { open: HashMap::new(), counts: shared };
            while let Ok(message) = receiver.recv() {
                match message {
                    // Nobody may wait for the answer any more.
                    Message::Flush(done) => drop(done.try_send(())),
                    Message::Lines(sink, lines) => files.write(&sink, &lines),
                    Message::Reopen => files.open.clear(),
                }
            }
        })?;
        Ok(Self { sender, counts })
    }

    /// Opens every file anew: after a rotation, on SIGUSR1 or `POST /reopen_logs`. False when the queue
    /// is full; ask again.
    pub fn reopen(&self) -> bool {
        self.sender.try_send(Message::Reopen).is_ok()
    }

    /// Waits until everything handed over so far is written, for `limit` at most. Blocks the thread.
    pub fn flush(&self, limit: Duration) {
        let (done, wait) = mpsc::sync_channel(1);
        if self.sender.send(Message::Flush(done)).is_ok() && wait.recv_timeout(limit).is_err() {
            warn!(?limit, "access logs were not written in time");
        }
    }

    /// Counts with their names in `/stats`.
    pub fn counts(&self) -> [(&'static str, u64); 4] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("access_log.buffers_dropped", read(&self.counts.buffers_dropped)),
            ("access_log.lines_dropped", read(&self.counts.lines_dropped)),
            ("filesystem.write_completed", read(&self.counts.writes)),
            ("filesystem.write_failed", read(&self.counts.writes_failed)),
        ]
    }

    /// Hands lines over. Never waits: when the thread cannot keep up they are lost and counted.
    pub(super) fn send(&self, sink: &Sink, lines: Vec<u8>) {
        if lines.is_empty() {
            return;
        }
        if let Err(refused) = self.sender.try_send(Message::Lines(sink.clone(), lines))
            && let mpsc::TrySendError::Full(Message::Lines(_, lines))
            | mpsc::TrySendError::Disconnected(Message::Lines(_, lines)) = refused
        {
            self.counts.lost(&lines);
        }
    }
}

impl Counts {
    fn lost(&self, lines: &[u8]) {
        let count = lines.split(|byte| *byte == b'\n').count() - 1;
        self.lines_dropped.fetch_add(count as u64, Ordering::Relaxed);
        self.buffers_dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Open files, and what is told about them.
struct Files {
    open: HashMap<Sink, File>,
    counts: Arc<Counts>,
}

impl Files {
    fn write(&mut self, sink: &Sink, lines: &[u8]) {
        match self.try_write(sink, lines) {
            Ok(()) => {
                self.counts.writes.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                // At most one warning for each power of two: a full disk does not fill the next one.
                let failed = self.counts.writes_failed.fetch_add(1, Ordering::Relaxed) + 1;
                if failed.is_power_of_two() {
                    warn!(%error, ?sink, failed, "cannot write an access log");
                }
                self.counts.lost(lines);
                self.open.remove(sink);
            }
        }
    }

    fn try_write(&mut self, sink: &Sink, lines: &[u8]) -> io::Result<()> {
        match sink {
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()
            }
            Sink::Stderr => io::stderr().lock().write_all(lines),
            Sink::File(path) => {
                if let Some(mut file) = self.open.get(sink) {
                    return file.write_all(lines);
                }
                // Appending in one write keeps lines of several processes whole.
                let mut file = OpenOptions::new().append(true).create(true).open(path)?;
                file.write_all(lines)?;
                self.open.insert(sink.clone(), file);
                Ok(())
            }
        }
    }
}
