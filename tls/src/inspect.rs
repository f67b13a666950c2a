//! Finds out what the first bytes of a connection are: a ClientHello, and for whom.
//!
//! [`client_hello`] looks at all bytes that came so far, and is asked again when more came. It reads the hello
//! over record boundaries, so that a client that cuts it into pieces is seen like any other (a proxy that
//! looks at the first record only can be made to overlook the server name). It holds nothing and allocates
//! only for the result and for hellos in several records. It checks nothing else: the handshake does.

use std::borrow::Cow;

/// What the bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sniffed {
    /// A complete ClientHello.
    Hello(Hello),
    /// It could become one: wait for more bytes.
    Incomplete,
    /// Not TLS, or nothing that any server would answer.
    NotTls,
    /// It is one, above [`MAX_HELLO`].
    TooLarge,
}

/// What a ClientHello asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hello {
    /// The server name in lower case, without a final dot. `None` as well for what is no host name.
    pub server_name: Option<Box<str>>,
    /// The ALPN protocols in the client's order.
    pub alpn: Vec<Box<[u8]>>,
    /// It is one of TLCP (GB/T 38636), which is built as those of TLS are.
    pub tlcp: bool,
}

/// The most bytes a hello may take with its record headers. Envoy's `max_client_hello_size`.
pub const MAX_HELLO: usize = 16 * 1024;

/// Reads the first bytes of a connection.
pub fn client_hello(bytes: &[u8]) -> Sniffed {
    match read(bytes) {
        Ok(hello) => Sniffed::Hello(hello),
        Err(Stop::NotTls) => Sniffed::NotTls,
        Err(Stop::TooLarge) => Sniffed::TooLarge,
        Err(Stop::Incomplete) if bytes.len() >= MAX_HELLO => Sniffed::TooLarge,
        Err(Stop::Incomplete) => Sniffed::Incomplete,
    }
}

/// What a handshake has to know of a ClientHello beyond what rustls tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outline {
    /// `legacy_version`: below 0x0303 the client knows neither TLS 1.2 nor 1.3.
    pub(crate) version: u16,
    /// The client asks for an OCSP response (RFC 6066 §8).
    pub(crate) asks_for_status: bool,
}

/// Reads an outline; `None`: more bytes are needed. What is no ClientHello has an outline that says nothing.
pub(crate) fn outline(bytes: &[u8]) -> Option<Outline> {
    const NOTHING: Outline = Outline { version: 0x0303, asks_for_status: false };
    match handshake_message(bytes) {
        Ok(message) => Some(outline_of(&message).unwrap_or(NOTHING)),
        Err(Stop::Incomplete) if bytes.len() < MAX_HELLO => None,
        Err(_) => Some(NOTHING),
    }
}

fn outline_of(message: &[u8]) -> Option<Outline> {
    let mut reader = Reader(message);
    let version = reader.u16()?;
    let mut outline = Outline { version, asks_for_status: false };
    reader.take(32)?;
    reader.vector8()?;
    reader.vector16()?;
    reader.vector8()?;
    if reader.0.is_empty() {
        return Some(outline);
    }
    let mut extensions = Reader(reader.vector16()?);
    while !extensions.0.is_empty() {
        outline.asks_for_status |= extensions.u16()? == STATUS_REQUEST;
        extensions.vector16()?;
    }
    Some(outline)
}

enum Stop {
    Incomplete,
    NotTls,
    TooLarge,
}

fn read(bytes: &[u8]) -> Result<Hello, Stop> {
    let message = handshake_message(bytes)?;
    let hello = body(&message).ok_or(Stop::NotTls)?;
    Ok(Hello { tlcp: palanquin_tlcp::is_tlcp(bytes) == Some(true), ..hello })
}

/// The body of the first handshake message, put together from its records (RFC 8446 §5.1).
fn handshake_message(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Stop> {
    let mut rest = bytes;
    let mut whole: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    loop {
        let length = record_length(rest)?;
        let fragment = rest.get(RECORD_HEADER..).unwrap_or_default();
        let (fragment, after) = fragment.split_at(length.min(fragment.len()));
        if whole.is_empty() {
            whole = Cow::Borrowed(fragment);
        } else {
            whole.to_mut().extend_from_slice(fragment);
        }
        if let Some(end) = message_end(&whole)? {
            return Ok(match whole {
                Cow::Borrowed(all) => {
                    Cow::Borrowed(all.get(MESSAGE_HEADER..end).unwrap_or_default())
                }
                Cow::Owned(mut all) => {
                    all.truncate(end);
                    Cow::Owned(all.split_off(MESSAGE_HEADER.min(end)))
                }
            });
        }
        if fragment.len() < length {
            return Err(Stop::Incomplete);
        }
        rest = after;
    }
}

/// The length of a handshake record's contents. As much of the header as is there is checked, so that
/// plaintext is recognised by its first byte.
fn record_length(record: &[u8]) -> Result<usize, Stop> {
    let byte = |at: usize| record.get(at).copied().ok_or(Stop::Incomplete);
    if byte(0)? != HANDSHAKE {
        return Err(Stop::NotTls);
    }
    // Any minor version of TLS: RFC 8446 §5.1 says it must be ignored. TLCP has one version only.
    match (byte(1)?, byte(2)) {
        (3, minor) => drop(minor?),
        (1, minor) if minor.as_ref().is_ok_and(|minor| *minor == 1) => {}
        (1, Err(stop)) => return Err(stop),
        _ => return Err(Stop::NotTls),
    }
    let length = usize::from(u16::from_be_bytes([byte(3)?, byte(4)?]));
    match length {
        0 => Err(Stop::NotTls),
        1..=MAX_RECORD => Ok(length),
        _ => Err(Stop::NotTls),
    }
}

/// Where the first message ends, once all of it is there.
fn message_end(message: &[u8]) -> Result<Option<usize>, Stop> {
    if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Err(Stop::NotTls);
    }
    let Some([_, high, middle, low]) = message.first_chunk() else { return Ok(None) };
    let end = MESSAGE_HEADER + u32::from_be_bytes([0, *high, *middle, *low]) as usize;
    if end > MAX_HELLO {
        return Err(Stop::TooLarge);
    }
    Ok((message.len() >= end).then_some(end))
}

/// RFC 8446 §4.1.2; `None` when it is malformed.
fn body(message: &[u8]) -> Option<Hello> {
    let mut reader = Reader(message);
    reader.take(2 + 32)?; // version, random
    reader.vector8()?; // session id
    let suites = reader.vector16()?;
    let compressions = reader.vector8()?;
    if suites.is_empty() || suites.len() % 2 != 0 || compressions.is_empty() {
        return None;
    }
    let mut hello = Hello::default();
    if reader.0.is_empty() {
        return Some(hello); // extensions are optional in TLS 1.2
    }
    let mut extensions = Reader(reader.vector16()?);
    if !reader.0.is_empty() {
        return None;
    }
    let (mut seen_name, mut seen_alpn) = (false, false);
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let mut value = Reader(extensions.vector16()?);
        match kind {
            // No extension may come twice (§4.2): which one counts must not be open to doubt.
            SERVER_NAME if std::mem::replace(&mut seen_name, true) => return None,
            APPLICATION_PROTOCOLS if std::mem::replace(&mut seen_alpn, true) => return None,
            SERVER_NAME => hello.server_name = host_name(server_name(&mut value)?),
            APPLICATION_PROTOCOLS => hello.alpn = protocols(&mut value)?,
            _ => {}
        }
    }
    Some(hello)
}

/// RFC 6066 §3. `None`: malformed.
fn server_name<'a>(value: &mut Reader<'a>) -> Option<&'a [u8]> {
    let mut names = Reader(value.vector16()?);
    let kind = names.u8()?;
    let name = names.vector16()?;
    // BoringSSL too takes exactly one name, and only of the type host_name.
    let well_formed = kind == 0 && names.0.is_empty() && value.0.is_empty() && !name.is_empty();
    well_formed.then_some(name)
}

fn host_name(name: &[u8]) -> Option<Box<str>> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let is_host = name.len() <= 255 && name.iter().all(u8::is_ascii_graphic) && !name.is_empty();
    let text = std::str::from_utf8(name).ok().filter(|_| is_host)?;
    Some(text.to_ascii_lowercase().into())
}

/// RFC 7301 §3.1. `None`: malformed.
fn protocols(value: &mut Reader<'_>) -> Option<Vec<Box<[u8]>>> {
    let mut list = Reader(value.vector16()?);
    let mut protocols = Vec::new();
    while !list.0.is_empty() {
        let protocol = list.vector8()?;
        if protocol.is_empty() {
            return None;
        }
        protocols.push(protocol.into());
    }
    (value.0.is_empty() && !protocols.is_empty()).then_some(protocols)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
/// RFC 8446 §5.1.
const MAX_RECORD: usize = 1 << 14;
const SERVER_NAME: u16 = 0;
const STATUS_REQUEST: u16 = 5;
const APPLICATION_PROTOCOLS: u16 = 16;
