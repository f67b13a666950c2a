//! The chunked transfer coding, decoding side (RFC 9112 §7.1). Sans-IO.
//!
//! Strict where leniency smuggles: a size line ends in CRLF, hex digits are followed by `;` or the
//! end, extensions hold no control characters (and are dropped: chunks are framed anew), the data
//! ends in CRLF exactly.

use http::HeaderMap;

use super::buffer::Input;
use super::fields;
use super::settings::HeadLimits;

/// Longest size line, extensions included.
const MAX_LINE_BYTES: usize = 1024;

/// Extension bytes a whole body may carry beyond one byte per eight of data: many tiny chunks with
/// long extensions cost the proxy work and the client nothing.
const MAX_EXTENSION_BYTES: u64 = 16 * 1024;

/// The next part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes of the body, never empty.
    Data(bytes::Bytes),
    /// The end, with trailer fields.
    Trailers(HeaderMap),
    /// The end.
    End,
}

/// Why a body is malformed: a constant text for logs.
pub(super) type Malformed = &'static str;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
}

/// Decodes one body.
#[derive(Debug)]
pub(super) struct ChunkDecoder {
    state: State,
    extensions: u64,
    limits: HeadLimits,
}

impl ChunkDecoder {
    pub(super) fn new(limits: HeadLimits) -> Self {
        Self { state: State::Size, extensions: 0, limits }
    }

    /// The next piece, or `None` when more bytes are needed.
    pub(super) fn next(&mut self, input: &mut Input) -> Result<Option<Piece>, Malformed> {
        loop {
            match self.state {
                State::Size => {
                    let Some(size) = self.size_line(input)? else { return Ok(None) };
                    self.state = if size == 0 { State::Trailers } else { State::Data(size) };
                }
                State::Data(left) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    if count == 0 {
                        return Ok(None);
                    }
                    let left = left - count as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(Some(Piece::Data(input.take(count))));
                }
                State::DataEnd => {
                    match input.data() {
                        [b'\r', b'\n', ..] => input.skip(2),
                        [] | [b'\r'] => return Ok(None),
                        _ => return Err("chunk data does not end in CRLF"),
                    }
                    self.state = State::Size;
                }
                State::Trailers => return self.trailers(input),
            }
        }
    }

    /// Consumes the end of the body if it is already here and has no trailers, so that the last
    /// piece of data and the end can travel together.
    pub(super) fn finish(&self, input: &mut Input) -> bool {
        let end = self.state == State::DataEnd && input.data().starts_with(b"\r\n0\r\n\r\n");
        if end {
            input.skip(7);
        }
        end
    }

    fn size_line(&mut self, input: &mut Input) -> Result<Option<u64>, Malformed> {
        let data = input.data();
        let window = &data[..data.len().min(MAX_LINE_BYTES)];
        let Some(end) = window.iter().position(|b| *b == b'\n') else {
            return if data.len() >= MAX_LINE_BYTES {
                Err("chunk size line too long")
            } else {
                Ok(None)
            };
        };
        let line =
            window[..end].strip_suffix(b"\r").ok_or("chunk size line does not end in CRLF")?;
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let extension = &line[digits..];
        if digits == 0 || digits > 16 {
            return Err("chunk size is not a 64-bit hexadecimal number");
        }
        let is_text = |b: &u8| *b == b'\t' || (*b >= b' ' && *b != 0x7f);
        let named = extension.len() > 1 && extension[0] == b';';
        let is_extension = named && extension.iter().all(is_text) && is_balanced(extension);
        if !extension.is_empty() && !is_extension {
            return Err("malformed chunk extension");
        }
        let size = line[..digits].iter().fold(0, |size: u64, digit| {
            let value = (*digit as char).to_digit(16).unwrap_or(0);
            (size << 4) | u64::from(value)
        });
        self.extensions += extension.len() as u64;
        self.extensions = self.extensions.saturating_sub(size / 8);
        if self.extensions > MAX_EXTENSION_BYTES {
            return Err("too many chunk extensions");
        }
        input.skip(end + 1);
        Ok(Some(size))
    }

    fn trailers(&mut self, input: &mut Input) -> Result<Option<Piece>, Malformed> {
        if input.data().starts_with(b"\r\n") {
            input.skip(2);
            return Ok(Some(Piece::End));
        }
        let Some((trailers, count)) = fields::parse_trailers(input.data(), self.limits)? else {
            return Ok(None);
        };
        input.skip(count);
        Ok(Some(if trailers.is_empty() { Piece::End } else { Piece::Trailers(trailers) }))
    }
}

/// True when every quoted string of an extension ends.
fn is_balanced(extension: &[u8]) -> bool {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for byte in extension {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ => {}
        }
    }
    !is_quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], step: usize) -> Result<(Vec<u8>, Option<HeaderMap>, usize), Malformed> {
        let mut decoder = ChunkDecoder::new(HeadLimits::default());
        let (mut input, mut data) = (Input::default(), Vec::new());
        for part in bytes.chunks(step) {
            input.push(part);
            while let Some(piece) = decoder.next(&mut input)? {
                match piece {
                    Piece::Data(bytes) => data.extend_from_slice(&bytes),
                    Piece::Trailers(map) => return Ok((data, Some(map), input.len())),
                    Piece::End => return Ok((data, None, input.len())),
                }
            }
        }
        Err("incomplete")
    }

    #[test]
    fn decodes_the_same_however_the_bytes_arrive() {
        let body =
            b"5;a=b;c=\"d\"\r\nhello\r\nA\r\n0123456789\r\n000\r\nX-T: 1\r\nHost: evil\r\n\r\n";
        for step in 1..=body.len() {
            let (data, trailers, left) = decode(body, step).unwrap();
            assert_eq!(data, b"hello0123456789");
            let trailers = trailers.unwrap();
            assert_eq!(trailers.len(), 1, "fields that frame or route are dropped");
            assert_eq!(trailers["x-t"], "1");
            assert_eq!(left, 0);
        }
    }

    #[test]
    fn refuses_what_another_parser_could_read_differently() {
        for body in [
            "5\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "5;a=\"b\r\nhello\r\n0\r\n\r\n",
            "5;\r\nhello\r\n0\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "5;a\rb\r\nhello\r\n0\r\n\r\n",
            "5\r\r;\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "-1\r\nhello\r\n0\r\n\r\n",
            "\r\nhello\r\n0\r\n\r\n",
            "00000000000000005\r\nhello\r\n0\r\n\r\n",
            "5\r\nhelloX\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\r\n0\r\nX-T : 1\r\n\r\n",
            "5\r\nhello\r\n0\r\nX-T: 1\n\r\n",
            "5\r\nhello\r\n0\r\n X: 1\r\n\r\n",
        ] {
            let answer = decode(body.as_bytes(), 1);
            assert!(answer.as_ref().is_err_and(|e| *e != "incomplete"), "{body:?}: {answer:?}");
        }
    }

    #[test]
    fn bounds_lines_and_extensions() {
        let long = format!("5;{}", "a".repeat(5000));
        assert_eq!(decode(long.as_bytes(), 100), Err("chunk size line too long"));
        let many = format!("1;{}\r\nx\r\n", "a".repeat(900)).repeat(40);
        assert_eq!(decode(many.as_bytes(), 100), Err("too many chunk extensions"));
    }
}
