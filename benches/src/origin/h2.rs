//! HTTP/2 side of the origin.

use std::collections::VecDeque;

use crate::tools::frames::{self, ACK, END_HEADERS, END_STREAM, PREFACE, kind};
use crate::tools::stream::Stream;

const BODY: i64 = 1024;

/// The answer to every stream: a header block without table state, and a body.
pub(super) struct Answer {
    block: Vec<u8>,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn new() -> Self {
        let mut block = vec![0x88];
        for (index, value) in [
            (54, "origin"),
            (33, "Fri, 20 Nov 2026 08:00:00 GMT"),
            (31, "application/json"),
            (24, "no-cache"),
            (34, "\"5f3c9a7e\""),
            (28, "1024"),
        ] {
            frames::named(&mut block, index, value);
        }
        Self { block, body: vec![b'x'; 1024] }
    }
}

/// State of one connection. The peer's stream windows are taken to hold 1 KiB; its connection window is obeyed.
#[derive(Debug)]
pub(super) struct Session {
    greeted: bool,
    window: i64,
    waiting: VecDeque<u32>,
    unacknowledged: u32,
}

impl Default for Session {
    fn default() -> Self {
        Self { greeted: false, window: 65_535, waiting: VecDeque::new(), unacknowledged: 0 }
    }
}

impl Session {
    /// Handles every complete frame of the input. `false`: close.
    pub(super) fn advance(&mut self, stream: &mut Stream, answer: &Answer) -> bool {
        let mut at = 0;
        if !self.greeted {
            if stream.input.len() < PREFACE.len() {
                return true;
            }
            if !stream.input.starts_with(PREFACE) {
                return false;
            }
            at = PREFACE.len();
            self.greet(&mut stream.output);
        }
        let (input, output) = (&stream.input, &mut stream.output);
        while let Some(frame) = frames::first(&input[at..]) {
            at += frames::HEADER + frame.payload.len();
            match frame.kind {
                kind::SETTINGS if frame.flags & ACK == 0 => {
                    frames::push(output, kind::SETTINGS, ACK, 0, &[]);
                }
                kind::PING if frame.flags & ACK == 0 => {
                    frames::push(output, kind::PING, ACK, 0, frame.payload);
                }
                kind::WINDOW if frame.stream == 0 => {
                    self.window += frames::window(frame.payload);
                    while self.window >= BODY
                        && let Some(waiting) = self.waiting.pop_front()
                    {
                        self.answer(output, waiting, answer);
                    }
                }
                kind::DATA => self.took(output, frame.payload.len()),
                kind::GOAWAY => return false,
                _ => {}
            }
            if matches!(frame.kind, kind::DATA | kind::HEADERS) && frame.flags & END_STREAM != 0 {
                self.answer(output, frame.stream, answer);
            }
        }
        stream.input.drain(..at);
        true
    }

    fn greet(&mut self, output: &mut Vec<u8>) {
        self.greeted = true;
        let mut settings = Vec::new();
        frames::setting(&mut settings, 3, 1000); // MAX_CONCURRENT_STREAMS
        frames::setting(&mut settings, 4, 1 << 20); // INITIAL_WINDOW_SIZE
        frames::push(output, kind::SETTINGS, 0, 0, &settings);
        frames::push(output, kind::WINDOW, 0, 0, &(16_u32 << 20).to_be_bytes());
    }

    fn answer(&mut self, output: &mut Vec<u8>, stream: u32, answer: &Answer) {
        if self.window < BODY {
            self.waiting.push_back(stream);
            return;
        }
        self.window -= BODY;
        frames::push(output, kind::HEADERS, END_HEADERS, stream, &answer.block);
        frames::push(output, kind::DATA, END_STREAM, stream, &answer.body);
    }

    fn took(&mut self, output: &mut Vec<u8>, bytes: usize) {
        self.unacknowledged += u32::try_from(bytes).unwrap_or(u32::MAX);
        if self.unacknowledged > 1 << 20 {
            frames::push(output, kind::WINDOW, 0, 0, &self.unacknowledged.to_be_bytes());
            self.unacknowledged = 0;
        }
    }
}
