//! The header section of either kind of message: from httparse's slices to a `HeaderMap` and the few
//! facts that decide framing and the fate of the connection.
//!
//! Values are slices of one copy of the head, so a field costs no allocation of its own (a name that
//! is not registered costs one). Connection fields never enter the map.

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::codec::Violation;
use crate::codec::expect;
use crate::codec::hop;
use crate::codec::hop::ConnectionOptions;

use super::chunked::Malformed;
use super::settings::HeadLimits;
use super::settings::Underscores;

/// Fields that a proxy adds to a message: a map that has to grow for them is built twice.
const ADDED_FIELDS: usize = 6;

/// What the fields of a message say.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) headers: HeaderMap,
    pub(super) connection: ConnectionOptions,
    pub(super) content_length: Option<u64>,
    pub(super) transfer_encoding: Option<TransferEncoding>,
    /// The `upgrade` field without `h2c`, which no proxy can pass on.
    pub(super) upgrade: Option<HeaderValue>,
    pub(super) hosts: usize,
    pub(super) expects_continue: bool,
    /// Size as Envoy counts it: name, value and 3 for each field.
    pub(super) bytes: usize,
}

/// The transfer codings of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransferEncoding {
    /// Exactly one `chunked`.
    Chunked,
    /// Anything else.
    Unsupported,
}

impl Fields {
    /// Collects the fields of a head. `head` is a copy of the bytes that `raw` was parsed from, and
    /// `base` the address of those.
    pub(super) fn collect(
        raw: &[httparse::Header<'_>],
        head: &Bytes,
        base: usize,
        underscores: Underscores,
    ) -> Result<Self, Violation> {
        let headers = HeaderMap::with_capacity(raw.len() + ADDED_FIELDS);
        let mut fields = Self { headers, ..Self::default() };
        for field in raw {
            let value = field.value.trim_ascii_end();
            fields.bytes += field.name.len() + value.len() + 3;
            fields.add(field.name, value, head, base, underscores)?;
        }
        fields.connection.remove_nominated(&mut fields.headers);
        Ok(fields)
    }

    fn add(
        &mut self,
        name: &str,
        value: &[u8],
        head: &Bytes,
        base: usize,
        underscores: Underscores,
    ) -> Result<(), Violation> {
        if underscores != Underscores::Allow && name.contains('_') {
            return match underscores {
                Underscores::Reject => Err(Violation::Underscore),
                _ => Ok(()),
            };
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let shared = || {
            let from = value.as_ptr() as usize - base;
            HeaderValue::from_maybe_shared(head.slice(from..from + value.len()))
                .map_err(|_| Violation::Codec("header value"))
        };
        match name.len() {
            2 if is("te") => {
                if let Some(value) = hop::forwarded_te(value) {
                    self.headers.insert(header::TE, value);
                }
                return Ok(());
            }
            4 if is("host") => self.hosts += 1,
            6 if is("expect") && expect::is_continue(value) => {
                self.expects_continue = true;
                return Ok(());
            }
            7 if is("upgrade") => {
                self.upgrade = without_h2c(value)
                    .map_or_else(shared, |value| {
                        HeaderValue::from_bytes(&value)
                            .map_err(|_| Violation::Codec("header value"))
                    })
                    .map(Some)?;
                return Ok(());
            }
            10 if is("connection") => {
                return self.connection.add(value).map_err(|_| Violation::ConnectionHeader);
            }
            10 if is("keep-alive") => return Ok(()),
            14 if is("content-length") => {
                if self.content_length.is_some() {
                    return Err(Violation::Codec("more than one content-length"));
                }
                let length = parse_length(value).ok_or(Violation::Codec("content-length"))?;
                self.content_length = Some(length);
                if value.len() > 1 && value[0] == b'0' {
                    self.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
                    return Ok(());
                }
            }
            // belongs to the h2c upgrade, which is not passed on
            14 if is("http2-settings") => return Ok(()),
            16 if is("proxy-connection") => {
                self.connection.close |= value.eq_ignore_ascii_case(b"close");
                return Ok(());
            }
            17 if is("transfer-encoding") => {
                let chunked = value.eq_ignore_ascii_case(b"chunked");
                self.transfer_encoding = Some(match self.transfer_encoding {
                    None if chunked => TransferEncoding::Chunked,
                    _ => TransferEncoding::Unsupported,
                });
                return Ok(());
            }
            _ => {}
        }
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| Violation::Codec("header name"))?;
        self.headers.append(name, shared()?);
        Ok(())
    }
}

/// RFC 9110 §8.6: digits only. No sign, no list, no space; leading zeros are harmless and dropped.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    value.iter().try_fold(0u64, |length, digit| {
        length.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// The protocols of an `upgrade` field besides `h2c`; `None` when there is nothing to leave out.
fn without_h2c(value: &[u8]) -> Option<Vec<u8>> {
    let is_h2c = |item: &&[u8]| item.trim_ascii().eq_ignore_ascii_case(b"h2c");
    value.split(|b| *b == b',').find(is_h2c)?;
    let rest: Vec<_> =
        value.split(|b| *b == b',').filter(|item| !is_h2c(item)).map(<[u8]>::trim_ascii).collect();
    Some(rest.join(&b", "[..]))
}

/// True when some line does not end in CRLF. httparse, like RFC 9112 §2.2 allows, takes a bare LF;
/// that is how one request becomes two for the next parser.
#[expect(clippy::needless_bitwise_bool, reason = "without branches it is vectorised")]
pub(super) fn has_bare_lf(head: &[u8]) -> bool {
    let first = head.first() == Some(&b'\n');
    let after = head.get(1..).unwrap_or_default();
    head.iter()
        .zip(after)
        .fold(first, |bare, (before, byte)| bare | ((*byte == b'\n') & (*before != b'\r')))
}

/// Parses a trailer section up to its empty line; `None` when it is not complete. Returns the fields
/// that may be passed on and the length of the section.
pub(super) fn parse_trailers(
    data: &[u8],
    limits: HeadLimits,
) -> Result<Option<(HeaderMap, usize)>, Malformed> {
    let window = &data[..data.len().min(limits.max_bytes)];
    let mut raw = vec![httparse::EMPTY_HEADER; limits.max_fields];
    let (count, raw) = match httparse::parse_headers(window, &mut raw) {
        Ok(httparse::Status::Complete(done)) => done,
        Ok(httparse::Status::Partial) if data.len() >= limits.max_bytes => {
            return Err("trailers too large");
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err("too many trailers"),
        Err(_) => return Err("malformed trailer"),
    };
    if has_bare_lf(&window[..count]) {
        return Err("trailer line does not end in CRLF");
    }
    let mut trailers = HeaderMap::new();
    for field in raw {
        let name =
            HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| "malformed trailer")?;
        let value = HeaderValue::from_bytes(field.value.trim_ascii_end())
            .map_err(|_| "malformed trailer")?;
        if !is_forbidden_trailer(&name) {
            trailers.append(name, value);
        }
    }
    Ok(Some((trailers, count)))
}

/// RFC 9110 §6.5.1: a trailer must not frame, route, authenticate or modify the message after the fact.
fn is_forbidden_trailer(name: &HeaderName) -> bool {
    const FORBIDDEN: [HeaderName; 12] = [
        header::AUTHORIZATION,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::COOKIE,
        header::EXPECT,
        header::HOST,
        header::SET_COOKIE,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
    ];
    hop::is_hop_by_hop(name) || FORBIDDEN.contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_only() {
        assert_eq!(parse_length(b"003"), Some(3));
        for bad in ["", "+1", "-1", "1 2", "1,1", "0x1", "18446744073709551616", "1e3"] {
            assert_eq!(parse_length(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn finds_a_bare_line_feed_anywhere() {
        assert!(!has_bare_lf(b"a\r\nb\r\n\r\n"));
        for bad in ["\na\r\n", "a\nb\r\n\r\n", "a\r\n\n", "a\r\nb\n\r\n"] {
            assert!(has_bare_lf(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn h2c_is_left_out_of_upgrade() {
        assert_eq!(without_h2c(b"websocket"), None);
        assert_eq!(without_h2c(b"H2C").unwrap(), b"");
        assert_eq!(without_h2c(b"websocket, h2c").unwrap(), b"websocket");
    }
}
