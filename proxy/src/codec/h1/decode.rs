//! Finds the end of a message body (RFC 9112 §6.3). Sans-IO.

use super::buffer::Input;
use super::chunked::ChunkDecoder;
use super::chunked::Malformed;
use super::chunked::Piece;

/// Takes a body out of the connection's bytes.
#[derive(Debug)]
pub(super) enum BodyDecoder {
    /// Framed in chunks.
    Chunked(ChunkDecoder),
    /// The message is over.
    Done,
    /// So many bytes are left.
    Length(u64),
    /// Everything until the peer closes its side.
    UntilClose,
}

impl BodyDecoder {
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done | Self::Length(0))
    }

    /// The next piece, or `None` when more bytes are needed. After the end: `End` again.
    pub(super) fn next(&mut self, input: &mut Input) -> Result<Option<Piece>, Malformed> {
        let piece = match self {
            Self::Done | Self::Length(0) => Some(Piece::End),
            Self::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= count as u64;
                (count > 0).then(|| Piece::Data(input.take(count)))
            }
            Self::Chunked(decoder) => decoder.next(input)?,
            Self::UntilClose => {
                let count = input.len();
                (count > 0).then(|| Piece::Data(input.take(count)))
            }
        };
        let ended = match &piece {
            Some(Piece::Data(_)) => match self {
                Self::Chunked(decoder) => decoder.finish(input),
                Self::Length(left) => *left == 0,
                Self::Done | Self::UntilClose => false,
            },
            Some(_) => true,
            None => false,
        };
        if ended {
            *self = Self::Done;
        }
        Ok(piece)
    }
}
