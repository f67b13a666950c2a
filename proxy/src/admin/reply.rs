//! Answers of the admin endpoint.

use axum::body::Body;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use serde_json::Value;

const TEXT: &str = "text/plain; charset=UTF-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=UTF-8";

/// A text.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    reply(status, TEXT, text.into())
}

/// A page.
pub(super) fn html(text: String) -> Response<Body> {
    reply(StatusCode::OK, HTML, text)
}

/// JSON, indented as Envoy does: one space.
pub(super) fn json(value: &Value) -> Response<Body> {
    use serde::Serialize as _;
    let mut out = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, format);
    // A `Value` always serialises.
    let _ = value.serialize(&mut serializer);
    out.push(b'\n');
    reply(StatusCode::OK, JSON, String::from_utf8_lossy(&out).into_owned())
}

/// `OK`
pub(super) fn ok() -> Response<Body> {
    text(StatusCode::OK, "OK\n")
}

fn reply(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::SERVER, HeaderValue::from_static("envoy"));
    response
}
