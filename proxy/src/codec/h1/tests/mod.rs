//! Tests of whole connections over an in-memory pipe, on a clock that jumps: a connection with nothing
//! to do reaches its idle timeout at once, so that every conversation ends by itself.

mod client;
mod corpora;
mod proxy;
mod server;

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use http::Request;
use http::Response;
use http::StatusCode;
use http::request::Parts;
use http_body_util::BodyExt;
use palanquin_filter_api::Body;
use palanquin_filter_api::BodyError;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::codec::Drain;
use crate::codec::Meter;
use crate::codec::Service;
use crate::codec::Upgrade;
use crate::codec::Violation;

use super::Ended;
use super::Settings;
use super::Trailers;
use super::serve;

/// A request as a service saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) fields: Vec<(String, Bytes)>,
    pub(super) upgrade: Option<String>,
    pub(super) body: Result<Vec<u8>, BodyError>,
    pub(super) trailers: Option<http::HeaderMap>,
}

impl Seen {
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| &v[..])
    }
}

type Answer = Box<dyn Fn(&Seen) -> Response<Body>>;

/// Reads each request to its end (unless it is an upgrade) and answers it.
pub(super) struct Script {
    pub(super) seen: Rc<RefCell<Vec<Seen>>>,
    pub(super) reads_body: bool,
    pub(super) answer: Answer,
}

impl Script {
    pub(super) fn new(answer: impl Fn(&Seen) -> Response<Body> + 'static) -> Self {
        Self { seen: Rc::default(), reads_body: true, answer: Box::new(answer) }
    }

    pub(super) fn ok() -> Self {
        Self::new(|_| Response::new(Body::from("ok")))
    }
}

impl Service for Script {
    async fn call(&self, request: Request<Body>) -> Response<Body> {
        let (parts, mut body) = request.into_parts();
        let upgrade = parts.extensions.get::<Upgrade>();
        let mut seen = Seen {
            line: format!("{} {}", parts.method, parts.uri),
            fields: parts
                .headers
                .iter()
                .map(|(n, v)| (n.to_string(), Bytes::copy_from_slice(v.as_bytes())))
                .collect(),
            upgrade: upgrade.map(|u| u.protocol.to_str().unwrap().to_owned()),
            body: Ok(Vec::new()),
            trailers: None,
        };
        while self.reads_body && upgrade.is_none() {
            match body.frame().await {
                None => break,
                Some(Err(error)) => {
                    seen.body = Err(error);
                    break;
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => seen.body.as_mut().unwrap().extend_from_slice(&data),
                    Err(frame) => seen.trailers = frame.into_trailers().ok(),
                },
            }
        }
        let response = (self.answer)(&seen);
        self.seen.borrow_mut().push(seen);
        response
    }

    fn reject(&self, violation: &Violation, _partial: Option<&Parts>) -> Response<Body> {
        let mut response = Response::new(Body::from(violation.body()));
        *response.status_mut() = violation.status();
        response
    }
}

/// What came of a conversation.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) text: String,
    pub(super) ended: Ended,
    pub(super) seen: Vec<Seen>,
    pub(super) meter: Rc<Meter>,
}

impl Talk {
    /// The statuses of all responses, interim ones included.
    pub(super) fn statuses(&self) -> Vec<u16> {
        self.text
            .match_indices("HTTP/1.")
            .filter_map(|(at, _)| self.text.get(at + 9..at + 12)?.parse().ok())
            .collect()
    }
}

pub(super) fn lenient() -> Settings {
    Settings {
        accept_http_10: true,
        request_headers_timeout: Some(std::time::Duration::from_secs(10)),
        trailers: Trailers::Forward,
        ..Settings::default()
    }
}

/// Sends `parts` one after the other, each when the proxy has taken the one before, and reads all.
pub(super) async fn talk<'a>(
    settings: Settings,
    service: Script,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Talk {
    let (mut client, io) = tokio::io::duplex(1 << 20);
    let (_trigger, drain) = Drain::new();
    let meter = Rc::new(Meter::default());
    let seen = Rc::clone(&service.seen);
    let server = serve(io, Rc::new(settings), service, drain, Rc::clone(&meter));
    let speak = async {
        for part in parts {
            if client.write_all(part).await.is_err() {
                break;
            }
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        }
        let mut text = Vec::new();
        // a body that never comes has no timeout in the codec: the client gives up
        let patience = std::time::Duration::from_hours(2);
        if tokio::time::timeout(patience, client.read_to_end(&mut text)).await.is_err() {
            client.shutdown().await.unwrap();
            client.read_to_end(&mut text).await.unwrap();
        }
        String::from_utf8_lossy(&text).into_owned()
    };
    let (ended, text) = tokio::join!(server, speak);
    let seen = seen.take();
    Talk { text, ended, seen, meter }
}

pub(super) fn status(code: u16) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

/// A body that yields the given frames, and waits a turn before each.
pub(super) struct Frames(pub(super) Vec<Result<http_body::Frame<Bytes>, BodyError>>, bool);

impl Frames {
    pub(super) fn body(frames: Vec<Result<&'static str, BodyError>>) -> Body {
        let frames = frames
            .into_iter()
            .rev()
            .map(|f| f.map(|text| http_body::Frame::data(Bytes::from_static(text.as_bytes()))))
            .collect();
        Body::from_stream(Self(frames, false))
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        self.1 = !self.1;
        if self.1 {
            cx.waker().wake_by_ref();
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(self.0.pop())
    }
}
