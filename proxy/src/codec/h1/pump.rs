//! Moves a body into a connection: stages frames, flushes, waits for whichever side is slower.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use http_body::Body as _;

use palanquin_filter_api::Body;
use palanquin_filter_api::BodyError;

use super::encode::BodyEncoder;
use super::encode::Broken;
use super::out::Output;

/// A body on its way out.
#[derive(Debug)]
pub(super) struct Pump {
    body: Body,
    encoder: BodyEncoder,
    staged: bool,
    failure: Option<BodyError>,
}

/// Why a body could not be sent to its end.
#[derive(Debug)]
pub(super) enum PumpError {
    /// The body failed, or did not keep what its head promised. What came before it was written.
    Body(BodyError),
    /// The connection failed.
    Io,
}

impl Pump {
    pub(super) fn new(body: Body, encoder: BodyEncoder) -> Self {
        // what has no place on the wire is dropped here, so that its source learns of it at once
        let body = if encoder == BodyEncoder::None { Body::Empty } else { body };
        Self { body, encoder, staged: false, failure: None }
    }

    /// True when the end of the body depends on the connection's end.
    pub(super) fn is_raw(&self) -> bool {
        self.encoder == BodyEncoder::Raw
    }

    /// Sends what can be sent. Ready when the whole body was taken by the transport; the body is
    /// dropped no sooner. `flush` writes the staged bytes; it is not called while the body is polled,
    /// so that both may use the same connection.
    pub(super) fn poll_send(
        &mut self,
        out: &mut Output,
        cx: &mut Context<'_>,
        mut flush: impl FnMut(&mut Output, &mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<Result<(), PumpError>> {
        loop {
            let mut is_waiting = false;
            while !self.staged && !out.is_full() {
                match self.poll_stage(out, cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => {
                        self.failure = Some(error);
                        self.staged = true;
                    }
                    Poll::Pending => {
                        is_waiting = true;
                        break;
                    }
                }
            }
            ready!(flush(out, cx)).map_err(|_| PumpError::Io)?;
            if self.staged {
                self.body = Body::Empty;
                return Poll::Ready(
                    self.failure.take().map_or(Ok(()), |e| Err(PumpError::Body(e))),
                );
            }
            if is_waiting {
                return Poll::Pending;
            }
        }
    }

    fn poll_stage(
        &mut self,
        out: &mut Output,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), BodyError>> {
        let broken = |Broken(why)| BodyError::Protocol(why);
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => {
                self.staged = true;
                self.encoder.end(out).map_err(broken)?;
            }
            Some(frame) => match frame?.into_data() {
                Ok(data) => {
                    self.encoder.data(data, out).map_err(broken)?;
                    if self.body.is_end_stream() {
                        self.staged = true;
                        self.encoder.end(out).map_err(broken)?;
                    }
                }
                Err(frame) => {
                    self.staged = true;
                    match frame.into_trailers() {
                        Ok(trailers) => self.encoder.trailers(&trailers, out),
                        Err(_) => self.encoder.end(out),
                    }
                    .map_err(broken)?;
                }
            },
        }
        Poll::Ready(Ok(()))
    }
}
