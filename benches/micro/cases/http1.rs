//! HTTP/1: from the bytes of a request to the bytes of its response.
//!
//! The codec is driven through [`serve`], its public side, over a transport that is always ready. The difference
//! between the two cases is what more fields cost to parse.

use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response};
use palanquin::codec::h1::{Ended, Settings, serve};
use palanquin::codec::{Drain, Io, Service, Violation};
use palanquin_filter_api::Body;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Case;

/// Requests on one connection: its own cost becomes small beside theirs.
const REQUESTS: u32 = 1_000;

const SMALL: &str =
    "GET /items?q=1 HTTP/1.1\r\nhost: example.com\r\nuser-agent: curl/8.5.0\r\naccept: */*\r\n\r\n";

/// What a browser sends.
const BROWSER: &str = "GET /assets/app-5f2b9c.js?v=12 HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    Connection: keep-alive\r\n\
    sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: no-cors\r\n\
    Sec-Fetch-Dest: script\r\n\
    Referer: https://www.example.com/index.html\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=1\r\n\
    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
    If-None-Match: \"5f2b9c\"\r\n\r\n";

pub(super) fn cases() -> Vec<Case> {
    vec![
        http1("http1/3-fields", "request read, empty response written", SMALL),
        http1("http1/16-fields", "request read, empty response written", BROWSER),
    ]
}

fn http1(name: &str, what: &'static str, head: &'static str) -> Case {
    Case::new(name, what, move || {
        // The codec's timers need a clock, though none of them comes to its end here.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime without I/O needs nothing of the system");
        let settings = Rc::new(Settings::default());
        move || {
            let io = Ready { head, left: REQUESTS, written: 0 };
            let ended = runtime.block_on(serve(
                io,
                Rc::clone(&settings),
                Nothing,
                Drain::new().1,
                Rc::default(),
            ));
            assert_eq!(ended, Ended::ClientClosed);
        }
    })
    .of(REQUESTS)
}

/// Answers at once, with nothing.
struct Nothing;

impl Service for Nothing {
    async fn call(&self, request: Request<Body>) -> Response<Body> {
        black_box(request);
        Response::new(Body::Empty)
    }

    fn reject(&self, violation: &Violation, _: Option<&Parts>) -> Response<Body> {
        panic!("the requests of this file are valid: {violation:?}")
    }
}

/// A transport that always has the next head, until the last; what is written is gone.
struct Ready {
    head: &'static str,
    left: u32,
    written: usize,
}

impl AsyncRead for Ready {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left > 0 {
            self.left -= 1;
            buffer.put_slice(self.head.as_bytes());
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Ready {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written += black_box(bytes).len();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Io for Ready {}
