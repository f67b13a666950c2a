//! The streams of a connection.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;
use foldhash::fast::FixedState;
use http::HeaderMap;
use http::response::Parts;

use super::frame::Reason;

/// The place of a stream in its connection; its own as long as somebody refers to it.
pub(super) type Key = usize;

/// One stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Its number; 0: the place is free.
    pub(super) id: u32,
    /// Handles that refer to it.
    pub(super) handles: u32,
    /// It counts against the peer's streams.
    pub(super) is_counted: bool,
    /// Why it ended before its end.
    pub(super) failure: Option<Failure>,

    /// The peer sent all it will.
    pub(super) received_all: bool,
    /// Data that arrived and was not taken.
    pub(super) chunks: VecDeque<Bytes>,
    /// Trailers that arrived and were not taken.
    pub(super) trailers: Option<HeaderMap>,
    /// The head of the response; `None`: it did not arrive, or was taken.
    pub(super) response: Option<Box<Parts>>,
    /// A final response's head has arrived.
    pub(super) has_response: bool,
    /// Interim responses that arrived.
    pub(super) interim: u32,
    /// The request was HEAD: its answer has no body.
    pub(super) is_head: bool,
    /// A 100 (Continue) arrived.
    pub(super) continues: bool,
    /// What is left of the announced length.
    pub(super) expected: Option<u64>,
    /// What the peer may still send, in bytes.
    pub(super) receive_window: i64,
    /// What was taken since the peer was last given room.
    pub(super) taken: u32,
    /// Waits for something to arrive.
    pub(super) receiver: Option<Waker>,

    /// We sent all we will.
    pub(super) sent_all: bool,
    /// What we may still send, in bytes; below zero after the peer made its windows smaller.
    pub(super) send_window: i64,
    /// Waits for room, or for the peer to reset.
    pub(super) sender: Option<Waker>,
}

/// Why a stream failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The connection broke or was closed.
    Closed,
    /// The peer's part of the stream broke the protocol; we reset it.
    Protocol(&'static str),
    /// The peer did not look at the stream: GOAWAY below it, or REFUSED_STREAM.
    Refused,
    /// The peer reset it.
    Reset(Reason),
}

impl Stream {
    /// Wakes everybody: the stream failed.
    pub(super) fn fail(&mut self, failure: Failure) {
        if self.failure.is_none() {
            self.failure = Some(failure);
        }
        self.wake_receiver();
        self.wake_sender();
    }

    /// True when nothing more can happen on it.
    pub(super) fn is_over(&self) -> bool {
        self.failure.is_some() || self.received_all && self.sent_all
    }

    pub(super) fn wake_receiver(&mut self) {
        if let Some(waker) = self.receiver.take() {
            waker.wake();
        }
    }

    pub(super) fn wake_sender(&mut self) {
        if let Some(waker) = self.sender.take() {
            waker.wake();
        }
    }

    /// Ready for the next stream; allocations stay.
    fn reset(&mut self) {
        let mut chunks = std::mem::take(&mut self.chunks);
        chunks.clear();
        *self = Self { chunks, ..Self::default() };
    }
}

/// All streams that somebody refers to.
#[derive(Debug, Default)]
pub(super) struct Streams {
    slots: Vec<Stream>,
    free: Vec<Key>,
    by_id: HashMap<u32, Key, FixedState>,
}

impl Streams {
    /// A new stream with one handle.
    pub(super) fn insert(&mut self, id: u32, send_window: i64, receive_window: i64) -> Key {
        let key = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Stream::default());
            self.slots.len() - 1
        });
        let stream = &mut self.slots[key];
        stream.id = id;
        stream.handles = 1;
        stream.send_window = send_window;
        stream.receive_window = receive_window;
        self.by_id.insert(id, key);
        key
    }

    pub(super) fn get(&mut self, key: Key) -> &mut Stream {
        &mut self.slots[key]
    }

    pub(super) fn peek(&self, key: Key) -> &Stream {
        &self.slots[key]
    }

    pub(super) fn key(&self, id: u32) -> Option<Key> {
        self.by_id.get(&id).copied()
    }

    /// Frees the place of a stream that nobody refers to any more.
    pub(super) fn remove(&mut self, key: Key) {
        let stream = &mut self.slots[key];
        self.by_id.remove(&stream.id);
        stream.reset();
        self.free.push(key);
        // Many streams at a time are rare: their memory is not kept.
        if self.by_id.is_empty() && self.slots.len() > KEPT {
            self.slots.clear();
            self.slots.shrink_to(KEPT);
            self.free.clear();
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn each(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.slots.iter_mut().filter(|stream| stream.id != 0)
    }
}

/// Places that an idle connection keeps.
const KEPT: usize = 16;
