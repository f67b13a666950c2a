//! Turns the proxy's own answers into HTTP, or gRPC for a gRPC request. The only place that does.

use std::fmt::Write;

use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use palanquin_filter_api::Body;
use palanquin_filter_api::GrpcStatus;
use palanquin_filter_api::LocalReply;

use super::names;
use crate::codec::h2;

/// What of the request the form of the answer depends on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReplyForm {
    /// `content-type: application/grpc`: the answer is a trailers-only gRPC response.
    pub(crate) grpc: bool,
    /// HEAD: headers only.
    pub(crate) head: bool,
}

/// Renders `reply`. `adorn` gives it the headers that configuration wants; as in Envoy it sees the status and
/// the reply's own headers, and its `content-type` goes before ours.
pub(crate) fn render(
    reply: LocalReply,
    form: ReplyForm,
    adorn: impl FnOnce(&mut Response<Body>),
) -> Response<Body> {
    let LocalReply { status, body, headers, grpc_status, abort, .. } = reply;
    let mut response = Response::new(Body::Empty);
    *response.headers_mut() = headers;
    if abort {
        response.extensions_mut().insert(h2::Abort);
    }
    if form.grpc {
        let GrpcStatus(code) = grpc_status.unwrap_or_else(|| GrpcStatus::from_http(status));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(names::GRPC_STATUS, HeaderValue::from(u16::from(code)));
        if !body.is_empty()
            && let Ok(message) = HeaderValue::from_str(&percent_encode(&body))
        {
            headers.insert(names::GRPC_MESSAGE, message);
        }
        *response.status_mut() = StatusCode::OK;
        adorn(&mut response);
        return response;
    }
    *response.status_mut() = status;
    adorn(&mut response);
    if !body.is_empty() {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain"));
        if !form.head {
            *response.body_mut() = Body::Full(body);
        }
    }
    response
}

/// Percent-encodes a `grpc-message` (gRPC over HTTP/2, "Status-Message").
fn percent_encode(message: &[u8]) -> String {
    let mut out = String::with_capacity(message.len());
    for byte in message {
        if matches!(byte, b' '..=b'~') && *byte != b'%' {
            out.push(char::from(*byte));
        } else {
            write!(out, "%{byte:02X}").expect("a String takes every write");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_client_gets_the_status_it_understands() {
        let reply = LocalReply::new(StatusCode::SERVICE_UNAVAILABLE, "x").with_body("no %\n");
        let response = render(reply, ReplyForm { grpc: true, head: false }, |_| {});
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "14");
        assert_eq!(response.headers()["grpc-message"], "no %25%0A");
        assert!(response.body().is_empty());
    }

    #[test]
    fn a_content_type_of_the_configuration_goes_before_ours() {
        let reply = LocalReply::new(StatusCode::OK, "x").with_body("{}");
        let json = HeaderValue::from_static("application/json");
        let response = render(reply, ReplyForm::default(), |response| {
            assert_eq!(response.status(), 200);
            response.headers_mut().insert(header::CONTENT_TYPE, json.clone());
        });
        assert_eq!(response.headers()["content-type"], json);
        assert_eq!(response.headers()["content-length"], "2");
    }

    #[test]
    fn a_head_request_gets_the_length_but_no_body() {
        let reply = LocalReply::new(StatusCode::NOT_FOUND, "x").with_body("gone");
        let response = render(reply, ReplyForm { grpc: false, head: true }, |_| {});
        assert_eq!(response.headers()["content-length"], "4");
        assert!(response.body().is_empty());
    }
}
