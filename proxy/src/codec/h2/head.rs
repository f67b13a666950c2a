//! Header sections: from fields to a request, a response or trailers (RFC 9113 section 8).

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::Uri;
use http::Version;
use http::header;
use http::uri::PathAndQuery;

use super::hpack::Field;
use super::hpack::FieldName;
use super::hpack::Pseudo;
use crate::codec::Upgrade;
use crate::codec::Violation;
use crate::codec::h1::is_authority;

/// What a header section may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// As HPACK counts it, in bytes.
    pub(super) bytes: usize,
    /// Regular fields.
    pub(super) fields: usize,
}

/// A header section while it is decoded.
#[derive(Debug)]
pub(super) struct Section {
    authority: Option<HeaderValue>,
    method: Option<HeaderValue>,
    path: Option<HeaderValue>,
    protocol: Option<HeaderValue>,
    scheme: Option<HeaderValue>,
    status: Option<HeaderValue>,
    /// The regular fields.
    pub(super) fields: HeaderMap,
    bytes: usize,
    limits: Limits,
    /// Too many bytes, or too many fields: what came later is not here.
    excess: Option<Violation>,
    /// Something that makes a message malformed (section 8.1.1).
    fault: Option<&'static str>,
}

/// A request whose stream has to be reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

impl Section {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            authority: None,
            method: None,
            path: None,
            protocol: None,
            scheme: None,
            status: None,
            fields: HeaderMap::with_capacity(FIELDS),
            bytes: 0,
            limits,
            excess: None,
            fault: None,
        }
    }

    /// Takes the next field; `None`: one that HTTP does not allow.
    pub(super) fn take(&mut self, field: Option<&Field>, size: usize) {
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.bytes {
            self.excess.get_or_insert(Violation::HeadTooLarge);
        }
        let Some(field) = field else { return self.is_faulty("a field that HTTP does not allow") };
        match &field.name {
            // Without them there is nothing to answer.
            FieldName::Pseudo(pseudo) => self.take_pseudo(*pseudo, &field.value),
            FieldName::Regular(_) if self.excess.is_some() => {}
            FieldName::Regular(name) => self.take_regular(name, &field.value),
        }
    }

    fn take_pseudo(&mut self, name: Pseudo, value: &HeaderValue) {
        if !self.fields.is_empty() {
            self.is_faulty("a pseudo-header field behind a regular one");
        }
        let place = match name {
            Pseudo::Authority => &mut self.authority,
            Pseudo::Method => &mut self.method,
            Pseudo::Path => &mut self.path,
            Pseudo::Protocol => &mut self.protocol,
            Pseudo::Scheme => &mut self.scheme,
            Pseudo::Status => &mut self.status,
        };
        if place.replace(value.clone()).is_some() {
            self.is_faulty("a pseudo-header field twice");
        }
    }

    fn take_regular(&mut self, name: &HeaderName, value: &HeaderValue) {
        if self.fields.len() >= self.limits.fields {
            self.excess.get_or_insert(Violation::TooManyHeaders);
            return;
        }
        let fault = match *name {
            header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE => true,
            header::TE => value.as_bytes() != b"trailers",
            _ => matches!(name.as_str(), "keep-alive" | "proxy-connection"),
        };
        if fault {
            self.is_faulty("a field of the connection");
        }
        self.fields.append(name.clone(), value.clone());
    }

    fn is_faulty(&mut self, fault: &'static str) {
        self.fault.get_or_insert(fault);
    }

    /// The length that the fields announce.
    pub(super) fn content_length(&self) -> Result<Option<u64>, Malformed> {
        let Some(value) = self.fields.get(header::CONTENT_LENGTH) else { return Ok(None) };
        let digits = value.as_bytes();
        let fault = Malformed("a content-length that is no number");
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(fault);
        }
        let text = value.to_str().map_err(|_| fault)?;
        text.parse().map(Some).map_err(|_| fault)
    }

    /// A request in the form of the seam (see [`crate::codec`]). The violation is one that gets an answer.
    ///
    /// # Errors
    /// The stream has to be reset.
    pub(super) fn into_request(self) -> Result<(Request<()>, Option<Violation>), Malformed> {
        if let Some(fault) = self.fault {
            return Err(Malformed(fault));
        }
        let mut violation = self.excess;
        let mut refuse = |fault| {
            violation.get_or_insert(fault);
        };
        let method = self.method.as_ref().ok_or(Malformed("no :method"))?;
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| Malformed("a :method that is no token"))?;
        if self.status.is_some() {
            return Err(Malformed("a :status in a request"));
        }
        let is_plain_connect = method == Method::CONNECT && self.protocol.is_none();
        if is_plain_connect {
            if self.scheme.is_some() || self.path.is_some() || self.authority.is_none() {
                return Err(Malformed("CONNECT with other fields than its authority"));
            }
        } else {
            let scheme = self.scheme.as_ref().ok_or(Malformed("no :scheme"))?;
            if !is_scheme(scheme.as_bytes()) {
                return Err(Malformed("a :scheme that is none"));
            }
        }
        let mut request = Request::new(());
        *request.version_mut() = Version::HTTP_2;
        if !is_plain_connect {
            let path = self.path.ok_or(Malformed("no :path"))?;
            match target(&method, &path)? {
                Ok(path) => *request.uri_mut() = Uri::from(path),
                Err(fault) => refuse(fault),
            }
        }
        *request.headers_mut() = self.fields;
        if let Some(authority) = self.authority {
            request.headers_mut().insert(header::HOST, authority);
        }
        match request.headers().get(header::HOST) {
            None => refuse(Violation::MissingHost),
            Some(host) if !is_authority(host.as_bytes()) => refuse(Violation::InvalidAuthority),
            Some(_) => {}
        }
        if request.headers().get_all(header::CONTENT_LENGTH).iter().nth(1).is_some() {
            refuse(Violation::Codec("more than one content-length"));
        }
        *request.method_mut() = match (method, self.protocol) {
            (Method::CONNECT, protocol) => {
                let is_extended = protocol.is_some();
                let protocol = protocol.unwrap_or(HeaderValue::from_static("CONNECT"));
                request.extensions_mut().insert(Upgrade { protocol });
                if is_extended { Method::GET } else { Method::CONNECT }
            }
            (_, Some(_)) => return Err(Malformed("a :protocol without CONNECT")),
            (method, None) => method,
        };
        join_cookies(request.headers_mut());
        Ok((request, violation))
    }

    /// A response's head.
    ///
    /// # Errors
    /// The stream has to be reset.
    pub(super) fn into_response(self) -> Result<Response<()>, Malformed> {
        if let Some(fault) = self.fault {
            return Err(Malformed(fault));
        }
        if self.excess.is_some() {
            return Err(Malformed("the head is too large"));
        }
        let strangers = [&self.authority, &self.method, &self.path, &self.protocol, &self.scheme];
        if strangers.iter().any(|field| field.is_some()) {
            return Err(Malformed("a request's field in a response"));
        }
        let status = self.status.ok_or(Malformed("no :status"))?;
        let status = StatusCode::from_bytes(status.as_bytes())
            .map_err(|_| Malformed("a :status that is none"))?;
        if status.as_u16() > 599 || status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Malformed("a :status that HTTP/2 has not"));
        }
        let mut response = Response::new(());
        *response.version_mut() = Version::HTTP_2;
        *response.status_mut() = status;
        *response.headers_mut() = self.fields;
        Ok(response)
    }

    /// Trailers.
    ///
    /// # Errors
    /// The stream has to be reset.
    pub(super) fn into_trailers(self) -> Result<HeaderMap, Malformed> {
        let pseudo =
            [self.authority, self.method, self.path, self.protocol, self.scheme, self.status];
        if let Some(fault) = self.fault {
            return Err(Malformed(fault));
        }
        if pseudo.iter().any(Option::is_some) {
            return Err(Malformed("a pseudo-header field in trailers"));
        }
        if self.excess.is_some() {
            return Err(Malformed("the trailers are too large"));
        }
        Ok(self.fields)
    }
}

/// The path of a request; the inner error is answered.
fn target(
    method: &Method,
    path: &HeaderValue,
) -> Result<Result<PathAndQuery, Violation>, Malformed> {
    let bytes = path.as_bytes();
    match bytes {
        b"" => return Err(Malformed("an empty :path")),
        b"*" if method == Method::OPTIONS => {}
        _ if bytes[0] != b'/' => return Ok(Err(Violation::InvalidUrl)),
        _ if bytes.contains(&b'#') => return Ok(Err(Violation::Fragment)),
        _ => {}
    }
    let parsed = PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(bytes));
    Ok(parsed.map_err(|_| Violation::InvalidUrl))
}

/// RFC 3986 section 3.1.
fn is_scheme(scheme: &[u8]) -> bool {
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

/// Cookie crumbs become one field (section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let crumbs: Vec<_> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Fields for which there is room without growing: a request of a browser, and what we add.
const FIELDS: usize = 16;
