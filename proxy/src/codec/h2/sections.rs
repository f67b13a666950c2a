//! Header sections that arrive: heads of messages and trailers (RFC 9113 sections 6.2, 6.10 and 8).

use http::StatusCode;

use super::connection::Connection;
use super::connection::Fatal;
use super::connection::Incoming;
use super::connection::Role;
use super::frame;
use super::frame::Head;
use super::frame::Reason;
use super::frame::flag;
use super::head::Malformed;
use super::head::Section;
use super::receive::depends_on;
use super::receive::protocol;
use super::receive::unpad;
use super::streams::Key;

/// A header block in the making.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    end_stream: bool,
    bytes: Vec<u8>,
    frames: usize,
}

impl Connection {
    pub(super) fn headers(&mut self, head: Head, payload: &[u8]) -> Result<(), Fatal> {
        let mut block = unpad(head, payload)?;
        if head.has(flag::PRIORITY) {
            let (priority, rest) = block
                .split_first_chunk::<5>()
                .ok_or(Fatal(Reason::FRAME_SIZE_ERROR, "HEADERS without its priority"))?;
            if depends_on(*priority) == head.stream {
                return protocol("a stream that depends on itself");
            }
            block = rest;
        }
        let end_stream = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.section(head.stream, end_stream, block);
        }
        let bytes = block.to_vec();
        self.input.block = Some(Block { stream: head.stream, end_stream, bytes, frames: 0 });
        self.check_block()
    }

    pub(super) fn continuation(&mut self, head: Head, payload: &[u8]) -> Result<(), Fatal> {
        let Some(block) = &mut self.input.block else { return protocol("CONTINUATION of nothing") };
        block.bytes.extend_from_slice(payload);
        block.frames += 1;
        self.check_block()?;
        if head.has(flag::END_HEADERS)
            && let Some(Block { stream, end_stream, bytes, .. }) = self.input.block.take()
        {
            return self.section(stream, end_stream, &bytes);
        }
        Ok(())
    }

    /// A block that is never complete must not cost memory without end (CVE-2024-27316).
    fn check_block(&self) -> Result<(), Fatal> {
        let limit = self.config.head.bytes.saturating_mul(2).max(2 * frame::MAX_PAYLOAD);
        match &self.input.block {
            Some(block) if block.bytes.len() > limit => {
                Err(Fatal(Reason::ENHANCE_YOUR_CALM, "a header block that is too long"))
            }
            Some(block) if block.frames > MAX_CONTINUATIONS => {
                Err(Fatal(Reason::ENHANCE_YOUR_CALM, "a header block in too many frames"))
            }
            _ => Ok(()),
        }
    }

    /// A complete header block: the head of a message, or trailers.
    fn section(&mut self, id: u32, end_stream: bool, block: &[u8]) -> Result<(), Fatal> {
        let mut section = Section::new(self.config.head);
        // Always decoded: the table must not be lost.
        self.decoder
            .decode(block, |field, size| section.take(field, size))
            .map_err(|malformed| Fatal(Reason::COMPRESSION_ERROR, malformed.0))?;
        self.useful_frames += 1;
        match self.role {
            Role::Server => self.section_of_client(id, end_stream, section),
            Role::Client => self.section_of_server(id, end_stream, section),
        }
    }

    fn section_of_client(
        &mut self,
        id: u32,
        end_stream: bool,
        section: Section,
    ) -> Result<(), Fatal> {
        if id.is_multiple_of(2) {
            return protocol("an even stream of a client");
        }
        if id <= self.last_received {
            let key = self.streams.key(id);
            return match key.filter(|key| self.streams.get(*key).failure.is_none()) {
                Some(key) => self.trailers(key, end_stream, section),
                None => self.on_ended_stream(id, false),
            };
        }
        if self.said_goaway.is_some() {
            return Ok(());
        }
        self.last_received = id;
        if self.open >= self.config.max_streams {
            return self.fault(id, Reason::REFUSED_STREAM, "too many streams");
        }
        let length = section.content_length();
        let (head, violation, content_length) =
            match section.into_request().and_then(|(head, violation)| match (length, violation) {
                (length, None) => Ok((head, None, length?)),
                (_, violation) => Ok((head, violation, None)),
            }) {
                Ok(parts) => parts,
                Err(Malformed(what)) => return self.fault(id, Reason::PROTOCOL_ERROR, what),
            };
        if end_stream && content_length.is_some_and(|length| length > 0) {
            let what = "less data than the content-length";
            return self.fault(id, Reason::PROTOCOL_ERROR, what);
        }
        let key = self.accept(id);
        let stream = self.streams.get(key);
        stream.received_all = end_stream;
        stream.expected = content_length;
        self.incoming.push(Incoming { stream: key, head, violation, content_length });
        Ok(())
    }

    fn section_of_server(
        &mut self,
        id: u32,
        end_stream: bool,
        section: Section,
    ) -> Result<(), Fatal> {
        let key = self.streams.key(id);
        let Some(key) = key.filter(|key| self.streams.get(*key).failure.is_none()) else {
            return self.on_ended_stream(id, false);
        };
        if self.streams.get(key).has_response {
            return self.trailers(key, end_stream, section);
        }
        let length = section.content_length();
        let (response, length) =
            match section.into_response().and_then(|response| Ok((response, length?))) {
                Ok(parts) => parts,
                Err(Malformed(what)) => return self.fault(id, Reason::PROTOCOL_ERROR, what),
            };
        let stream = self.streams.get(key);
        if response.status().is_informational() {
            if end_stream {
                return self.fault(id, Reason::PROTOCOL_ERROR, "an interim response as the last");
            }
            stream.interim += 1;
            if stream.interim > MAX_INTERIM {
                return self.fault(id, Reason::PROTOCOL_ERROR, "too many interim responses");
            }
            stream.continues |= response.status() == StatusCode::CONTINUE;
            stream.wake_receiver();
            return Ok(());
        }
        stream.has_response = true;
        // An answer to HEAD, and 304, tell a length that does not come.
        let is_bodiless = stream.is_head || response.status() == StatusCode::NOT_MODIFIED;
        stream.expected = if is_bodiless { Some(0) } else { length };
        stream.response = Some(Box::new(response.into_parts().0));
        if end_stream {
            return self.end_of_stream(key);
        }
        stream.wake_receiver();
        Ok(())
    }

    fn trailers(&mut self, key: Key, end_stream: bool, section: Section) -> Result<(), Fatal> {
        let stream = self.streams.get(key);
        let id = stream.id;
        if stream.received_all {
            return Err(Fatal(Reason::STREAM_CLOSED, "HEADERS after the end of a stream"));
        }
        if !end_stream {
            return self.fault(id, Reason::PROTOCOL_ERROR, "trailers that do not end the stream");
        }
        match section.into_trailers() {
            Ok(trailers) => {
                stream.trailers = Some(trailers);
                self.end_of_stream(key)
            }
            Err(Malformed(what)) => self.fault(id, Reason::PROTOCOL_ERROR, what),
        }
    }
}

/// CONTINUATION frames of one block.
const MAX_CONTINUATIONS: usize = 32;

/// Interim responses before a final one.
const MAX_INTERIM: u32 = 16;
