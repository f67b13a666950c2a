//! What a peer can do wrong before there is a request to serve, in Envoy's vocabulary.
//!
//! The codec names the fault; the connection manager answers it (`Service::reject`). Status, body text
//! and response code details are those of Envoy 1.40, measured on the binary.

use http::StatusCode;

/// Why a request was refused by the codec. The connection is closed after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A CONNECT request with a `content-length`.
    #[error("a CONNECT request has no body")]
    BodyDisallowed,
    /// The message does not follow the grammar; the text says where.
    #[error("malformed message: {0}")]
    Codec(&'static str),
    /// `Connection` nominates a field that may not be removed, or too many.
    #[error("the connection header nominates a protected field or too many")]
    ConnectionHeader,
    /// `content-length` beside `transfer-encoding`: the classic request smuggling.
    #[error("content-length and transfer-encoding in one message")]
    ContentLengthAndChunked,
    /// The request target holds a fragment (`#`).
    #[error("the request target has a fragment")]
    Fragment,
    /// The request head did not arrive in time.
    #[error("the request head took too long")]
    HeadTimeout,
    /// The request line and header section exceed `max_request_headers_kb`.
    #[error("the request head is too large")]
    HeadTooLarge,
    /// Host or `:authority` is not a host with an optional port.
    #[error("invalid authority")]
    InvalidAuthority,
    /// A header value holds NUL.
    #[error("invalid characters in a header value")]
    InvalidCharacters,
    /// An absolute target with a scheme other than http or https.
    #[error("invalid scheme in the request target")]
    InvalidScheme,
    /// The request target is not one the method allows.
    #[error("invalid request target")]
    InvalidUrl,
    /// HTTP/1.0 (or anything but HTTP/1.1) while `accept_http_10` is off.
    #[error("the protocol version is too low")]
    LowVersion,
    /// No Host field.
    #[error("the host header is missing")]
    MissingHost,
    /// More header fields than `max_headers_count`.
    #[error("too many header fields")]
    TooManyHeaders,
    /// A transfer coding other than one `chunked`.
    #[error("unsupported transfer-encoding")]
    TransferEncoding,
    /// A field name with an underscore while `headers_with_underscores_action` is REJECT_REQUEST.
    #[error("a header name has an underscore")]
    Underscore,
}

impl Violation {
    /// The status to answer with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::HeadTooLarge | Self::TooManyHeaders => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::LowVersion => StatusCode::UPGRADE_REQUIRED,
            Self::TransferEncoding => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The text of the body, empty where Envoy sends none.
    pub fn body(&self) -> &'static str {
        match self {
            Self::Fragment | Self::MissingHost => "",
            Self::HeadTimeout => "request header timeout",
            Self::HeadTooLarge | Self::TooManyHeaders => "Request Header Fields Too Large",
            Self::LowVersion => "Upgrade Required",
            Self::TransferEncoding => "Not Implemented",
            _ => "Bad Request",
        }
    }

    /// Envoy's `%RESPONSE_CODE_DETAILS%`.
    pub fn details(&self) -> &'static str {
        match self {
            Self::BodyDisallowed => "http1.body_disallowed",
            Self::Codec(_) => "http1.codec_error",
            Self::ConnectionHeader => "http1.connection_header_rejected",
            Self::ContentLengthAndChunked => "http1.content_length_and_chunked_not_allowed",
            Self::Fragment => "path_normalization_failed",
            Self::HeadTimeout => "request_header_timeout",
            Self::HeadTooLarge => "http1.headers_too_large",
            Self::InvalidAuthority => "http.invalid_authority",
            Self::InvalidCharacters => "http1.invalid_characters",
            Self::InvalidScheme => "http1.invalid_scheme",
            Self::InvalidUrl => "http1.invalid_url",
            Self::LowVersion => "low_version",
            Self::MissingHost => "missing_host_header",
            Self::TooManyHeaders => "http1.too_many_headers",
            Self::TransferEncoding => "http1.invalid_transfer_encoding",
            Self::Underscore => "http1.unexpected_underscore",
        }
    }

    /// True when Envoy sets the response flag `DPE` (downstream protocol error).
    pub fn is_protocol_error(&self) -> bool {
        !matches!(self, Self::Fragment | Self::HeadTimeout | Self::MissingHost)
    }
}
