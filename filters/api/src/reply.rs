//! The proxy's own answers, as values.
//!
//! Everything that goes wrong with a request becomes a [`LocalReply`]; one place turns it into HTTP or
//! gRPC, and access log, statistics and span read the same value.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use http::StatusCode;

use crate::ResponseFlags;

/// A gRPC status code (0-16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrpcStatus(pub u8);

impl GrpcStatus {
    /// The status a gRPC client derives from an HTTP status without `grpc-status`
    /// (grpc `doc/http-grpc-status-mapping.md`; Envoy's `Grpc::Utility::httpToGrpcStatus`).
    pub fn from_http(status: StatusCode) -> Self {
        Self(match status.as_u16() {
            400 => 13,
            401 => 16,
            403 => 7,
            404 => 12,
            429 | 502 | 503 | 504 => 14,
            _ => 2,
        })
    }
}

/// An answer the proxy gives itself.
#[derive(Debug, Clone)]
pub struct LocalReply {
    /// The HTTP status.
    pub status: StatusCode,
    /// `%RESPONSE_CODE_DETAILS%`, Envoy's own string where it has one: `route_not_found`.
    pub details: Cow<'static, str>,
    /// `%RESPONSE_FLAGS%`.
    pub flags: ResponseFlags,
    /// The body as text/plain; for gRPC it becomes `grpc-message`.
    pub body: Bytes,
    /// Headers beyond `content-length` and `content-type`.
    pub headers: HeaderMap,
    /// Overrides the gRPC status derived from `status`.
    pub grpc_status: Option<GrpcStatus>,
    /// End the stream without any answer (HTTP/1: close the connection, HTTP/2: RST_STREAM).
    pub abort: bool,
}

impl LocalReply {
    /// A reply with `status` and no body. `details` names the reason for logs, without spaces.
    pub fn new(status: StatusCode, details: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            details: details.into(),
            flags: ResponseFlags::default(),
            body: Bytes::new(),
            headers: HeaderMap::new(),
            grpc_status: None,
            abort: false,
        }
    }

    /// Adds response flags.
    #[must_use]
    pub fn with_flags(mut self, flags: ResponseFlags) -> Self {
        self.flags |= flags;
        self
    }

    /// Sets the text of the body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the gRPC status that a gRPC client gets.
    #[must_use]
    pub fn with_grpc_status(mut self, status: GrpcStatus) -> Self {
        self.grpc_status = Some(status);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: http::HeaderName, value: http::HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }
}
