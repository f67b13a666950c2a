//! What a format reads: a request's facts, and those of its headers that are still there or were kept.

use std::sync::Arc;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Uri;
use palanquin_filter_api::DynamicMetadata;
use palanquin_filter_api::StreamCx;
use smallvec::SmallVec;

use super::operator::Field;
use super::operator::Operator;
use super::operator::PathSource;

/// Everything a format may read. Parts that are not known yet stay empty.
#[derive(Debug, Clone, Copy)]
pub struct FormatCx<'a> {
    /// The request's head.
    pub request: Option<RequestHead<'a>>,
    /// The response's headers.
    pub response: Headers<'a>,
    /// The response's trailers.
    pub trailers: Headers<'a>,
    /// The facts.
    pub stream: &'a StreamCx,
    /// The metadata of the request's route, when it has one.
    pub route: Option<&'a DynamicMetadata>,
    /// The trace, when one is recorded or passed on.
    pub trace: Option<TraceIds>,
    /// The text of the proxy's own answer.
    pub local_reply_body: &'a [u8],
}

/// `%TRACE_ID%` and `%SPAN_ID%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceIds {
    /// The trace.
    pub trace_id: [u8; 16],
    /// Our span.
    pub span_id: [u8; 8],
}

/// The head of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The authority; empty when there is none.
    pub authority: &'a [u8],
    /// The path with its query.
    pub path: &'a str,
    /// The headers.
    pub headers: Headers<'a>,
}

/// Headers that are still there, or the values that were kept of them.
#[derive(Debug, Clone, Copy, Default)]
pub enum Headers<'a> {
    /// No message, or no values kept.
    #[default]
    None,
    /// Kept values.
    Captured(&'a Captured),
    /// The whole map.
    Map(&'a HeaderMap),
}

/// The headers that a set of formats reads, and whether it reads sizes.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Something of the request's head is read: a header, or the method, path, scheme or authority.
    pub head: bool,
    /// Request headers. Pseudo-headers are always kept and not among them.
    pub request: Vec<HeaderName>,
    /// Response headers.
    pub response: Vec<HeaderName>,
    /// Response trailers.
    pub trailers: Vec<HeaderName>,
    /// Request headers that matchers look at: every value of them.
    pub matched: Vec<HeaderName>,
    /// `%REQUEST_HEADERS_BYTES%`, `%RESPONSE_HEADERS_BYTES%` or `%RESPONSE_TRAILERS_BYTES%` is read.
    pub sizes: bool,
}

/// [`Needs`], settled: what to keep of each message of a connection manager.
#[derive(Debug, Clone)]
pub struct Capture {
    request: Arc<[HeaderName]>,
    response: Arc<[HeaderName]>,
    trailers: Arc<[HeaderName]>,
    matched: Vec<HeaderName>,
    sizes: bool,
}

/// Values kept of one header map, by reference.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    names: Option<Arc<[HeaderName]>>,
    values: SmallVec<[Option<HeaderValue>; 8]>,
    bytes: Option<u64>,
}

/// What is kept of a request head.
#[derive(Debug, Clone)]
pub struct CapturedRequest {
    method: Method,
    uri: Uri,
    host: Option<HeaderValue>,
    https: bool,
    headers: Captured,
    matched: Option<Box<HeaderMap>>,
}

impl<'a> FormatCx<'a> {
    /// A context in which only the stream's facts are known.
    pub fn new(stream: &'a StreamCx) -> Self {
        Self {
            request: None,
            response: Headers::None,
            trailers: Headers::None,
            stream,
            route: None,
            trace: None,
            local_reply_body: &[],
        }
    }

    /// A context for a request that is still here.
    pub fn request<B>(request: &'a http::Request<B>, stream: &'a StreamCx) -> Self {
        let secure = stream.info.connection.tls.is_some();
        let scheme = if secure { "https" } else { "http" };
        Self::new(stream).with_request(RequestHead::of(request, scheme))
    }

    /// A context for a response that is still here; its request is gone.
    pub fn response(headers: &'a HeaderMap, stream: &'a StreamCx) -> Self {
        Self::new(stream).with_response(Headers::Map(headers))
    }

    /// With the request's head.
    #[must_use]
    pub fn with_request(mut self, request: RequestHead<'a>) -> Self {
        self.request = Some(request);
        self
    }

    /// With the metadata of the request's route.
    #[must_use]
    pub fn with_route(mut self, route: Option<&'a DynamicMetadata>) -> Self {
        self.route = route;
        self
    }

    /// With the response's headers.
    #[must_use]
    pub fn with_response(mut self, response: Headers<'a>) -> Self {
        self.response = response;
        self
    }
}

impl<'a> RequestHead<'a> {
    /// The head of a request that is still here. `scheme` is the downstream's, for a target without one.
    pub fn of<B>(request: &'a http::Request<B>, scheme: &'a str) -> Self {
        let uri = request.uri();
        Self {
            method: request.method().as_str(),
            scheme: uri.scheme_str().unwrap_or(scheme),
            authority: authority(uri, request.headers().get(http::header::HOST)),
            path: uri.path_and_query().map_or("", |path| path.as_str()),
            headers: Headers::Map(request.headers()),
        }
    }

    /// The size of the header section as Envoy counts it: the bytes of names and values, with
    /// pseudo-headers.
    pub(super) fn bytes(&self) -> Option<u64> {
        let pseudo: usize = [
            (":method", self.method.len()),
            (":scheme", self.scheme.len()),
            (":authority", self.authority.len()),
            (":path", self.path.len()),
        ]
        .iter()
        .filter(|(_, value)| *value > 0)
        .map(|(name, value)| name.len() + value)
        .sum();
        Some(self.headers.bytes()? + pseudo as u64)
    }
}

impl<'a> Headers<'a> {
    /// The first value of that name.
    pub fn get(&self, name: &HeaderName) -> Option<&'a HeaderValue> {
        match self {
            Self::None => None,
            Self::Captured(captured) => captured.get(name),
            Self::Map(map) => map.get(name),
        }
    }

    /// The bytes of names and values; `host` counts as `:authority` and not here.
    pub(super) fn bytes(&self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Captured(captured) => captured.bytes,
            Self::Map(map) => Some(bytes(map)),
        }
    }
}

impl Needs {
    /// Lets a matcher look at a request header.
    pub fn add_matched(&mut self, name: &HeaderName) {
        add(&mut self.matched, name);
    }

    pub(super) fn add(&mut self, operator: &Operator) {
        match operator {
            Operator::Request(first, second) | Operator::RequestWithoutQuery(first, second) => {
                self.head = true;
                for field in std::iter::once(first).chain(second) {
                    if let Field::Header(name) = field {
                        add(&mut self.request, name);
                    }
                }
            }
            Operator::Response(first, second) => {
                for field in std::iter::once(first).chain(second) {
                    if let Field::Header(name) = field {
                        add(&mut self.response, name);
                    }
                }
            }
            Operator::Trailer(first, second) => {
                for name in std::iter::once(first).chain(second) {
                    add(&mut self.trailers, name);
                }
            }
            Operator::Path(source, _)
            | Operator::QueryParameter(_, source)
            | Operator::QueryParameters(source) => {
                self.head = true;
                if *source != PathSource::Path {
                    add(&mut self.request, &ORIGINAL_PATH);
                }
            }
            Operator::Coalesce(alternatives) => {
                for (operator, _) in alternatives {
                    self.add(operator);
                }
            }
            Operator::RequestHeadersBytes => {
                self.head = true;
                self.sizes = true;
            }
            Operator::ResponseHeadersBytes | Operator::ResponseTrailersBytes => self.sizes = true,
            _ => {}
        }
    }
}

impl Capture {
    /// Settles what is needed.
    pub fn new(needs: Needs) -> Self {
        Self {
            request: needs.request.into(),
            response: needs.response.into(),
            trailers: needs.trailers.into(),
            matched: needs.matched,
            sizes: needs.sizes,
        }
    }

    /// Keeps what is needed of a request that is about to leave. `scheme` as for [`RequestHead::of`].
    /// No allocation, unless a matcher looks at headers or more than eight are needed.
    pub fn request<B>(&self, request: &http::Request<B>, scheme: &str) -> CapturedRequest {
        let uri = request.uri();
        let headers = request.headers();
        let host = match uri.authority() {
            Some(_) => None,
            None => headers.get(http::header::HOST).cloned(),
        };
        let matched = (!self.matched.is_empty()).then(|| {
            let mut matched = HeaderMap::with_capacity(self.matched.len());
            for name in &self.matched {
                for value in headers.get_all(name) {
                    matched.append(name.clone(), value.clone());
                }
            }
            Box::new(matched)
        });
        CapturedRequest {
            method: request.method().clone(),
            uri: uri.clone(),
            host,
            https: uri.scheme_str().unwrap_or(scheme).eq_ignore_ascii_case("https"),
            headers: Captured::take(&self.request, self.sizes, headers),
            matched,
        }
    }

    /// Keeps what is needed of a response's headers; `None` when that is nothing.
    pub fn response(&self, headers: &HeaderMap) -> Option<Box<Captured>> {
        self.optional(&self.response, headers)
    }

    /// Keeps what is needed of a response's trailers; `None` when that is nothing.
    pub fn trailers(&self, trailers: &HeaderMap) -> Option<Box<Captured>> {
        self.optional(&self.trailers, trailers)
    }

    fn optional(&self, names: &Arc<[HeaderName]>, headers: &HeaderMap) -> Option<Box<Captured>> {
        let is_needed = self.sizes || !names.is_empty();
        is_needed.then(|| Box::new(Captured::take(names, self.sizes, headers)))
    }
}

impl Captured {
    fn take(names: &Arc<[HeaderName]>, sizes: bool, headers: &HeaderMap) -> Self {
        Self {
            values: names.iter().map(|name| headers.get(name).cloned()).collect(),
            names: Some(Arc::clone(names)),
            bytes: sizes.then(|| bytes(headers)),
        }
    }

    /// The kept value of that name.
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        let at = self.names.as_ref()?.iter().position(|kept| kept == name)?;
        self.values.get(at)?.as_ref()
    }
}

impl CapturedRequest {
    /// The head as formats read it.
    pub fn head(&self) -> RequestHead<'_> {
        RequestHead {
            method: self.method.as_str(),
            scheme: if self.https { "https" } else { "http" },
            authority: authority(&self.uri, self.host.as_ref()),
            path: self.uri.path_and_query().map_or("", |path| path.as_str()),
            headers: Headers::Captured(&self.headers),
        }
    }

    /// The headers that matchers look at.
    pub fn matched(&self) -> Option<&HeaderMap> {
        self.matched.as_deref()
    }
}

/// Where a rewritten path is kept.
pub(super) static ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");

fn authority<'a>(uri: &'a Uri, host: Option<&'a HeaderValue>) -> &'a [u8] {
    match uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => host.map_or(&[], |host| host.as_bytes()),
    }
}

fn bytes(headers: &HeaderMap) -> u64 {
    headers
        .iter()
        .filter(|(name, _)| **name != http::header::HOST)
        .map(|(name, value)| (name.as_str().len() + value.len()) as u64)
        .sum()
}

fn add(names: &mut Vec<HeaderName>, name: &HeaderName) {
    if !names.contains(name) {
        names.push(name.clone());
    }
}
