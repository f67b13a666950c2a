//! A worker's buffers: log lines and spans, until enough came together or a moment passed.

use std::cell::Cell;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use palanquin_config::ir::access_log::AccessLog;
use palanquin_config::ir::format::FormatCx;
use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::tracing as stat;
use tokio::sync::Notify;
use tokio::sync::mpsc;

use super::Telemetry;
use super::access_log::Captured;
use super::access_log::LogBuffers;
use super::trace::Node;
use super::trace::SpanRecord;
use crate::worker::Rng;

/// How long a line or a span waits at most before it is handed over.
const LINGER: Duration = Duration::from_millis(200);
/// How many spans are handed over at once.
const BATCH: usize = 512;

/// What a worker does for telemetry. What it holds is handed over when it is dropped.
#[derive(Debug)]
pub struct WorkerTelemetry {
    logs: RefCell<LogBuffers>,
    spans: RefCell<Vec<SpanRecord>>,
    sender: mpsc::Sender<Vec<SpanRecord>>,
    span_stats: Arc<Scope>,
    node: Arc<Node>,
    rng: Rng,
    /// Something waits in a buffer, and [`Self::run`] was told.
    waiting: Cell<bool>,
    wake: Notify,
}

impl WorkerTelemetry {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        Self {
            logs: RefCell::new(LogBuffers::new(telemetry.logs.clone())),
            spans: RefCell::default(),
            sender: telemetry.spans.clone(),
            span_stats: Arc::clone(&telemetry.span_stats),
            node: Arc::clone(&telemetry.node),
            rng: Rng::from_system(),
            waiting: Cell::new(false),
            wake: Notify::new(),
        }
    }

    /// Hands over what waits, every 200 ms while there is anything. One task of the worker runs this
    /// for ever; an idle worker is not woken.
    #[expect(clippy::infinite_loop, reason = "the task is dropped with its worker")]
    pub async fn run(&self) {
        loop {
            self.wake.notified().await;
            tokio::time::sleep(LINGER).await;
            self.flush();
        }
    }

    /// Hands over what waits, now.
    pub fn flush(&self) {
        self.waiting.set(false);
        self.logs.borrow_mut().flush();
        let spans = std::mem::take(&mut *self.spans.borrow_mut());
        if !spans.is_empty() {
            self.span_stats.inc(stat::TIMER_FLUSHED);
            self.send(spans);
        }
    }

    /// Writes the access logs of a finished request.
    pub fn log(&self, logs: &[Arc<AccessLog>], captured: &Captured, facts: &FormatCx<'_>) {
        if logs.is_empty() {
            return;
        }
        let cx = captured.log_cx(facts, self.rng.next());
        let mut buffers = self.logs.borrow_mut();
        for log in logs {
            buffers.write(log, &cx);
        }
        drop(buffers);
        self.wait();
    }

    /// Takes a finished span.
    pub(crate) fn record(&self, span: SpanRecord) {
        let mut spans = self.spans.borrow_mut();
        spans.push(span);
        if spans.len() >= BATCH {
            let full = std::mem::replace(&mut *spans, Vec::with_capacity(BATCH));
            drop(spans);
            self.send(full);
        } else {
            drop(spans);
            self.wait();
        }
    }

    /// Who we are, for spans.
    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    fn send(&self, spans: Vec<SpanRecord>) {
        if let Err(refused) = self.sender.try_send(spans) {
            let lost: u64 = refused.into_inner().iter().map(SpanRecord::spans).sum();
            self.span_stats.add(stat::SPANS_DROPPED, lost);
        }
    }

    fn wait(&self) {
        if !self.waiting.replace(true) {
            self.wake.notify_one();
        }
    }
}

impl Drop for WorkerTelemetry {
    fn drop(&mut self) {
        self.flush();
    }
}
