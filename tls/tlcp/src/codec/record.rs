//! The header of a record (GB/T 38636-2020, 6.3.2).

use crate::codec::VERSION;
use crate::error::Error;

/// Bytes of a header.
pub(crate) const HEADER_LEN: usize = 5;
/// The most that a record may carry.
pub(crate) const MAX_PLAIN: usize = 1 << 14;
/// The most that a protected record may be long, without its header.
pub(crate) const MAX_SEALED: usize = MAX_PLAIN + 2048;

/// What a record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ContentType {
    ChangeCipherSpec = 20,
    Alert = 21,
    Handshake = 22,
    ApplicationData = 23,
}

/// A header that may be believed: its type is known, its version right, its length within the bound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordHeader {
    pub(crate) content: ContentType,
    /// Of what follows.
    pub(crate) length: usize,
}

impl RecordHeader {
    /// Reads a header. `None` when bytes are missing; a wrong one is found as soon as its byte is there.
    pub(crate) fn read(bytes: &[u8], max_length: usize) -> Result<Option<Self>, Error> {
        let Some(first) = bytes.first() else { return Ok(None) };
        let content = match first {
            20 => ContentType::ChangeCipherSpec,
            21 => ContentType::Alert,
            22 => ContentType::Handshake,
            23 => ContentType::ApplicationData,
            _ => return Err(Error::Unexpected("type of record")),
        };
        let Some([_, major, minor, high, low]) = bytes.first_chunk() else { return Ok(None) };
        let version = u16::from_be_bytes([*major, *minor]);
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length > max_length {
            return Err(Error::TooLong("record"));
        }
        Ok(Some(Self { content, length }))
    }

    /// The header of a record of at most [`MAX_SEALED`] bytes.
    pub(crate) fn bytes(content: ContentType, length: usize) -> [u8; HEADER_LEN] {
        debug_assert!(length <= MAX_SEALED, "records are cut before they are sealed");
        let [.., high, low] = length.to_be_bytes();
        let [major, minor] = VERSION.to_be_bytes();
        [content as u8, major, minor, high, low]
    }
}
