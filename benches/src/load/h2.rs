//! HTTP/2 client of the load generator: streams whose header block is the same bytes each time.

use std::collections::HashMap;
use std::rc::Rc;

use crate::load::connection::Progress;
use crate::load::{Options, Security};
use crate::tools::frames::{self, ACK, END_HEADERS, END_STREAM, PREFACE, kind};
use crate::tools::stream::Stream;

/// Bytes of DATA after which windows are opened again.
const CREDIT: u32 = 1 << 20;

/// The header block of a request; it leaves the peer's table alone.
pub(super) fn block(options: &Options) -> Rc<[u8]> {
    // RFC 7541 appendix A: 2 is GET, 6 and 7 are http and https.
    let scheme = if options.tls == Security::None { 0x86 } else { 0x87 };
    let mut block = vec![0x82, scheme];
    frames::named(&mut block, 1, "localhost");
    frames::named(&mut block, 4, &options.path);
    frames::named(&mut block, 58, "load/1.0");
    frames::named(&mut block, 19, "*/*");
    frames::literal(&mut block, "x-tenant", "shop");
    block.into()
}

/// State of one connection.
#[derive(Debug)]
pub(super) struct Client {
    block: Rc<[u8]>,
    limit: usize,
    next: u32,
    greeted: bool,
    due: HashMap<u32, Due>,
    taken: u32,
}

#[derive(Debug)]
struct Due {
    at: u64,
    ok: bool,
}

impl Client {
    pub(super) fn new(block: Rc<[u8]>, streams: usize) -> Self {
        Self { block, limit: streams, next: 1, greeted: false, due: HashMap::new(), taken: 0 }
    }

    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.due.len())
    }

    pub(super) fn pending(&self) -> usize {
        self.due.len()
    }

    pub(super) fn send(&mut self, output: &mut Vec<u8>, due: u64) {
        if !self.greeted {
            self.greeted = true;
            output.extend_from_slice(PREFACE);
            let mut settings = Vec::new();
            frames::setting(&mut settings, 2, 0); // ENABLE_PUSH
            frames::setting(&mut settings, 4, 1 << 20); // INITIAL_WINDOW_SIZE
            frames::push(output, kind::SETTINGS, 0, 0, &settings);
            frames::push(output, kind::WINDOW, 0, 0, &(16_u32 << 20).to_be_bytes());
        }
        let flags = END_HEADERS | END_STREAM;
        frames::push(output, kind::HEADERS, flags, self.next, &self.block);
        self.due.insert(self.next, Due { at: due, ok: false });
        self.next += 2;
    }

    pub(super) fn advance(&mut self, stream: &mut Stream, progress: &mut Progress) {
        let mut at = 0;
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
                kind::HEADERS => {
                    if let Some(due) = self.due.get_mut(&frame.stream) {
                        due.ok |= frames::is_ok(frame.payload);
                    }
                }
                kind::DATA => {
                    self.taken += u32::try_from(frame.payload.len()).unwrap_or(CREDIT);
                    if self.taken >= CREDIT {
                        frames::push(output, kind::WINDOW, 0, 0, &self.taken.to_be_bytes());
                        self.taken = 0;
                    }
                }
                kind::RESET if self.due.remove(&frame.stream).is_some() => progress.refused += 1,
                kind::GOAWAY => progress.broken = true,
                _ => {}
            }
            if matches!(frame.kind, kind::HEADERS | kind::DATA)
                && frame.flags & END_STREAM != 0
                && let Some(due) = self.due.remove(&frame.stream)
            {
                if due.ok {
                    progress.answered.push(due.at);
                } else {
                    progress.refused += 1;
                }
            }
        }
        stream.input.drain(..at);
        // Stream ids run out after a thousand million requests; a run has far fewer.
        progress.broken |= self.next > i32::MAX as u32 - 4096;
    }
}
