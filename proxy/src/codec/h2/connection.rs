//! What the two roles of a connection have in common: windows, settings, streams, and the bytes that are to
//! be written.
//!
//! There is no I/O here. A driver (the task of the connection) feeds what it read to
//! [`super::receive::receive`] and writes what [`Connection::output`] holds at the end of its turn, so that all
//! frames of a turn leave in one write. Exchanges refer to their streams by [`super::stream_ref::StreamRef`]; they and the driver
//! live on one thread and borrow the connection for the length of a call.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Context;
use std::task::Waker;
use std::time::Instant;

use http::Request;

use super::frame;
use super::frame::Reason;
use super::frame::flag;
use super::frame::kind;
use super::frame::setting;
use super::head::Limits;
use super::hpack::Decoder;
use super::hpack::Encoder;
use super::receive::Input;
use super::streams::Failure;
use super::streams::Key;
use super::streams::Streams;
use crate::codec::Violation;

/// Which side of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

/// What we tell the peer, and hold it to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Config {
    /// Streams that the peer may have at a time.
    pub(super) max_streams: u32,
    /// Bytes that the peer may send on a stream before we took them.
    pub(super) stream_window: u32,
    /// The same for all streams together.
    pub(super) connection_window: u32,
    /// Header sections that we take.
    pub(super) head: Limits,
    /// Extended CONNECT (RFC 8441) is offered.
    pub(super) extended_connect: bool,
}

/// A connection that has to end: GOAWAY with this reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fatal(pub(super) Reason, pub(super) &'static str);

/// A request that arrived.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Whoever serves it makes a handle of it: the stream counts one already.
    pub(super) stream: Key,
    pub(super) head: Request<()>,
    pub(super) violation: Option<Violation>,
    pub(super) content_length: Option<u64>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) role: Role,
    pub(super) config: Config,
    pub(super) input: Input,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    /// Bytes to write.
    pub(super) out: Vec<u8>,
    pub(super) streams: Streams,
    /// Requests that arrived and nobody serves yet.
    pub(super) incoming: Vec<Incoming>,
    /// Streams of the peer's that are neither reset nor ended by both sides.
    pub(super) open: u32,

    /// Of the peer's streams, and of ours.
    pub(super) last_received: u32,
    pub(super) next_own: u32,
    /// What we may still send on all streams together.
    pub(super) send_window: i64,
    /// What the peer may still send, and what was taken since it was last given room.
    pub(super) receive_window: i64,
    taken: u32,
    pub(super) peer: Peer,

    /// The driver, to be woken when there is something to write.
    pub(super) driver: Option<Waker>,
    /// Streams that wait for room in [`Self::send_window`] or [`Self::out`].
    pub(super) blocked: Vec<Key>,

    /// The last stream that our GOAWAY promised to serve.
    pub(super) said_goaway: Option<u32>,
    /// The peer's GOAWAY.
    pub(super) heard_goaway: bool,
    /// Nothing works any more.
    pub(super) is_closed: bool,
    /// Nobody will begin a stream any more.
    pub(super) is_abandoned: bool,
    /// Pings of ours that were answered.
    pub(super) pongs: Pongs,

    /// Frames that did nothing for anybody, against what the peer may send of them.
    pub(super) idle_frames: u64,
    pub(super) useful_frames: u64,
    /// Streams that we reset because of what the peer sent.
    faults: u32,
    began: Instant,
}

/// Answers to our pings.
#[derive(Debug, Default)]
pub(super) struct Pongs {
    /// To the one behind the first GOAWAY.
    pub(super) end: bool,
    /// To one of [`super::keepalive`].
    pub(super) keepalive: bool,
}

/// What the peer said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) initial_window: i64,
    pub(super) max_frame: usize,
    pub(super) max_streams: u32,
    pub(super) has_settings: bool,
}

impl Connection {
    /// A connection whose first bytes wait to be written.
    pub(super) fn new(role: Role, config: Config, now: Instant) -> Rc<RefCell<Self>> {
        let mut connection = Self {
            role,
            config,
            input: Input::new(role),
            decoder: Decoder::default(),
            encoder: Encoder::default(),
            out: Vec::new(),
            streams: Streams::default(),
            incoming: Vec::new(),
            open: 0,
            last_received: 0,
            next_own: 1,
            send_window: DEFAULT_WINDOW,
            receive_window: i64::from(config.connection_window).max(DEFAULT_WINDOW),
            taken: 0,
            peer: Peer {
                initial_window: DEFAULT_WINDOW,
                max_frame: frame::MAX_PAYLOAD,
                max_streams: u32::MAX,
                has_settings: false,
            },
            driver: None,
            blocked: Vec::new(),
            said_goaway: None,
            heard_goaway: false,
            is_closed: false,
            is_abandoned: false,
            pongs: Pongs::default(),
            idle_frames: 0,
            useful_frames: 0,
            faults: 0,
            began: now,
        };
        connection.greet();
        Rc::new(RefCell::new(connection))
    }

    fn greet(&mut self) {
        let Config { max_streams, stream_window, connection_window, head, extended_connect } =
            self.config;
        let head_bytes = u32::try_from(head.bytes).unwrap_or(u32::MAX);
        let mut settings = vec![
            (setting::INITIAL_WINDOW_SIZE, stream_window),
            (setting::MAX_HEADER_LIST_SIZE, head_bytes),
        ];
        match self.role {
            Role::Client => {
                self.out.extend_from_slice(frame::PREFACE);
                settings.push((setting::ENABLE_PUSH, 0));
            }
            Role::Server => {
                settings.push((setting::MAX_CONCURRENT_STREAMS, max_streams));
                if extended_connect {
                    settings.push((setting::ENABLE_CONNECT_PROTOCOL, 1));
                }
            }
        }
        frame::put_settings(&mut self.out, &settings);
        let more = i64::from(connection_window) - DEFAULT_WINDOW;
        if let Ok(more @ 1..) = u32::try_from(more) {
            frame::put_window_update(&mut self.out, 0, more);
        }
    }

    // ---- the driver's side

    /// The bytes to write. Whoever writes them calls [`Self::flushed`].
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Whether so much waits to be written that nothing more should be read: a peer that does not read must
    /// not make us hold answers to what it sends.
    pub(super) fn is_congested(&self) -> bool {
        self.out.len() > MAX_UNWRITTEN
    }

    /// All bytes were written: there is room for who waits for it.
    pub(super) fn flushed(&mut self) {
        self.wake_blocked();
    }

    pub(super) fn wake_blocked(&mut self) {
        for key in std::mem::take(&mut self.blocked) {
            self.streams.get(key).wake_sender();
        }
    }

    /// The task to wake when an exchange queues something.
    pub(super) fn set_driver(&mut self, cx: &Context<'_>) {
        match &mut self.driver {
            Some(known) if known.will_wake(cx.waker()) => {}
            driver => *driver = Some(cx.waker().clone()),
        }
    }

    pub(super) fn wake_driver(&self) {
        if let Some(driver) = &self.driver {
            driver.wake_by_ref();
        }
    }

    /// The end of everything: every stream fails.
    pub(super) fn close(&mut self, failure: Failure) {
        self.is_closed = true;
        for stream in self.streams.each() {
            if !(stream.received_all && stream.sent_all) {
                stream.fail(failure);
            }
        }
    }

    /// Says GOAWAY and closes.
    pub(super) fn abort(&mut self, fatal: Fatal) {
        if !self.is_closed {
            frame::put_goaway(&mut self.out, self.last_received, fatal.0);
            self.said_goaway = Some(self.last_received);
            self.close(Failure::Protocol(fatal.1));
        }
    }

    /// The first GOAWAY of a graceful end: nothing is refused yet. A ping follows it, and its answer says that
    /// the peer knows.
    pub(super) fn announce_end(&mut self) {
        frame::put_goaway(&mut self.out, frame::MAX_STREAM, Reason::NO_ERROR);
        frame::put_ping(&mut self.out, 0, PING_END);
    }

    /// The last GOAWAY: what comes later is not served.
    pub(super) fn end(&mut self) {
        if self.said_goaway.is_none() {
            self.said_goaway = Some(self.last_received);
            frame::put_goaway(&mut self.out, self.last_received, Reason::NO_ERROR);
        }
    }

    /// Asks whether the peer is still there.
    pub(super) fn ping(&mut self) {
        self.pongs.keepalive = false;
        frame::put_ping(&mut self.out, 0, PING_KEEPALIVE);
    }

    pub(super) fn note_pong(&mut self, payload: [u8; 8]) {
        self.pongs.end |= payload == PING_END;
        self.pongs.keepalive |= payload == PING_KEEPALIVE;
    }

    // ---- streams that begin and fail

    /// A stream of the peer's.
    pub(super) fn accept(&mut self, id: u32) -> Key {
        self.open += 1;
        let window = i64::from(self.config.stream_window);
        let key = self.streams.insert(id, self.peer.initial_window, window);
        self.streams.get(key).is_counted = true;
        key
    }

    /// Notes that a stream is over, if it is.
    pub(super) fn note_end(&mut self, key: Key) {
        let stream = self.streams.get(key);
        if stream.is_counted && stream.is_over() {
            stream.is_counted = false;
            self.open -= 1;
        }
    }

    /// The stream that we would begin next.
    pub(super) fn next_own(&self) -> u32 {
        self.next_own
    }

    /// How many streams of our own fit beside those there are.
    pub(super) fn has_room(&self) -> bool {
        self.streams.len() < self.peer.max_streams as usize && self.next_own < frame::MAX_STREAM
    }

    /// Whether new streams of our own may begin.
    pub(super) fn takes_streams(&self) -> bool {
        !self.is_closed && !self.heard_goaway
    }

    /// Resets a stream because of what the peer sent. Too many of these end the connection: who makes us
    /// reset costs as much as who resets (CVE-2025-8671).
    pub(super) fn fault(
        &mut self,
        id: u32,
        reason: Reason,
        what: &'static str,
    ) -> Result<(), Fatal> {
        self.faults += 1;
        if self.faults > MAX_FAULTS {
            return Err(Fatal(Reason::ENHANCE_YOUR_CALM, "too many streams had to be reset"));
        }
        frame::put_reset(&mut self.out, id, reason);
        self.input.forget(id);
        if let Some(key) = self.streams.key(id) {
            let stream = self.streams.get(key);
            stream.fail(Failure::Protocol(what));
            // Nobody should act on a message that is known to be broken.
            let untaken: usize = stream.chunks.drain(..).map(|chunk| chunk.len()).sum();
            self.give_back(frame::bytes(untaken));
            self.note_end(key);
        }
        Ok(())
    }

    /// Counts a frame that did nothing for anybody.
    pub(super) fn count_idle(&mut self) -> Result<(), Fatal> {
        self.idle_frames += 1;
        if self.idle_frames < IDLE_FRAMES + self.useful_frames * IDLE_PER_USEFUL {
            return Ok(());
        }
        // A connection that lives for weeks may send a ping now and then.
        let allowance = self.began.elapsed().as_secs() * IDLE_PER_SECOND;
        if self.idle_frames < IDLE_FRAMES + self.useful_frames * IDLE_PER_USEFUL + allowance {
            return Ok(());
        }
        Err(Fatal(Reason::ENHANCE_YOUR_CALM, "too many frames for nothing"))
    }

    /// Answers SETTINGS or PING.
    pub(super) fn answer_settings(&mut self) {
        frame::put_settings_ack(&mut self.out);
    }

    pub(super) fn answer_ping(&mut self, payload: [u8; 8]) {
        frame::put_ping(&mut self.out, flag::ACK, payload);
    }

    pub(super) fn set_table_size(&mut self, size: usize) {
        self.encoder.set_max_size(size);
    }

    /// Data of the connection's window was taken, or is not wanted.
    pub(super) fn give_back(&mut self, bytes: u32) {
        self.taken += bytes;
        if self.taken >= self.config.connection_window.max(LEAST_WINDOW) / 2 {
            self.receive_window += i64::from(self.taken);
            frame::put_window_update(&mut self.out, 0, std::mem::take(&mut self.taken));
            self.wake_driver();
        }
    }

    // ---- what exchanges send

    /// A header section, in as many frames as it needs.
    pub(super) fn put_section(
        &mut self,
        id: u32,
        end: bool,
        encode: impl FnOnce(&mut Encoder, &mut Vec<u8>),
    ) {
        let Self { out, encoder, .. } = self;
        if out.capacity() == 0 {
            *out = super::spare::take();
        }
        let start = out.len();
        frame::put_head(out, 0, kind::HEADERS, 0, id);
        let body = out.len();
        encoder.begin(out);
        encode(encoder, out);
        let length = out.len() - body;
        let end = if end { flag::END_STREAM } else { 0 };
        if length <= frame::MAX_PAYLOAD {
            out[start..start + 3].copy_from_slice(&frame::length_bytes(length));
            out[start + 4] = end | flag::END_HEADERS;
            return;
        }
        let block = out.split_off(body);
        out.truncate(start);
        let mut pieces = block.chunks(frame::MAX_PAYLOAD).peekable();
        let (mut kind, mut flags) = (kind::HEADERS, end);
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                flags |= flag::END_HEADERS;
            }
            frame::put_head(out, piece.len(), kind, flags, id);
            out.extend_from_slice(piece);
            (kind, flags) = (kind::CONTINUATION, 0);
        }
    }
}

/// What our pings carry.
const PING_END: [u8; 8] = *b"palanend";
const PING_KEEPALIVE: [u8; 8] = *b"palankap";

/// The windows of both sides before anybody says otherwise (section 6.9.2).
pub(super) const DEFAULT_WINDOW: i64 = LEAST_WINDOW as i64;
const LEAST_WINDOW: u32 = 65_535;

/// Bytes that may wait to be written before exchanges and reading have to wait: a few streams' frames.
pub(super) const MAX_UNWRITTEN: usize = 256 * 1024;

/// Streams that the peer may make us reset.
const MAX_FAULTS: u32 = 100;

/// Frames that do nothing for anybody (PING, PRIORITY, empty DATA, ...) that a peer may send: at first, for
/// each that does something, and for each second of the connection's life.
const IDLE_FRAMES: u64 = 1000;
const IDLE_PER_USEFUL: u64 = 20;
const IDLE_PER_SECOND: u64 = 10;
