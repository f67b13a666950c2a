//! ClientHello and ServerHello (GB/T 38636-2020, 6.4.5.2), and the extensions that are understood.

use super::Cursor;
use super::VERSION;
use super::prefixed_u8;
use super::prefixed_u16;
use crate::error::Error;

/// 32 random bytes of a side.
pub(crate) type Random = [u8; 32];

/// Of 0 to 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub(crate) struct SessionId {
    bytes: [u8; 32],
    length: u8,
}

impl SessionId {
    pub(crate) fn new(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self { bytes, length: u8::try_from(id.len()).ok()? })
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length.into()).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// What a client offers.
#[derive(Debug)]
pub(crate) struct ClientHello<'a> {
    pub(crate) random: Random,
    pub(crate) session_id: SessionId,
    /// As they are on the wire, two bytes each.
    pub(crate) suites: &'a [u8],
    pub(crate) extensions: Extensions<'a>,
}

/// What a server chose.
#[derive(Debug)]
pub(crate) struct ServerHello<'a> {
    pub(crate) random: Random,
    pub(crate) session_id: SessionId,
    pub(crate) suite: u16,
    pub(crate) extensions: Extensions<'a>,
}

/// The extensions of a hello. Unknown ones of a client are passed over.
#[derive(Debug, Default)]
pub(crate) struct Extensions<'a> {
    /// RFC 6066 host name of the client; empty in a server's answer.
    pub(crate) server_name: Option<&'a str>,
    /// RFC 7301 list of the client as it is on the wire; the list of one in a server's answer.
    pub(crate) alpn: Option<&'a [u8]>,
    /// RFC 5746 contents.
    pub(crate) renegotiation: Option<&'a [u8]>,
    /// Whether there is one that is not known.
    pub(crate) unknown: bool,
}

impl<'a> ClientHello<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Error> {
        let malformed = Error::Decode("ClientHello");
        let mut cursor = Cursor::new(body);
        let version = cursor.u16().ok_or(Error::Decode("ClientHello"))?;
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let read = |cursor: &mut Cursor<'a>| {
            let random = cursor.array()?;
            let session_id = SessionId::new(cursor.vector_u8()?)?;
            let suites = cursor.vector_u16()?;
            let compressions = cursor.vector_u8()?;
            let extensions = Extensions::read(cursor, Side::Client)?;
            let whole = !suites.is_empty() && suites.len() % 2 == 0 && !compressions.is_empty();
            whole.then_some((Self { random, session_id, suites, extensions }, compressions))
        };
        let (hello, compressions) = read(&mut cursor).ok_or(malformed)?;
        if !compressions.contains(&0) {
            return Err(Error::IllegalParameter("the client insists on compression"));
        }
        Ok(hello)
    }

    /// The suites' numbers in the client's order.
    pub(crate) fn suite_numbers(&self) -> impl Iterator<Item = u16> {
        self.suites.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair))
    }

    /// The protocols of the ALPN extension.
    pub(crate) fn protocols(&self) -> impl Iterator<Item = &'a [u8]> {
        let mut cursor = Cursor::new(self.extensions.alpn.unwrap_or_default());
        std::iter::from_fn(move || cursor.vector_u8())
    }

    /// The body of the message.
    pub(crate) fn write(
        random: &Random,
        session_id: &SessionId,
        suites: impl Iterator<Item = u16>,
        server_name: Option<&str>,
        protocols: &[Vec<u8>],
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(random);
        prefixed_u8(&mut out, |out| out.extend_from_slice(session_id.as_slice()));
        prefixed_u16(&mut out, |out| suites.for_each(|suite| out.extend(suite.to_be_bytes())));
        out.extend_from_slice(&[1, 0]);
        // GmSSL 3.1 drops a hello with extensions: none without need.
        if server_name.is_some() || !protocols.is_empty() {
            prefixed_u16(&mut out, |out| {
                if let Some(name) = server_name {
                    write_extension(out, SERVER_NAME, |out| {
                        prefixed_u16(out, |out| {
                            out.push(0);
                            prefixed_u16(out, |out| out.extend_from_slice(name.as_bytes()));
                        });
                    });
                }
                if !protocols.is_empty() {
                    write_extension(out, ALPN, |out| {
                        prefixed_u16(out, |out| {
                            for protocol in protocols {
                                prefixed_u8(out, |out| out.extend_from_slice(protocol));
                            }
                        });
                    });
                }
            });
        }
        out
    }
}

impl<'a> ServerHello<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(body);
        let version = cursor.u16().ok_or(Error::Decode("ServerHello"))?;
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let read = |cursor: &mut Cursor<'a>| {
            let random = cursor.array()?;
            let session_id = SessionId::new(cursor.vector_u8()?)?;
            let suite = cursor.u16()?;
            let compression = cursor.u8()?;
            let extensions = Extensions::read(cursor, Side::Server)?;
            Some((Self { random, session_id, suite, extensions }, compression))
        };
        let (hello, compression) = read(&mut cursor).ok_or(Error::Decode("ServerHello"))?;
        if compression != 0 {
            return Err(Error::IllegalParameter("the server chose compression"));
        }
        Ok(hello)
    }

    /// The single protocol of the ALPN extension.
    pub(crate) fn protocol(&self) -> Result<Option<&'a [u8]>, Error> {
        let Some(list) = self.extensions.alpn else { return Ok(None) };
        let mut cursor = Cursor::new(list);
        let only = cursor.vector_u8().and_then(|protocol| cursor.end(protocol));
        only.map(Some).ok_or(Error::Decode("ServerHello"))
    }

    /// The body of the message.
    pub(crate) fn write(
        random: &Random,
        session_id: &SessionId,
        suite: u16,
        answers: &Answers<'_>,
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(random);
        prefixed_u8(&mut out, |out| out.extend_from_slice(session_id.as_slice()));
        out.extend_from_slice(&suite.to_be_bytes());
        out.push(0);
        if answers.renegotiation || answers.server_name || answers.protocol.is_some() {
            prefixed_u16(&mut out, |out| {
                if answers.renegotiation {
                    write_extension(out, RENEGOTIATION_INFO, |out| out.push(0));
                }
                if answers.server_name {
                    write_extension(out, SERVER_NAME, |_| {});
                }
                if let Some(protocol) = answers.protocol {
                    write_extension(out, ALPN, |out| {
                        prefixed_u16(out, |out| {
                            prefixed_u8(out, |out| out.extend_from_slice(protocol));
                        });
                    });
                }
            });
        }
        out
    }
}

/// What a server answers to a client's extensions.
#[derive(Debug, Default)]
pub(crate) struct Answers<'a> {
    /// RFC 5746: that it knows of renegotiation (and refuses it).
    pub(crate) renegotiation: bool,
    /// RFC 6066: that it used the name.
    pub(crate) server_name: bool,
    /// RFC 7301: what it chose.
    pub(crate) protocol: Option<&'a [u8]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

impl<'a> Extensions<'a> {
    /// Reads to the end of the message; there may be none at all.
    fn read(cursor: &mut Cursor<'a>, side: Side) -> Option<Self> {
        let mut found = Self::default();
        if cursor.is_empty() {
            return Some(found);
        }
        let list = cursor.vector_u16()?;
        cursor.end(())?;
        let mut cursor = Cursor::new(list);
        let mut seen: Vec<u16> = Vec::new();
        while !cursor.is_empty() {
            let (kind, contents) = (cursor.u16()?, cursor.vector_u16()?);
            // More than any client sends, and it bounds the search for doubles.
            if seen.contains(&kind) || seen.len() == MAX_EXTENSIONS {
                return None;
            }
            seen.push(kind);
            match (kind, side) {
                (SERVER_NAME, Side::Client) => {
                    found.server_name = Some(read_server_name(contents)?);
                }
                (SERVER_NAME, Side::Server) => {
                    found.server_name = contents.is_empty().then_some("").map(Some)?;
                }
                (ALPN, _) => found.alpn = Some(read_protocols(contents)?),
                (RENEGOTIATION_INFO, _) => {
                    let mut cursor = Cursor::new(contents);
                    let info = cursor.vector_u8()?;
                    found.renegotiation = Some(cursor.end(info)?);
                }
                _ => found.unknown = true,
            }
        }
        Some(found)
    }
}

/// The list is given back whole; each of its parts is known to be whole and not empty.
fn read_protocols(contents: &[u8]) -> Option<&[u8]> {
    let mut outer = Cursor::new(contents);
    let list = outer.vector_u16()?;
    outer.end(())?;
    let mut inner = Cursor::new(list);
    while !inner.is_empty() {
        if inner.vector_u8()?.is_empty() {
            return None;
        }
    }
    (!list.is_empty()).then_some(list)
}

/// The one host name (RFC 6066, 3). It must look like one: it comes into logs and is compared.
fn read_server_name(contents: &[u8]) -> Option<&str> {
    let mut outer = Cursor::new(contents);
    let mut inner = Cursor::new(outer.vector_u16()?);
    outer.end(())?;
    let kind = inner.u8()?;
    let name = inner.vector_u16()?;
    inner.end(())?;
    let text = std::str::from_utf8(name).ok()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    (kind == 0 && plain && !text.is_empty() && text.len() <= 255).then_some(text)
}

fn write_extension(out: &mut Vec<u8>, kind: u16, body: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&kind.to_be_bytes());
    prefixed_u16(out, body);
}

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const RENEGOTIATION_INFO: u16 = 0xff01;
const MAX_EXTENSIONS: usize = 64;
