//! HTTP/1 side of the origin.

use crate::tools::heads;
use crate::tools::stream::Stream;

/// The two answers, head and body.
pub(super) struct Answers {
    small: Vec<u8>,
    large: Vec<u8>,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self { small: answer(1024), large: answer(64 * 1024) }
    }
}

/// Headers such as a service of today sends: six fields.
fn answer(size: usize) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 200 OK\r\nserver: origin\r\ndate: Fri, 20 Nov 2026 08:00:00 GMT\r\n\
         content-type: application/json\r\ncache-control: no-cache\r\netag: \"5f3c9a7e\"\r\n\
         content-length: {size}\r\n\r\n"
    )
    .into_bytes();
    bytes.resize(bytes.len() + size, b'x');
    bytes
}

/// State of one connection between reads.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Bytes of a request body still to come; `Some` while a body is being read.
    body: Option<usize>,
}

impl Exchange {
    /// Answers every complete request of the input. `false`: the peer is not understood, close.
    pub(super) fn advance(&mut self, stream: &mut Stream, answers: &Answers) -> bool {
        let mut at = 0;
        loop {
            let rest = &stream.input[at..];
            if let Some(left) = self.body {
                let taken = left.min(rest.len());
                at += taken;
                if taken < left {
                    self.body = Some(left - taken);
                    break;
                }
                self.body = None;
                stream.output.extend_from_slice(&answers.large);
                continue;
            }
            let Some(end) = heads::end(rest) else { break };
            let head = &rest[..end];
            if head.starts_with(b"POST ") {
                let Some(size) = heads::field(head, "content-length").and_then(heads::number)
                else {
                    return false;
                };
                self.body = Some(size);
            } else {
                let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
                let large = line.windows(3).any(|three| three == b"64k");
                stream.output.extend_from_slice(if large {
                    &answers.large
                } else {
                    &answers.small
                });
            }
            at += end;
        }
        stream.input.drain(..at);
        true
    }
}
