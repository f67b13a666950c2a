//! Message heads and body framing, encoding side.
//!
//! Framing is decided here from the body itself, never from what a filter left in the headers: a
//! `content-length` that contradicts the body is replaced or the message aborted, and connection
//! fields are the codec's alone.

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Version;
use http::header;
use http::request;
use http::response;

use palanquin_filter_api::Body;

use crate::codec::hop;

use super::out::Output;
use super::settings::Trailers;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyEncoder {
    /// In chunks; trailers as configured.
    Chunked(Trailers),
    /// So many bytes are still to come.
    Length(u64),
    /// No body: whatever there is, is dropped.
    None,
    /// As it is, until the connection ends.
    Raw,
}

/// A body does not keep what its head promised. The text is for logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken(pub(super) &'static str);

impl BodyEncoder {
    pub(super) fn data(&mut self, data: Bytes, out: &mut Output) -> Result<(), Broken> {
        if data.is_empty() {
            return Ok(());
        }
        match self {
            Self::None => {}
            Self::Raw => out.push(data),
            Self::Length(left) => {
                *left = left
                    .checked_sub(data.len() as u64)
                    .ok_or(Broken("the body is longer than its content-length"))?;
                out.push(data);
            }
            Self::Chunked(_) => {
                let front = out.front();
                push_hex(front, data.len());
                front.extend_from_slice(b"\r\n");
                out.push(data);
                out.push_back(b"\r\n");
            }
        }
        Ok(())
    }

    pub(super) fn end(self, out: &mut Output) -> Result<(), Broken> {
        match self {
            Self::Chunked(_) => out.push_back(b"0\r\n\r\n"),
            Self::Length(left) if left > 0 => {
                return Err(Broken("the body is shorter than its content-length"));
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn trailers(self, trailers: &HeaderMap, out: &mut Output) -> Result<(), Broken> {
        let Self::Chunked(Trailers::Forward) = self else { return self.end(out) };
        let front = out.front();
        front.extend_from_slice(b"0\r\n");
        for (name, value) in trailers {
            if !hop::is_hop_by_hop(name) {
                push_field(front, name, value.as_bytes());
            }
        }
        front.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// What a response head depends on besides the response.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResponseContext {
    /// Of the request.
    pub(super) version: Version,
    pub(super) is_head: bool,
    /// The response accepts the upgrade that the request asked for.
    pub(super) is_tunnel: bool,
    /// The connection ends after the response.
    pub(super) close: bool,
    pub(super) trailers: Trailers,
}

/// What was decided while a head was written.
#[derive(Debug)]
pub(super) struct EncodedHead {
    pub(super) encoder: BodyEncoder,
    /// The connection must end after the message.
    pub(super) close: bool,
    /// Length of the field lines.
    pub(super) field_bytes: usize,
}

/// Writes a response head.
pub(super) fn response_head(
    out: &mut Vec<u8>,
    parts: &response::Parts,
    body: &Body,
    cx: ResponseContext,
) -> EncodedHead {
    let is_http_11 = cx.version == Version::HTTP_11;
    out.extend_from_slice(if is_http_11 { b"HTTP/1.1 " } else { b"HTTP/1.0 " });
    out.extend_from_slice(parts.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason(parts.status).as_bytes());
    out.extend_from_slice(b"\r\n");
    let start = out.len();

    let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(length_of);
    let status = parts.status;
    let bodiless = status.is_informational() || status == StatusCode::NO_CONTENT;
    let mut close = cx.close;
    let (encoder, length) = if cx.is_tunnel {
        (BodyEncoder::Raw, None)
    } else if bodiless {
        (BodyEncoder::None, None)
    } else if cx.is_head || status == StatusCode::NOT_MODIFIED {
        let length = match body {
            Body::Full(bytes) if cx.is_head => Some(bytes.len() as u64),
            _ => None,
        };
        (BodyEncoder::None, declared.or(length))
    } else {
        match (body, declared) {
            (Body::Full(bytes), _) => {
                let length = bytes.len() as u64;
                (BodyEncoder::Length(length), Some(length))
            }
            (body, _) if body.is_empty() => (BodyEncoder::None, Some(0)),
            (_, Some(length)) => (BodyEncoder::Length(length), Some(length)),
            (_, None) if is_http_11 => (BodyEncoder::Chunked(cx.trailers), None),
            (_, None) => {
                close = true;
                (BodyEncoder::Raw, None)
            }
        }
    };
    push_fields(out, &parts.headers, length);
    if cx.is_tunnel {
        if status == StatusCode::SWITCHING_PROTOCOLS {
            for value in parts.headers.get_all(header::UPGRADE) {
                push_field(out, &header::UPGRADE, value.as_bytes());
            }
            out.extend_from_slice(b"connection: Upgrade\r\n");
        }
    } else {
        // to HEAD the framing that GET would have: a length nobody knows is chunked
        let would_be_chunked = cx.is_head
            && is_http_11
            && length.is_none()
            && !bodiless
            && status != StatusCode::NOT_MODIFIED;
        if would_be_chunked || matches!(encoder, BodyEncoder::Chunked(_)) {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        if close {
            out.extend_from_slice(b"connection: close\r\n");
        } else if !is_http_11 {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
    }
    let field_bytes = out.len() - start;
    out.extend_from_slice(b"\r\n");
    EncodedHead { encoder, close, field_bytes }
}

/// Writes a request head. `upgrade` is the protocol to ask for, if any.
pub(super) fn request_head(
    out: &mut Vec<u8>,
    parts: &request::Parts,
    body: &Body,
    upgrade: Option<&HeaderValue>,
    trailers: Trailers,
) -> EncodedHead {
    let is_connect = parts.method == Method::CONNECT;
    out.extend_from_slice(parts.method.as_str().as_bytes());
    out.push(b' ');
    match (is_connect, parts.headers.get(header::HOST), parts.uri.path_and_query()) {
        (true, Some(authority), _) => out.extend_from_slice(authority.as_bytes()),
        (_, _, Some(path)) => out.extend_from_slice(path.as_str().as_bytes()),
        (_, _, None) => out.push(b'/'),
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let start = out.len();

    let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(length_of);
    // as Envoy: only where a body would be unusual, no length says that there is none
    let expects_body = declared.is_some()
        || !matches!(parts.method, Method::GET | Method::HEAD | Method::DELETE | Method::TRACE);
    let is_tunnel = is_connect || upgrade.is_some();
    let (encoder, length) = if is_tunnel {
        // Envoy passes on what an upgrade request declares; after 101 the bytes are opaque anyway
        (BodyEncoder::Raw, declared.filter(|_| !is_connect))
    } else {
        match (body, declared) {
            (Body::Full(bytes), _) => {
                let length = bytes.len() as u64;
                (BodyEncoder::Length(length), Some(length))
            }
            (body, _) if body.is_empty() => (BodyEncoder::None, expects_body.then_some(0)),
            (_, Some(length)) => (BodyEncoder::Length(length), Some(length)),
            (_, None) => (BodyEncoder::Chunked(trailers), None),
        }
    };
    push_fields(out, &parts.headers, length);
    if matches!(encoder, BodyEncoder::Chunked(_)) {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if let Some(protocol) = upgrade.filter(|_| !is_connect) {
        push_field(out, &header::UPGRADE, protocol.as_bytes());
        out.extend_from_slice(b"connection: Upgrade\r\n");
    }
    let field_bytes = out.len() - start;
    out.extend_from_slice(b"\r\n");
    EncodedHead { encoder, close: is_tunnel, field_bytes }
}

/// Writes the fields in their order, with the right `content-length` or none.
fn push_fields(out: &mut Vec<u8>, headers: &HeaderMap, length: Option<u64>) {
    let mut missing = length;
    for (name, value) in headers {
        if name == header::CONTENT_LENGTH {
            if let Some(length) = missing.take() {
                push_length(out, length);
            }
        } else if !hop::is_hop_by_hop(name) && name != header::UPGRADE {
            push_field(out, name, value.as_bytes());
        }
    }
    if let Some(length) = missing {
        push_length(out, length);
    }
}

fn push_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    push_decimal(out, length);
    out.extend_from_slice(b"\r\n");
}

fn push_field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    out.reserve(name.as_str().len() + value.len() + 4);
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The reason phrase, from Envoy's table (measured): that of the registry, but for three.
fn reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        418 | 451 => "Unknown",
        599 => "Last Unassigned Server Error Code",
        _ => status.canonical_reason().unwrap_or("Unknown"),
    }
}

fn length_of(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.parse().ok()
}

fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn push_hex(out: &mut Vec<u8>, number: usize) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(number >> (4 * digit)) & 15]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        let mut out = Vec::new();
        for number in [0, 9, 10, 123_456, usize::MAX] {
            push_decimal(&mut out, number as u64);
            out.push(b'/');
            push_hex(&mut out, number);
            out.push(b' ');
        }
        let max = usize::MAX;
        let expected = format!("0/0 9/9 10/a 123456/1e240 {max}/{max:x} ");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
