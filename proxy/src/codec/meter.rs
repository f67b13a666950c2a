//! Bytes of one message pair as the wire saw them, for statistics and the access log.

use std::cell::Cell;

/// Counts of the exchange a connection serves now. One per connection, shared by `Rc` with whoever
/// wants to read; the codec resets it when the next request begins.
///
/// "Received" and "sent" are this proxy's view: on a downstream connection the request is received,
/// on an upstream connection it is sent.
#[derive(Debug, Default)]
pub struct Meter {
    /// Bytes received: head and body with its framing (Envoy's `*_WIRE_BYTES_RECEIVED`).
    pub received: Cell<u64>,
    /// Bytes of received header fields, counted as Envoy does: name, value and 3 for each field.
    pub received_fields: Cell<u64>,
    /// Bytes handed to the transport: head and body with its framing.
    pub sent: Cell<u64>,
    /// Bytes of sent header field lines, without the start line and the empty line.
    pub sent_fields: Cell<u64>,
}

impl Meter {
    /// Sets every count to zero.
    pub fn reset(&self) {
        self.received.set(0);
        self.received_fields.set(0);
        self.sent.set(0);
        self.sent_fields.set(0);
    }

    /// Adds `bytes` to one of the counts.
    pub(crate) fn add(count: &Cell<u64>, bytes: usize) {
        count.set(count.get().saturating_add(bytes as u64));
    }
}
