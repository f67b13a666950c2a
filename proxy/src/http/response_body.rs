//! A streamed response body that carries its stream: when the body ends, the stream does.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;
use palanquin_filter_api::Body;
use palanquin_filter_api::BodyError;
use palanquin_filter_api::ResponseFlags;
use palanquin_filter_api::stats::http as stat;

use super::stream::Stream;
use super::stream::grpc_status;
use super::timeouts::Expired;

/// Ties `stream` to `body`.
pub(crate) fn attach(body: Body, stream: Box<Stream>) -> Body {
    Body::from_stream(Attached { body, stream })
}

struct Attached {
    body: Body,
    stream: Box<Stream>,
}

impl http_body::Body for Attached {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { body, stream } = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else {
            let expired = std::task::ready!(stream.timeouts.poll(cx));
            stream.expire(expired);
            return Poll::Ready(Some(Err(BodyError::Timeout)));
        };
        match &frame {
            Some(Ok(frame)) => {
                stream.timeouts.event();
                if let Some(data) = frame.data_ref() {
                    stream.cx.info.bytes_sent += data.len() as u64;
                } else if let Some(trailers) = frame.trailers_ref() {
                    stream.cx.info.grpc_status = grpc_status(trailers);
                    stream.captured.trailers(&stream.connection.manager.access_logs, trailers);
                }
                if body.is_end_stream() {
                    stream.end();
                }
            }
            Some(Err(error)) => {
                let (flag, details) = broken_off(error);
                stream.cx.info.flags |= flag;
                stream.cx.info.response_code_details = Some(details.into());
                stream.end();
            }
            None => stream.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Envoy's words for a response that the upstream did not finish.
fn broken_off(error: &BodyError) -> (ResponseFlags, &'static str) {
    match error {
        BodyError::Protocol(_) => (
            ResponseFlags::UPSTREAM_PROTOCOL_ERROR,
            "upstream_reset_after_response_started{protocol_error}",
        ),
        BodyError::Reset => (
            ResponseFlags::UPSTREAM_REMOTE_RESET,
            "upstream_reset_after_response_started{remote_reset}",
        ),
        BodyError::Timeout => (ResponseFlags::UPSTREAM_REQUEST_TIMEOUT, "response_timeout"),
        _ => (
            ResponseFlags::UPSTREAM_CONNECTION_TERMINATION,
            "upstream_reset_after_response_started{connection_termination}",
        ),
    }
}

impl Stream {
    /// A limit was reached after the response had begun: nothing is left but to break it off.
    fn expire(&mut self, expired: Expired) {
        let stats = &self.connection.manager.stats;
        let (flag, details) = match expired {
            Expired::Idle => {
                stats.inc(stat::DOWNSTREAM_RQ_IDLE_TIMEOUT);
                (ResponseFlags::STREAM_IDLE_TIMEOUT, "stream_idle_timeout")
            }
            Expired::MaxDuration => {
                stats.inc(stat::DOWNSTREAM_RQ_MAX_DURATION_REACHED);
                (ResponseFlags::DURATION_TIMEOUT, "max_duration_timeout")
            }
            Expired::Request => (ResponseFlags::default(), "request_overall_timeout"),
            Expired::Response => (ResponseFlags::UPSTREAM_REQUEST_TIMEOUT, "response_timeout"),
        };
        stats.inc(stat::DOWNSTREAM_RQ_TX_RESET);
        self.cx.info.flags |= flag;
        self.cx.info.response_code_details = Some(details.into());
        self.end();
    }
}
