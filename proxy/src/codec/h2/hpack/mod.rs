//! HPACK (RFC 7541).
//!
//! Our own because a proxy decodes every field twice on its way and encodes it twice: fields that repeat
//! are references into a table on both sides, and cost neither an allocation nor a copy here.

mod decode;
mod encode;
mod huffman;
mod table;

pub(super) use decode::Decoder;
pub(super) use decode::Field;
pub(super) use decode::FieldName;
pub(super) use encode::Encoder;

/// Bytes that every entry of a table costs beside its name and value (section 4.1).
const OVERHEAD: usize = 32;

/// The size of a table that nobody has to agree on, in bytes.
pub(super) const TABLE_SIZE: usize = 4096;

/// A pseudo-header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pseudo {
    Authority,
    Method,
    Path,
    Protocol,
    Scheme,
    Status,
}

impl Pseudo {
    fn parse(name: &[u8]) -> Option<Self> {
        Some(match name {
            b":authority" => Self::Authority,
            b":method" => Self::Method,
            b":path" => Self::Path,
            b":protocol" => Self::Protocol,
            b":scheme" => Self::Scheme,
            b":status" => Self::Status,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Authority => ":authority",
            Self::Method => ":method",
            Self::Path => ":path",
            Self::Protocol => ":protocol",
            Self::Scheme => ":scheme",
            Self::Status => ":status",
        }
    }
}

#[cfg(test)]
use decode::Malformed;
#[cfg(test)]
mod tests;
