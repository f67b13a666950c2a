//! What goes over the wire: strict reading within bounds, and writing. Nothing here knows a key or a state.

mod cursor;
mod hello;
mod joiner;
mod messages;
mod record;

pub(crate) use self::cursor::Cursor;
pub(crate) use self::cursor::prefixed_u8;
pub(crate) use self::cursor::prefixed_u16;
pub(crate) use self::cursor::prefixed_u24;
pub(crate) use self::hello::Answers;
pub(crate) use self::hello::ClientHello;
pub(crate) use self::hello::Random;
pub(crate) use self::hello::ServerHello;
pub(crate) use self::hello::SessionId;
pub(crate) use self::joiner::Joiner;
pub(crate) use self::joiner::Message;
pub(crate) use self::joiner::MessageType;
pub(crate) use self::messages::CertificateRequest;
pub(crate) use self::messages::ServerKeyExchange;
pub(crate) use self::messages::certificate_list;
pub(crate) use self::messages::ecdhe_parameters;
pub(crate) use self::messages::read_certificate_list;
pub(crate) use self::messages::read_client_point;
pub(crate) use self::messages::read_signature;
pub(crate) use self::record::ContentType;
pub(crate) use self::record::HEADER_LEN;
pub(crate) use self::record::MAX_PLAIN;
pub(crate) use self::record::MAX_SEALED;
pub(crate) use self::record::RecordHeader;

/// The one version, in records and in hellos.
pub(crate) const VERSION: u16 = 0x0101;

#[cfg(test)]
mod tests;
