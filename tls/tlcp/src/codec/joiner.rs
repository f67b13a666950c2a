//! Handshake messages out of records: one message may come in many records, and many in one.

use crate::error::Error;

/// The most that one handshake message may be long. A chain of ten certificates with many names takes a fifth.
pub(crate) const MAX_MESSAGE: usize = 1 << 16;

/// The types of handshake messages that this engine knows (GB/T 38636-2020, 6.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum MessageType {
    HelloRequest = 0,
    ClientHello = 1,
    ServerHello = 2,
    Certificate = 11,
    ServerKeyExchange = 12,
    CertificateRequest = 13,
    ServerHelloDone = 14,
    CertificateVerify = 15,
    ClientKeyExchange = 16,
    Finished = 20,
}

impl MessageType {
    fn from_wire(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::HelloRequest,
            1 => Self::ClientHello,
            2 => Self::ServerHello,
            11 => Self::Certificate,
            12 => Self::ServerKeyExchange,
            13 => Self::CertificateRequest,
            14 => Self::ServerHelloDone,
            15 => Self::CertificateVerify,
            16 => Self::ClientKeyExchange,
            20 => Self::Finished,
            _ => return None,
        })
    }
}

/// A whole handshake message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: MessageType,
    /// Without its header.
    pub(crate) body: &'a [u8],
    /// With its header, as it enters the transcript.
    pub(crate) raw: &'a [u8],
}

/// Joins what records carry into messages. It holds at most one message that is not whole and one record.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    held: Vec<u8>,
    /// How much of `held` was given.
    given: usize,
}

impl Joiner {
    /// Adds what a record carried.
    pub(crate) fn push(&mut self, payload: &[u8]) {
        self.held.drain(..self.given);
        self.given = 0;
        self.held.extend_from_slice(payload);
    }

    /// The next whole message, which is then forgotten. A message that is too long or unknown is refused by
    /// its header.
    pub(crate) fn next(&mut self) -> Result<Option<Message<'_>>, Error> {
        let rest = self.held.get(self.given..).unwrap_or_default();
        let Some([kind, high, middle, low]) = rest.first_chunk() else {
            return Ok(None);
        };
        let kind = MessageType::from_wire(*kind).ok_or(Error::Unexpected("handshake message"))?;
        let length = usize::from(*high) << 16 | usize::from(*middle) << 8 | usize::from(*low);
        if length > MAX_MESSAGE {
            return Err(Error::IllegalParameter("a handshake message is too long"));
        }
        let Some(raw) = rest.get(..HEADER + length) else { return Ok(None) };
        self.given += raw.len();
        Ok(Some(Message { kind, body: &raw[HEADER..], raw }))
    }

    /// Whether everything was given: keys may change only between messages.
    pub(crate) fn is_empty(&self) -> bool {
        self.given == self.held.len()
    }

    /// Gives the memory back.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

const HEADER: usize = 4;
