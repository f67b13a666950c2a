//! What the proxy tells about requests: access logs, spans, statistics.
//!
//! [`Telemetry`] belongs to the process; each worker makes its [`WorkerTelemetry`] from it. A request
//! only appends to buffers of its worker; these go in batches through bounded queues to the thread that
//! writes logs and to the task that exports spans. A queue that is full loses the batch and counts it:
//! telemetry never slows a request.

pub mod access_log;
pub mod stats;
pub mod trace;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use palanquin_filter_api::stats as api_stats;
use tokio::sync::mpsc;

use access_log::LogWriter;
use trace::Node;
use trace::SpanRecord;
pub use worker::WorkerTelemetry;

/// Batches of spans on their way to the exporters: 64 of at most 512.
const SPAN_QUEUE: usize = 64;

/// The process's part of telemetry. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Telemetry {
    logs: LogWriter,
    spans: mpsc::Sender<Vec<SpanRecord>>,
    span_stats: Arc<api_stats::Scope>,
    node: Arc<Node>,
}

impl Telemetry {
    /// Starts the thread that writes logs. The receiver is for [`trace::export`], on the control thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        registry: &api_stats::Registry,
        node: Node,
    ) -> std::io::Result<(Self, mpsc::Receiver<Vec<SpanRecord>>)> {
        let (spans, receiver) = mpsc::channel(SPAN_QUEUE);
        let telemetry = Self {
            logs: LogWriter::start()?,
            spans,
            span_stats: trace::stats(registry),
            node: Arc::new(node),
        };
        Ok((telemetry, receiver))
    }

    /// A worker's part; to be called on its thread.
    pub fn worker(&self) -> WorkerTelemetry {
        WorkerTelemetry::new(self)
    }

    /// Where the export of spans is counted.
    pub fn span_stats(&self) -> Arc<api_stats::Scope> {
        Arc::clone(&self.span_stats)
    }

    /// The thread that writes access logs.
    pub fn logs(&self) -> &LogWriter {
        &self.logs
    }

    /// Writes out what workers have handed over. Call it after the last worker has ended; then nothing
    /// is lost unless it takes longer than `limit`. Blocks.
    pub fn flush_logs(&self, limit: Duration) {
        self.logs.flush(limit);
    }
}
