//! Request heads: from bytes to a request the proxy can trust to mean one thing only. Sans-IO.
//!
//! httparse splits the lines; what it tolerates and the next parser may read differently is refused
//! here: bare LF, a second Host, `content-length` beside `transfer-encoding`, odd methods, targets and
//! authorities. Which fault is answered how was measured on Envoy 1.40; where Envoy lets something
//! pass that smuggles (two Hosts, bare LF, line folding, user information) this parser is stricter.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Version;
use http::header;
use http::request::Parts;

use crate::codec::ContinueSignal;
use crate::codec::TargetScheme;
use crate::codec::Upgrade;
use crate::codec::Violation;

use super::fields::Fields;
use super::fields::TransferEncoding;
use super::fields::has_bare_lf;
use super::settings::Settings;
use super::target::Target;
use super::target::is_authority;

/// Field slots kept on the stack; a larger configured limit pays an allocation per head.
const STACK_FIELDS: usize = 128;

/// A request head with what the connection must know of it.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) parts: Parts,
    pub(super) framing: RequestFraming,
    /// The client lets the connection live after the response.
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    /// Length of the head on the wire.
    pub(super) bytes: usize,
    /// Size of the fields as Envoy counts them.
    pub(super) field_bytes: usize,
}

/// How the bytes after a request head are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestFraming {
    Chunked,
    Empty,
    Length(u64),
    /// Raw bytes, held back until the service accepts the upgrade.
    Upgrade,
}

/// A refused request, with its head where that was understood.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) violation: Violation,
    pub(super) parts: Option<Box<Parts>>,
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self { violation, parts: None }
    }
}

/// Parses one request head at the start of `data`; `None` when it is not complete.
pub(super) fn parse_request(
    data: &[u8],
    settings: &Settings,
) -> Result<Option<RequestHead>, Refusal> {
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
    let mut raw = httparse::Request::new(&mut []);
    let bytes = match raw.parse_with_uninit_headers(window, slots) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) if data.len() >= limits.max_bytes => {
            return Err(Violation::HeadTooLarge.into());
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(violation_of(error, window, settings).into()),
    };
    let head = &window[..bytes];
    if has_bare_lf(head) {
        return Err(Violation::Codec("line does not end in CRLF").into());
    }
    let version = match raw.version {
        Some(1) => Version::HTTP_11,
        _ if settings.accept_http_10 => Version::HTTP_10,
        _ => return Err(Violation::LowVersion.into()),
    };
    let method = method(raw.method.unwrap_or_default(), settings)?;
    let base = head.as_ptr() as usize;
    let shared = Bytes::copy_from_slice(head);
    let fields = Fields::collect(raw.headers, &shared, base, settings.underscores)?;

    let target = raw.path.unwrap_or_default();
    let from = target.as_ptr() as usize - base;
    let target = Target::parse(&method, shared.slice(from..from + target.len()))?;
    assemble(method, version, target, fields, bytes, settings)
}

fn assemble(
    method: Method,
    version: Version,
    target: Target,
    mut fields: Fields,
    bytes: usize,
    settings: &Settings,
) -> Result<Option<RequestHead>, Refusal> {
    if fields.hosts > 1 {
        return Err(Violation::Codec("more than one host").into());
    }
    let is_connect = method == Method::CONNECT;
    let mut framing = framing(&fields, version, is_connect)?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = method;
    parts.uri = target.uri;
    parts.version = version;
    if let Some(scheme) = target.scheme {
        parts.extensions.insert(TargetScheme(scheme));
    }
    if let Some(authority) = target.authority {
        fields.headers.insert(header::HOST, authority);
    }
    let upgrade = fields.upgrade.take().filter(|protocols| !protocols.is_empty());
    if is_connect {
        parts.extensions.insert(Upgrade { protocol: HeaderValue::from_static("CONNECT") });
    } else if let Some(protocol) =
        upgrade.filter(|_| fields.connection.upgrade && version == Version::HTTP_11)
    {
        if framing == RequestFraming::Chunked {
            // two framings for the same bytes: chunks, and the raw protocol after them
            return Err(Violation::Codec("transfer-encoding in an upgrade request").into());
        }
        fields.headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        fields.headers.insert(header::UPGRADE, protocol.clone());
        parts.extensions.insert(Upgrade { protocol });
        framing = RequestFraming::Upgrade;
    }
    let expects_continue = fields.expects_continue && version == Version::HTTP_11;
    if expects_continue && settings.proxy_100_continue {
        fields.headers.insert(header::EXPECT, HeaderValue::from_static("100-continue"));
        parts.extensions.insert(ContinueSignal::default());
    }
    parts.headers = fields.headers;
    if version == Version::HTTP_10
        && let Some(host) = &settings.default_host
        && !parts.headers.contains_key(header::HOST)
    {
        parts.headers.insert(header::HOST, host.clone());
    }
    match parts.headers.get(header::HOST) {
        None => return Err(refuse(Violation::MissingHost, parts)),
        Some(host) if !is_authority(host.as_bytes()) => {
            return Err(Violation::InvalidAuthority.into());
        }
        Some(_) => {}
    }
    if target.has_fragment {
        return Err(refuse(Violation::Fragment, parts));
    }
    let keep_alive =
        !fields.connection.close && (version == Version::HTTP_11 || fields.connection.keep_alive);
    Ok(Some(RequestHead {
        parts,
        framing,
        keep_alive,
        expects_continue,
        bytes,
        field_bytes: fields.bytes,
    }))
}

fn refuse(violation: Violation, parts: Parts) -> Refusal {
    Refusal { violation, parts: Some(Box::new(parts)) }
}

fn framing(
    fields: &Fields,
    version: Version,
    is_connect: bool,
) -> Result<RequestFraming, Violation> {
    match (fields.transfer_encoding, fields.content_length) {
        (Some(_), Some(_)) => Err(Violation::ContentLengthAndChunked),
        (Some(TransferEncoding::Unsupported), None) => Err(Violation::TransferEncoding),
        (Some(TransferEncoding::Chunked), None) if is_connect => Err(Violation::TransferEncoding),
        // RFC 9112 §6.1: a 1.0 message with a transfer coding has faulty framing
        (Some(TransferEncoding::Chunked), None) if version == Version::HTTP_10 => {
            Err(Violation::Codec("transfer-encoding in HTTP/1.0"))
        }
        (Some(TransferEncoding::Chunked), None) => Ok(RequestFraming::Chunked),
        (None, Some(_)) if is_connect => Err(Violation::BodyDisallowed),
        (None, Some(0) | None) if !is_connect => Ok(RequestFraming::Empty),
        (None, Some(length)) => Ok(RequestFraming::Length(length)),
        (None, None) => Ok(RequestFraming::Upgrade),
    }
}

/// The methods Envoy's parser knows, which are those of the IANA registry with a few ancient ones.
fn method(name: &str, settings: &Settings) -> Result<Method, Violation> {
    const OTHERS: [&str; 25] = [
        "ACL",
        "BIND",
        "CHECKOUT",
        "COPY",
        "LINK",
        "LOCK",
        "MERGE",
        "MKACTIVITY",
        "MKCALENDAR",
        "MKCOL",
        "MOVE",
        "MSEARCH",
        "NOTIFY",
        "PROPFIND",
        "PROPPATCH",
        "PURGE",
        "REBIND",
        "REPORT",
        "SEARCH",
        "SOURCE",
        "SUBSCRIBE",
        "UNBIND",
        "UNLINK",
        "UNLOCK",
        "UNSUBSCRIBE",
    ];
    let method = Method::from_bytes(name.as_bytes()).map_err(|_| Violation::Codec("method"))?;
    let is_standard = matches!(
        method,
        Method::GET
            | Method::POST
            | Method::PUT
            | Method::HEAD
            | Method::DELETE
            | Method::OPTIONS
            | Method::PATCH
            | Method::CONNECT
            | Method::TRACE
    );
    if is_standard || settings.allow_custom_methods || OTHERS.contains(&name) {
        Ok(method)
    } else {
        Err(Violation::Codec("unknown method"))
    }
}

/// What Envoy answers for bytes that are not a request head.
fn violation_of(error: httparse::Error, data: &[u8], settings: &Settings) -> Violation {
    match error {
        httparse::Error::TooManyHeaders => Violation::TooManyHeaders,
        httparse::Error::HeaderValue if data.contains(&0) => Violation::InvalidCharacters,
        httparse::Error::Version if !settings.accept_http_10 && is_other_version(data) => {
            Violation::LowVersion
        }
        httparse::Error::Version | httparse::Error::Token
            if !settings.accept_http_10 && is_http_09(data) =>
        {
            Violation::LowVersion
        }
        httparse::Error::HeaderName => Violation::Codec("header name"),
        httparse::Error::HeaderValue => Violation::Codec("header value"),
        httparse::Error::Version => Violation::Codec("version"),
        _ => Violation::Codec("request line"),
    }
}

/// True when the request line is `GET` and a path without a version.
fn is_http_09(data: &[u8]) -> bool {
    let line = data.split(|b| *b == b'\n').next().unwrap_or_default().trim_ascii_end();
    line.strip_prefix(b"GET /").is_some_and(|path| !path.contains(&b' '))
}

/// True when the request line has three words, of which the last is `HTTP/` digit `.` digit.
fn is_other_version(data: &[u8]) -> bool {
    let line = data.trim_ascii_start().split(|b| *b == b'\n').next().unwrap_or_default();
    let mut words = line.trim_ascii_end().split(|b| *b == b' ');
    let (Some(_), Some(_), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    matches!(
        version.strip_prefix(b"HTTP/"),
        Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit()
    )
}
