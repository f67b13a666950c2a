//! Why an attempt got no response, in Envoy's vocabulary: texts, response flags and whether it may be
//! tried again. The texts were read off Envoy 1.40's answers and access log.

use std::borrow::Cow;

use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;

use palanquin_config::ir::retry::RetryOn;
use palanquin_filter_api::BodyError;
use palanquin_filter_api::LocalReply;
use palanquin_filter_api::ResponseFlags;

use crate::codec::SendError;
use crate::codec::SendErrorKind;

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// No connection could be made; `reason` is Envoy's transport failure reason. Nothing was sent.
    #[error("remote connection failure: {reason}")]
    ConnectFailure {
        /// `delayed connect error: Connection refused`, `TLS_error:|...`.
        reason: Cow<'static, str>,
    },
    /// TCP and TLS together took longer than `connect_timeout`. Nothing was sent.
    #[error("connection timeout")]
    ConnectTimeout,
    /// No endpoint can be used.
    #[error("no healthy upstream")]
    NoHealthyUpstream,
    /// A circuit breaker refused the request. Nothing was sent.
    #[error("overflow")]
    Overflow,
    /// The upstream's answer broke the protocol.
    #[error("protocol error: {what}")]
    Protocol {
        /// What was wrong, for our own log.
        what: &'static str,
    },
    /// The upstream refused the stream before it looked at it; it may be sent again as it is.
    #[error("remote refused stream reset")]
    Refused,
    /// The body of the request failed: the client is gone or broke its framing. Nobody waits for an answer.
    #[error("the request body failed: {0}")]
    RequestBody(BodyError),
    /// The upstream reset the stream.
    #[error("remote reset")]
    Reset {
        /// As [`SendError::reused`].
        reused: bool,
        /// As [`SendError::bytes_sent`].
        bytes_sent: u64,
    },
    /// The upstream closed the connection before a response.
    #[error("connection termination")]
    Terminated {
        /// As [`SendError::reused`].
        reused: bool,
        /// As [`SendError::bytes_sent`].
        bytes_sent: u64,
    },
}

/// Whether attempts came before the one that failed: Envoy words its answer differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempted {
    /// It was the first.
    Once,
    /// It was a retry.
    Again,
}

impl SendFailure {
    /// The answer to the client: status, `UF`/`UO`/..., details and body as Envoy gives them.
    pub fn reply(&self, attempted: Attempted) -> LocalReply {
        let Some(reason) = self.reset_reason() else {
            return LocalReply::new(StatusCode::SERVICE_UNAVAILABLE, "no_healthy_upstream")
                .with_flags(self.flags())
                .with_body("no healthy upstream");
        };
        let retried = match attempted {
            Attempted::Once => "",
            Attempted::Again => "retried and the latest ",
        };
        let body = format!(
            "upstream connect error or disconnect/reset before headers. {retried}reset reason: {reason}"
        );
        let reply =
            LocalReply::new(self.status(), self.details()).with_flags(self.flags()).with_body(body);
        if *self == Self::Overflow { overloaded(reply) } else { reply }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Protocol { .. } => StatusCode::BAD_GATEWAY,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// `%RESPONSE_FLAGS%`.
    pub fn flags(&self) -> ResponseFlags {
        match self {
            Self::ConnectFailure { .. } | Self::ConnectTimeout => {
                ResponseFlags::UPSTREAM_CONNECTION_FAILURE
            }
            Self::NoHealthyUpstream => ResponseFlags::NO_HEALTHY_UPSTREAM,
            Self::Overflow => ResponseFlags::UPSTREAM_OVERFLOW,
            Self::Protocol { .. } => ResponseFlags::UPSTREAM_PROTOCOL_ERROR,
            Self::Refused | Self::Reset { .. } => ResponseFlags::UPSTREAM_REMOTE_RESET,
            Self::RequestBody(_) => ResponseFlags::DOWNSTREAM_CONNECTION_TERMINATION,
            Self::Terminated { .. } => ResponseFlags::UPSTREAM_CONNECTION_TERMINATION,
        }
    }

    /// Envoy's name of the reset reason; `None` when nothing was attempted.
    pub fn reset_reason(&self) -> Option<&'static str> {
        Some(match self {
            Self::ConnectFailure { .. } => "remote connection failure",
            Self::ConnectTimeout => "connection timeout",
            Self::NoHealthyUpstream => return None,
            Self::Overflow => "overflow",
            Self::Protocol { .. } => "protocol error",
            Self::Refused => "remote refused stream reset",
            Self::RequestBody(_) => "local reset",
            Self::Reset { .. } => "remote reset",
            Self::Terminated { .. } => "connection termination",
        })
    }

    /// `%RESPONSE_CODE_DETAILS%`: without spaces, with the transport's failure after a bar.
    pub fn details(&self) -> String {
        let Some(reason) = self.reset_reason() else { return "no_healthy_upstream".to_owned() };
        let bar = if self.transport_failure().is_some() { "|" } else { "" };
        let transport = self.transport_failure().unwrap_or_default();
        format!("upstream_reset_before_response_started{{{reason}{bar}{transport}}}")
            .replace(' ', "_")
    }

    /// `%UPSTREAM_TRANSPORT_FAILURE_REASON%`, with spaces.
    pub fn transport_failure(&self) -> Option<&str> {
        match self {
            // A peer that goes away in a handshake leaves no reason.
            Self::ConnectFailure { reason } if !reason.is_empty() => Some(reason),
            _ => None,
        }
    }

    /// True when some of the request may have reached the upstream: its body was read from.
    pub fn is_request_touched(&self) -> bool {
        match self {
            Self::Reset { bytes_sent, .. } | Self::Terminated { bytes_sent, .. } => *bytes_sent > 0,
            Self::Protocol { .. } | Self::RequestBody(_) | Self::Refused => true,
            Self::ConnectFailure { .. }
            | Self::ConnectTimeout
            | Self::NoHealthyUpstream
            | Self::Overflow => false,
        }
    }

    /// True when a peer closed an idle connection just as it was used again, and the request may be sent on
    /// another one whatever the retry policy says: its method is idempotent (RFC 9110 section 9.2.2), or
    /// no byte of it was written.
    pub fn is_stale_connection(&self, method: &Method) -> bool {
        match self {
            Self::Terminated { reused, bytes_sent } => {
                *reused && (method.is_idempotent() || *bytes_sent == 0)
            }
            // A stream that was reset was looked at.
            _ => false,
        }
    }

    /// Whether a retry policy with these conditions tries again (Envoy's `wouldRetryFromReset`).
    pub fn is_retried_on(&self, on: RetryOn) -> bool {
        let any = |conditions: &[RetryOn]| conditions.iter().any(|one| on.contains(*one));
        match self {
            Self::Overflow | Self::NoHealthyUpstream | Self::RequestBody(_) => false,
            _ if any(&[RetryOn::RESET, RetryOn::FIVE_XX, RetryOn::GATEWAY_ERROR]) => true,
            _ if on.contains(RetryOn::RESET_BEFORE_REQUEST) && !self.is_request_touched() => true,
            Self::Refused => on.contains(RetryOn::REFUSED_STREAM),
            Self::ConnectFailure { .. } | Self::ConnectTimeout => {
                on.contains(RetryOn::CONNECT_FAILURE)
            }
            _ => false,
        }
    }
}

impl From<SendError> for SendFailure {
    fn from(error: SendError) -> Self {
        let SendError { kind, reused, bytes_sent } = error;
        match kind {
            SendErrorKind::Closed => Self::Terminated { reused, bytes_sent },
            SendErrorKind::Protocol(what) => Self::Protocol { what },
            SendErrorKind::Refused => Self::Refused,
            SendErrorKind::RequestBody(error) => Self::RequestBody(error),
            SendErrorKind::Reset => Self::Reset { reused, bytes_sent },
        }
    }
}

fn overloaded(reply: LocalReply) -> LocalReply {
    reply.with_header(
        HeaderName::from_static("x-envoy-overloaded"),
        HeaderValue::from_static("true"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> SendFailure {
        SendFailure::ConnectFailure { reason: "delayed connect error: Connection refused".into() }
    }

    #[test]
    fn a_refused_connection_is_answered_as_envoy_does() {
        let reply = refused().reply(Attempted::Once);
        assert_eq!(reply.status, 503);
        assert_eq!(
            reply.body,
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
        );
        assert_eq!(
            reply.details,
            "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
        );
        assert_eq!(reply.flags, ResponseFlags::UPSTREAM_CONNECTION_FAILURE);
    }

    #[test]
    fn the_answer_after_a_retry_says_so() {
        let failure = SendFailure::Terminated { reused: false, bytes_sent: 9 };
        assert_eq!(
            failure.reply(Attempted::Again).body,
            "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: connection termination"
        );
    }

    #[test]
    fn an_overflow_says_that_it_is_one_and_is_never_retried() {
        let reply = SendFailure::Overflow.reply(Attempted::Once);
        assert_eq!(reply.headers["x-envoy-overloaded"], "true");
        assert_eq!(reply.details, "upstream_reset_before_response_started{overflow}");
        assert!(!SendFailure::Overflow.is_retried_on(RetryOn::parse("5xx,reset,connect-failure")));
    }

    #[test]
    fn a_protocol_error_is_a_bad_gateway() {
        let reply = SendFailure::Protocol { what: "two lengths" }.reply(Attempted::Once);
        assert_eq!(
            (reply.status.as_u16(), reply.flags),
            (502, ResponseFlags::UPSTREAM_PROTOCOL_ERROR)
        );
    }

    #[test]
    fn connect_failures_are_retried_on_their_own_condition() {
        assert!(refused().is_retried_on(RetryOn::CONNECT_FAILURE));
        assert!(refused().is_retried_on(RetryOn::RESET_BEFORE_REQUEST));
        assert!(SendFailure::ConnectTimeout.is_retried_on(RetryOn::CONNECT_FAILURE));
        assert!(!refused().is_retried_on(RetryOn::REFUSED_STREAM));
        let sent = SendFailure::Terminated { reused: true, bytes_sent: 1 };
        assert!(!sent.is_retried_on(RetryOn::RESET_BEFORE_REQUEST.with(RetryOn::CONNECT_FAILURE)));
        assert!(sent.is_retried_on(RetryOn::RESET));
    }

    #[test]
    fn only_a_reused_connection_that_died_is_stale_and_only_where_repeating_is_safe() {
        let died = |reused, bytes_sent| SendFailure::Terminated { reused, bytes_sent };
        assert!(died(true, 9).is_stale_connection(&Method::GET));
        assert!(died(true, 0).is_stale_connection(&Method::POST));
        assert!(!died(true, 9).is_stale_connection(&Method::POST));
        assert!(!died(false, 0).is_stale_connection(&Method::GET));
        let reset = SendFailure::Reset { reused: true, bytes_sent: 9 };
        assert!(!reset.is_stale_connection(&Method::GET));
    }
}
