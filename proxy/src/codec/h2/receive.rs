//! Frames that arrive (RFC 9113 sections 5 and 6); header sections are in [`super::sections`].

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;

use super::connection::Connection;
use super::connection::DEFAULT_WINDOW;
use super::connection::Fatal;
use super::connection::Role;
use super::frame;
use super::frame::Head;
use super::frame::Reason;
use super::frame::flag;
use super::frame::kind;
use super::frame::setting;
use super::sections::Block;
use super::streams::Failure;
use super::streams::Key;

/// What is known of frames that are not complete yet, and of streams that are over.
#[derive(Debug)]
pub(super) struct Input {
    /// The beginning of a frame, or of the preface.
    unread: Vec<u8>,
    wants_preface: bool,
    /// A header block that goes on with CONTINUATION.
    pub(super) block: Option<Block>,
    /// Streams that we reset lately: what the peer sent before it knew is ignored.
    forgotten: VecDeque<u32>,
}

impl Input {
    pub(super) fn new(role: Role) -> Self {
        Self {
            unread: Vec::new(),
            wants_preface: role == Role::Server,
            block: None,
            forgotten: VecDeque::new(),
        }
    }

    /// Remembers a stream that we reset.
    pub(super) fn forget(&mut self, id: u32) {
        if self.forgotten.len() == FORGOTTEN {
            self.forgotten.pop_front();
        }
        self.forgotten.push_back(id);
    }

    fn is_forgotten(&self, id: u32) -> bool {
        self.forgotten.contains(&id)
    }
}

/// Takes what was read: any number of frames, the last perhaps not complete.
///
/// # Errors
/// The peer broke the protocol; the connection has to end.
pub(super) fn receive(connection: &Rc<RefCell<Connection>>, mut data: &[u8]) -> Result<(), Fatal> {
    let this = &mut *connection.borrow_mut();
    if this.input.wants_preface {
        data = this.preface(data)?;
    }
    if !this.input.unread.is_empty() {
        let mut unread = std::mem::take(&mut this.input.unread);
        while !data.is_empty() {
            // First the head, which tells how much more belongs to the frame.
            let want = match unread.first_chunk() {
                None => frame::HEAD,
                Some(head) => frame::HEAD + check_length(Head::parse(*head))?,
            };
            let more = want.saturating_sub(unread.len()).min(data.len());
            unread.extend_from_slice(&data[..more]);
            data = &data[more..];
            if let Some(head) = unread.first_chunk() {
                let head = Head::parse(*head);
                let end = frame::HEAD + check_length(head)?;
                if unread.len() == end {
                    this.frame(head, &unread[frame::HEAD..])?;
                    unread.clear();
                    break;
                }
            }
        }
        if !unread.is_empty() {
            this.input.unread = unread;
            return Ok(());
        }
    }
    while let Some((head, rest)) = data.split_first_chunk() {
        let head = Head::parse(*head);
        let length = check_length(head)?;
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        this.frame(head, payload)?;
        data = rest;
    }
    this.input.unread.extend_from_slice(data);
    Ok(())
}

impl Connection {
    fn preface<'d>(&mut self, data: &'d [u8]) -> Result<&'d [u8], Fatal> {
        let unread = &mut self.input.unread;
        let more = (frame::PREFACE.len() - unread.len()).min(data.len());
        unread.extend_from_slice(&data[..more]);
        if !frame::PREFACE.starts_with(unread) {
            return Err(Fatal(Reason::PROTOCOL_ERROR, "no preface"));
        }
        if unread.len() == frame::PREFACE.len() {
            self.input.unread = Vec::new();
            self.input.wants_preface = false;
        }
        Ok(&data[more..])
    }

    fn frame(&mut self, head: Head, payload: &[u8]) -> Result<(), Fatal> {
        if self.is_closed {
            return Ok(());
        }
        if !self.peer.has_settings && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return protocol("the first frame is no SETTINGS");
        }
        match &self.input.block {
            Some(block) if head.kind != kind::CONTINUATION || head.stream != block.stream => {
                return protocol("a header block that is interrupted");
            }
            None if head.kind == kind::CONTINUATION => {
                return protocol("CONTINUATION of nothing");
            }
            _ => {}
        }
        let is_streams = matches!(
            head.kind,
            kind::DATA | kind::HEADERS | kind::PRIORITY | kind::RST_STREAM | kind::CONTINUATION
        );
        let is_connections = matches!(head.kind, kind::SETTINGS | kind::PING | kind::GOAWAY);
        if is_streams && head.stream == 0 || is_connections && head.stream != 0 {
            return protocol("a frame of the wrong stream");
        }
        match head.kind {
            kind::DATA => self.data(head, payload),
            kind::HEADERS => self.headers(head, payload),
            kind::PRIORITY => self.priority(head, payload),
            kind::RST_STREAM => self.rst_stream(head, payload),
            kind::SETTINGS => self.settings(head, payload),
            kind::PUSH_PROMISE => protocol("a push that nobody allowed"),
            kind::PING => self.on_ping(head, payload),
            kind::GOAWAY => self.goaway(payload),
            kind::WINDOW_UPDATE => self.window_update(head, payload),
            kind::CONTINUATION => self.continuation(head, payload),
            _ => self.count_idle(),
        }
    }

    fn data(&mut self, head: Head, payload: &[u8]) -> Result<(), Fatal> {
        let data = unpad(head, payload)?;
        let length = frame::bytes(payload.len());
        self.receive_window -= i64::from(length);
        if self.receive_window < 0 {
            return Err(Fatal(Reason::FLOW_CONTROL_ERROR, "more data than the connection takes"));
        }
        if data.is_empty() && !head.has(flag::END_STREAM) {
            self.count_idle()?;
        } else {
            self.useful_frames += 1;
        }
        let key = self.streams.key(head.stream);
        let Some(key) = key.filter(|key| self.streams.get(*key).failure.is_none()) else {
            self.give_back(length);
            return self.on_ended_stream(head.stream, true);
        };
        let stream = self.streams.get(key);
        if stream.received_all {
            self.give_back(length);
            return self.fault(head.stream, Reason::STREAM_CLOSED, "data after the end");
        }
        if self.role == Role::Client && !stream.has_response {
            self.give_back(length);
            return self.fault(head.stream, Reason::PROTOCOL_ERROR, "data before the head");
        }
        stream.receive_window -= i64::from(length);
        if stream.receive_window < 0 {
            self.give_back(length);
            let what = "more data than the stream takes";
            return self.fault(head.stream, Reason::FLOW_CONTROL_ERROR, what);
        }
        let padding = length - frame::bytes(data.len());
        stream.taken += padding;
        if let Some(left) = &mut stream.expected {
            let Some(rest) = left.checked_sub(data.len() as u64) else {
                self.give_back(length);
                let what = "more data than the content-length";
                return self.fault(head.stream, Reason::PROTOCOL_ERROR, what);
            };
            *left = rest;
        }
        if !data.is_empty() {
            stream.chunks.push_back(Bytes::copy_from_slice(data));
        }
        self.give_back(padding);
        if head.has(flag::END_STREAM) {
            return self.end_of_stream(key);
        }
        self.streams.get(key).wake_receiver();
        Ok(())
    }

    /// The peer sent all it will.
    pub(super) fn end_of_stream(&mut self, key: Key) -> Result<(), Fatal> {
        let stream = self.streams.get(key);
        if stream.expected.is_some_and(|left| left > 0) {
            let id = stream.id;
            return self.fault(id, Reason::PROTOCOL_ERROR, "less data than the content-length");
        }
        stream.received_all = true;
        stream.wake_receiver();
        self.note_end(key);
        Ok(())
    }

    /// A frame of a stream that is over, or was never there (section 5.1).
    pub(super) fn on_ended_stream(&mut self, id: u32, is_data: bool) -> Result<(), Fatal> {
        if self.is_idle(id) {
            return protocol("a frame of a stream that nobody opened");
        }
        self.count_idle()?;
        if self.input.is_forgotten(id) {
            // It crossed our reset.
            return Ok(());
        }
        if is_data || self.streams.key(id).is_some() {
            return self.fault(
                id,
                Reason::STREAM_CLOSED,
                "a frame behind the peer's own reset or end",
            );
        }
        Err(Fatal(Reason::STREAM_CLOSED, "HEADERS of a closed stream"))
    }

    fn is_idle(&self, id: u32) -> bool {
        let ours = id % 2 == u32::from(self.role == Role::Client);
        if ours { id >= self.next_own() } else { id > self.last_received }
    }

    fn priority(&mut self, head: Head, payload: &[u8]) -> Result<(), Fatal> {
        self.count_idle()?;
        let Ok(priority) = payload.try_into() else {
            return self.fault(head.stream, Reason::FRAME_SIZE_ERROR, "PRIORITY of another size");
        };
        if depends_on(priority) == head.stream {
            let what = "a stream that depends on itself";
            return self.fault(head.stream, Reason::PROTOCOL_ERROR, what);
        }
        Ok(())
    }

    fn rst_stream(&mut self, head: Head, payload: &[u8]) -> Result<(), Fatal> {
        let reason = Reason(u32::from_be_bytes(sized(payload)?));
        if self.is_idle(head.stream) {
            return protocol("RST_STREAM of a stream that nobody opened");
        }
        self.count_idle()?;
        if let Some(key) = self.streams.key(head.stream) {
            let failure = match reason {
                Reason::REFUSED_STREAM => Failure::Refused,
                reason => Failure::Reset(reason),
            };
            self.streams.get(key).fail(failure);
            self.note_end(key);
        }
        Ok(())
    }

    fn settings(&mut self, head: Head, payload: &[u8]) -> Result<(), Fatal> {
        self.count_idle()?;
        if head.has(flag::ACK) {
            return match payload {
                [] => Ok(()),
                _ => Err(Fatal(Reason::FRAME_SIZE_ERROR, "SETTINGS ACK with settings")),
            };
        }
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(Fatal(Reason::FRAME_SIZE_ERROR, "SETTINGS of another size"));
        }
        self.peer.has_settings = true;
        for [n0, n1, v0, v1, v2, v3] in settings {
            let name = u16::from_be_bytes([*n0, *n1]);
            self.setting(name, u32::from_be_bytes([*v0, *v1, *v2, *v3]))?;
        }
        self.answer_settings();
        Ok(())
    }

    fn setting(&mut self, name: u16, value: u32) -> Result<(), Fatal> {
        match name {
            setting::HEADER_TABLE_SIZE => self.set_table_size(value as usize),
            setting::ENABLE_PUSH if value > 1 || value == 1 && self.role == Role::Client => {
                return protocol("ENABLE_PUSH that is not allowed");
            }
            setting::MAX_CONCURRENT_STREAMS => self.peer.max_streams = value,
            setting::INITIAL_WINDOW_SIZE => {
                let window = i64::from(value);
                if window > MAX_WINDOW {
                    return Err(Fatal(Reason::FLOW_CONTROL_ERROR, "a window that is too large"));
                }
                let change = window - self.peer.initial_window;
                self.peer.initial_window = window;
                for stream in self.streams.each() {
                    stream.send_window += change;
                    if stream.send_window > MAX_WINDOW {
                        return Err(Fatal(Reason::FLOW_CONTROL_ERROR, "a window grew too large"));
                    }
                    stream.wake_sender();
                }
            }
            setting::MAX_FRAME_SIZE => {
                if !(frame::MAX_PAYLOAD..1 << 24).contains(&(value as usize)) {
                    return protocol("MAX_FRAME_SIZE that is not allowed");
                }
                self.peer.max_frame = value as usize;
            }
            setting::ENABLE_CONNECT_PROTOCOL if value > 1 => {
                return protocol("ENABLE_CONNECT_PROTOCOL that is not allowed");
            }
            _ => {}
        }
        Ok(())
    }

    fn on_ping(&mut self, head: Head, payload: &[u8]) -> Result<(), Fatal> {
        self.count_idle()?;
        let payload = sized(payload)?;
        if head.has(flag::ACK) {
            self.note_pong(payload);
        } else {
            self.answer_ping(payload);
        }
        Ok(())
    }

    fn goaway(&mut self, payload: &[u8]) -> Result<(), Fatal> {
        let Some((last, _)) = payload.split_first_chunk::<4>().filter(|_| payload.len() >= 8)
        else {
            return Err(Fatal(Reason::FRAME_SIZE_ERROR, "GOAWAY of another size"));
        };
        self.heard_goaway = true;
        if self.role == Role::Client {
            let last = u32::from_be_bytes(*last) & frame::MAX_STREAM;
            for stream in self.streams.each().filter(|stream| stream.id > last) {
                if !stream.has_response {
                    stream.fail(Failure::Refused);
                }
            }
        }
        Ok(())
    }

    fn window_update(&mut self, head: Head, payload: &[u8]) -> Result<(), Fatal> {
        self.count_idle()?;
        let more = i64::from(u32::from_be_bytes(sized(payload)?) & frame::MAX_STREAM);
        if head.stream == 0 {
            if more == 0 {
                return protocol("a window that grows by nothing");
            }
            self.send_window += more;
            if self.send_window > MAX_WINDOW {
                return Err(Fatal(Reason::FLOW_CONTROL_ERROR, "a window grew too large"));
            }
            self.wake_blocked();
            return Ok(());
        }
        if self.is_idle(head.stream) {
            return protocol("WINDOW_UPDATE of a stream that nobody opened");
        }
        let Some(key) = self.streams.key(head.stream) else { return Ok(()) };
        if more == 0 {
            let what = "a window that grows by nothing";
            return self.fault(head.stream, Reason::PROTOCOL_ERROR, what);
        }
        let stream = self.streams.get(key);
        stream.send_window += more;
        if stream.send_window > MAX_WINDOW {
            let what = "a window grew too large";
            return self.fault(head.stream, Reason::FLOW_CONTROL_ERROR, what);
        }
        stream.wake_sender();
        Ok(())
    }
}

fn check_length(head: Head) -> Result<usize, Fatal> {
    if head.length > frame::MAX_PAYLOAD {
        return Err(Fatal(Reason::FRAME_SIZE_ERROR, "a frame that is too long"));
    }
    Ok(head.length)
}

/// The payload without its padding (section 6.1).
pub(super) fn unpad(head: Head, payload: &[u8]) -> Result<&[u8], Fatal> {
    if !head.has(flag::PADDED) {
        return Ok(payload);
    }
    let (padding, rest) = payload
        .split_first()
        .ok_or(Fatal(Reason::FRAME_SIZE_ERROR, "a padded frame without its padding"))?;
    let end = rest.len().checked_sub(usize::from(*padding));
    end.and_then(|end| rest.get(..end))
        .ok_or(Fatal(Reason::PROTOCOL_ERROR, "more padding than payload"))
}

/// The stream that a priority depends on (section 5.3.1 of RFC 7540; priorities have no effect here).
pub(super) fn depends_on(priority: [u8; 5]) -> u32 {
    let [s0, s1, s2, s3, _] = priority;
    u32::from_be_bytes([s0, s1, s2, s3]) & frame::MAX_STREAM
}

fn sized<const N: usize>(payload: &[u8]) -> Result<[u8; N], Fatal> {
    payload.try_into().map_err(|_| Fatal(Reason::FRAME_SIZE_ERROR, "a frame of another size"))
}

pub(super) fn protocol(what: &'static str) -> Result<(), Fatal> {
    Err(Fatal(Reason::PROTOCOL_ERROR, what))
}

/// The largest window (section 6.9.1).
const MAX_WINDOW: i64 = 0x7fff_ffff;

/// Streams that are remembered after we reset them.
const FORGOTTEN: usize = 128;

const _: () = assert!(DEFAULT_WINDOW <= MAX_WINDOW);
