//! What came and was not taken: one buffer, in which records are opened where they lie.

use crate::codec::HEADER_LEN;
use crate::codec::MAX_SEALED;

/// A buffer that grows to the longest record and no further.
#[derive(Debug, Default)]
pub(crate) struct Input {
    buffer: Vec<u8>,
    /// What is before was taken.
    start: usize,
    /// What is behind is free.
    end: usize,
}

impl Input {
    /// Room for more bytes: empty only when the longest record is there already.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.end == self.buffer.len() && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() && self.buffer.len() < LIMIT {
            let size = if self.buffer.is_empty() { FIRST } else { LIMIT };
            self.buffer.resize(size, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// Takes over `count` bytes that were put into the room.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.buffer.len());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    /// Forgets the first `count` bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }
}

/// Enough for most requests, and for a handshake.
const FIRST: usize = 4096;
/// The longest record, and a little of the next.
const LIMIT: usize = HEADER_LEN + MAX_SEALED + 2043;
