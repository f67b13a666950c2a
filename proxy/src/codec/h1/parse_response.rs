//! Response heads from an upstream, which is trusted no more than a client. Sans-IO.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Response;
use http::StatusCode;
use http::Version;
use http::header;
use http::response::Parts;

use super::chunked::ChunkDecoder;
use super::decode::BodyDecoder;
use super::fields::Fields;
use super::fields::TransferEncoding;
use super::fields::has_bare_lf;
use super::settings::ClientSettings;
use super::settings::Underscores;

const STACK_FIELDS: usize = 128;

/// A response head with what the connection must know of it.
#[derive(Debug)]
pub(super) struct ResponseHead {
    pub(super) parts: Parts,
    pub(super) decoder: BodyDecoder,
    /// The upstream lets the connection live after the response.
    pub(super) keep_alive: bool,
    pub(super) bytes: usize,
    pub(super) field_bytes: usize,
}

/// What the request asked for, as far as it changes the meaning of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// CONNECT: a 2xx is followed by raw bytes.
    Connect,
    /// HEAD: no body whatever the fields say.
    Head,
    /// Anything else.
    Plain,
    /// An upgrade: 101 is followed by raw bytes.
    Upgrade,
}

impl Asked {
    pub(super) fn of(method: &Method, is_upgrade: bool) -> Self {
        match *method {
            Method::CONNECT => Self::Connect,
            Method::HEAD => Self::Head,
            _ if is_upgrade => Self::Upgrade,
            _ => Self::Plain,
        }
    }
}

/// Parses one response head, interim ones included; `None` when it is not complete.
pub(super) fn parse_response(
    data: &[u8],
    asked: Asked,
    settings: &ClientSettings,
) -> Result<Option<ResponseHead>, &'static str> {
    let limits = settings.limits;
    let window = &data[..data.len().min(limits.max_bytes)];
    let mut stack = [const { MaybeUninit::uninit() }; STACK_FIELDS];
    let mut heap;
    let slots = if limits.max_fields <= STACK_FIELDS {
        &mut stack[..limits.max_fields]
    } else {
        heap = vec![MaybeUninit::uninit(); limits.max_fields];
        &mut heap[..]
    };
    let mut raw = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut raw, window, slots);
    let bytes = match parsed {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) if data.len() >= limits.max_bytes => {
            return Err("response head too large");
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err("too many response headers"),
        Err(_) => return Err("malformed response head"),
    };
    let head = &window[..bytes];
    // httparse skips empty lines before a status line; whose answer follows them is not certain
    if has_bare_lf(head) || !head.starts_with(b"HTTP/") {
        return Err("malformed response head");
    }
    let status = raw
        .code
        .filter(|code| (100..600).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or("status out of range")?;
    let version = if raw.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let shared = Bytes::copy_from_slice(head);
    let fields = Fields::collect(raw.headers, &shared, head.as_ptr() as usize, Underscores::Allow)
        .map_err(|_| "malformed response field")?;
    assemble(status, version, fields, bytes, asked, settings).map(Some)
}

fn assemble(
    status: StatusCode,
    version: Version,
    mut fields: Fields,
    bytes: usize,
    asked: Asked,
    settings: &ClientSettings,
) -> Result<ResponseHead, &'static str> {
    let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
    if is_switch && asked != Asked::Upgrade {
        return Err("101 was not asked for");
    }
    let decoder = decoder(status, version, &mut fields, asked, settings)?;
    if is_switch {
        fields.headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Some(protocol) = fields.upgrade.take() {
            fields.headers.insert(header::UPGRADE, protocol);
        }
    }
    let keep_alive = !matches!(decoder, BodyDecoder::UntilClose)
        && !fields.connection.close
        && (version == Version::HTTP_11 || fields.connection.keep_alive);
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = status;
    parts.version = version;
    parts.headers = fields.headers;
    Ok(ResponseHead { parts, decoder, keep_alive, bytes, field_bytes: fields.bytes })
}

/// RFC 9112 §6.3, in its order.
fn decoder(
    status: StatusCode,
    version: Version,
    fields: &mut Fields,
    asked: Asked,
    settings: &ClientSettings,
) -> Result<BodyDecoder, &'static str> {
    let coding = fields.transfer_encoding;
    if coding.is_some() && fields.content_length.is_some() {
        return Err("content-length beside transfer-encoding");
    }
    if coding == Some(TransferEncoding::Unsupported) {
        return Err("unsupported transfer-encoding");
    }
    if coding.is_some() && version == Version::HTTP_10 {
        return Err("transfer-encoding in HTTP/1.0");
    }
    if status == StatusCode::SWITCHING_PROTOCOLS || (asked == Asked::Connect && status.is_success())
    {
        fields.headers.remove(header::CONTENT_LENGTH);
        return Ok(BodyDecoder::UntilClose);
    }
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        if coding.is_some() || fields.content_length.is_some_and(|length| length > 0) {
            return Err("a body where none may be");
        }
        fields.headers.remove(header::CONTENT_LENGTH);
        return Ok(BodyDecoder::Done);
    }
    if asked == Asked::Head || status == StatusCode::NOT_MODIFIED {
        return Ok(BodyDecoder::Done);
    }
    Ok(match (coding, fields.content_length) {
        (Some(_), _) => BodyDecoder::Chunked(ChunkDecoder::new(settings.limits)),
        (None, Some(length)) => BodyDecoder::Length(length),
        (None, None) => BodyDecoder::UntilClose,
    })
}
