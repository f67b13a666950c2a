//! A worker's unsent log lines, by where they go.

use palanquin_config::ir::access_log::AccessLog;
use palanquin_config::ir::access_log::LogCx;
use palanquin_config::ir::access_log::Sink;

use super::LogWriter;

/// A buffer this full is handed over at once: 64 KiB, as in Envoy.
const FULL: usize = 64 << 10;

/// One buffer per sink. Connection managers that log to one file share a buffer.
#[derive(Debug)]
pub(in crate::telemetry) struct LogBuffers {
    writer: LogWriter,
    buffers: Vec<(Sink, Vec<u8>)>,
}

impl LogBuffers {
    pub(in crate::telemetry) fn new(writer: LogWriter) -> Self {
        Self { writer, buffers: Vec::new() }
    }

    /// Appends the line of a request, if the log's filter lets it pass.
    pub(in crate::telemetry) fn write(&mut self, log: &AccessLog, cx: &LogCx<'_>) {
        let known = self.buffers.iter().position(|(sink, _)| *sink == log.sink);
        let at = known.unwrap_or_else(|| {
            self.buffers.push((log.sink.clone(), Vec::new()));
            self.buffers.len() - 1
        });
        let (sink, lines) = &mut self.buffers[at];
        log.write(cx, lines);
        if lines.len() >= FULL {
            let full = std::mem::replace(lines, Vec::with_capacity(FULL + FULL / 16));
            self.writer.send(sink, full);
        }
    }

    /// Hands over every line. Buffers of logs that fell silent go.
    pub(in crate::telemetry) fn flush(&mut self) {
        self.buffers.retain_mut(|(sink, lines)| {
            if lines.is_empty() {
                return false;
            }
            let size = lines.len();
            let lines = std::mem::replace(lines, Vec::with_capacity(size + size / 8));
            self.writer.send(sink, lines);
            true
        });
    }
}
