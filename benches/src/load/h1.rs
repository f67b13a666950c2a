//! HTTP/1 client of the load generator: one request at a time, the same bytes each time.

use std::rc::Rc;

use crate::load::Options;
use crate::load::connection::Progress;
use crate::tools::heads::{self, Framing};
use crate::tools::stream::Stream;

/// The bytes of a request.
pub(super) fn request(options: &Options) -> Rc<[u8]> {
    let (method, length) = match options.post {
        Some(size) => ("POST", format!("content-length: {size}\r\n")),
        None => ("GET", String::new()),
    };
    let close = if options.reconnect { "connection: close\r\n" } else { "" };
    let mut bytes = format!(
        "{method} {} HTTP/1.1\r\nhost: localhost\r\nuser-agent: load/1.0\r\naccept: */*\r\n\
         x-tenant: shop\r\n{length}{close}\r\n",
        options.path
    )
    .into_bytes();
    bytes.resize(bytes.len() + options.post.unwrap_or(0), b'p');
    bytes.into()
}

/// State of one connection.
#[derive(Debug)]
pub(super) struct Client {
    request: Rc<[u8]>,
    due: Option<u64>,
    /// Bytes of the answer's body still to come, once its head was read.
    body: Option<Body>,
}

#[derive(Debug)]
struct Body {
    framing: Framing,
    ok: bool,
}

impl Client {
    pub(super) fn new(request: Rc<[u8]>) -> Self {
        Self { request, due: None, body: None }
    }

    pub(super) fn room(&self) -> usize {
        usize::from(self.due.is_none())
    }

    pub(super) fn pending(&self) -> usize {
        usize::from(self.due.is_some())
    }

    pub(super) fn send(&mut self, output: &mut Vec<u8>, due: u64) {
        output.extend_from_slice(&self.request);
        self.due = Some(due);
    }

    pub(super) fn advance(&mut self, stream: &mut Stream, progress: &mut Progress) {
        if self.body.is_none() {
            let Some(end) = heads::end(&stream.input) else { return };
            let head = &stream.input[..end];
            let ok = head.starts_with(b"HTTP/1.1 200");
            self.body = Some(Body { framing: heads::framing(head), ok });
            stream.input.drain(..end);
        }
        let Some(body) = &mut self.body else { return };
        match &mut body.framing {
            Framing::Length(left) => {
                let taken = (*left).min(stream.input.len());
                stream.input.drain(..taken);
                *left -= taken;
                if *left > 0 {
                    return;
                }
            }
            Framing::Chunked => match heads::chunked_size(&stream.input) {
                Some(size) if size <= stream.input.len() => drop(stream.input.drain(..size)),
                _ => return,
            },
        }
        let ok = body.ok;
        self.body = None;
        match self.due.take() {
            Some(due) if ok => progress.answered.push(due),
            Some(_) => progress.refused += 1,
            None => progress.broken = true,
        }
    }
}
