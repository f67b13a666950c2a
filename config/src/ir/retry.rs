//! When and how a failed attempt is tried again.

use std::time::Duration;

use http::HeaderName;

use super::matcher::HeaderMatcher;

/// `route.v3.RetryPolicy`.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// The conditions.
    pub on: RetryOn,
    /// How often, beyond the first attempt. Default 1.
    pub num_retries: u32,
    /// The limit for one attempt; `None`: only the route's.
    pub per_try_timeout: Option<Duration>,
    /// Statuses for `retriable-status-codes`.
    pub retriable_status_codes: Vec<u16>,
    /// Response headers for `retriable-headers`.
    pub retriable_headers: Vec<HeaderMatcher>,
    /// Request headers that must match for any retry; empty: all requests.
    pub retriable_request_headers: Vec<HeaderMatcher>,
    /// The first pause: random in `0..base_interval`. Default 25 ms.
    pub base_interval: Duration,
    /// The longest pause. Default 10 times the base.
    pub max_interval: Duration,
    /// `rate_limited_retry_back_off`: headers that tell when to come back.
    pub reset_headers: Vec<ResetHeader>,
    /// The longest such pause. Default 300 s.
    pub reset_max_interval: Duration,
    /// `retry_host_predicate: previous_hosts`: an endpoint tried before is avoided.
    pub avoid_previous_hosts: bool,
    /// How often a pick is repeated to satisfy that. Default 1.
    pub host_selection_retry_max_attempts: u32,
}

/// A header that says when to retry.
#[derive(Debug, Clone)]
pub struct ResetHeader {
    /// The header.
    pub name: HeaderName,
    /// Whether it holds a Unix time rather than seconds from now.
    pub unix_timestamp: bool,
}

/// A set of retry conditions: `retry_on` and `x-envoy-retry-on`, `x-envoy-retry-grpc-on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetryOn(u32);

impl RetryOn {
    /// Any 5xx, or no response at all.
    pub const FIVE_XX: Self = Self(1);
    /// 502, 503 or 504.
    pub const GATEWAY_ERROR: Self = Self(1 << 1);
    /// The connection could not be made.
    pub const CONNECT_FAILURE: Self = Self(1 << 2);
    /// 409.
    pub const RETRIABLE_4XX: Self = Self(1 << 3);
    /// The upstream refused the stream (REFUSED_STREAM).
    pub const REFUSED_STREAM: Self = Self(1 << 4);
    /// One of the policy's statuses.
    pub const RETRIABLE_STATUS_CODES: Self = Self(1 << 5);
    /// One of the policy's response headers.
    pub const RETRIABLE_HEADERS: Self = Self(1 << 6);
    /// The upstream did not answer (disconnect, reset, read timeout).
    pub const RESET: Self = Self(1 << 7);
    /// As reset, but only before anything was sent.
    pub const RESET_BEFORE_REQUEST: Self = Self(1 << 8);
    /// gRPC status CANCELLED.
    pub const GRPC_CANCELLED: Self = Self(1 << 9);
    /// gRPC status DEADLINE_EXCEEDED.
    pub const GRPC_DEADLINE_EXCEEDED: Self = Self(1 << 10);
    /// gRPC status RESOURCE_EXHAUSTED.
    pub const GRPC_RESOURCE_EXHAUSTED: Self = Self(1 << 11);
    /// gRPC status UNAVAILABLE.
    pub const GRPC_UNAVAILABLE: Self = Self(1 << 12);
    /// gRPC status INTERNAL.
    pub const GRPC_INTERNAL: Self = Self(1 << 13);
    /// `x-envoy-ratelimited` does not forbid a retry.
    pub const ENVOY_RATELIMITED: Self = Self(1 << 14);
    /// HTTP/3 failed after the connection was made.
    pub const HTTP3_POST_CONNECT_FAILURE: Self = Self(1 << 15);

    /// The names, as `retry_on` lists them.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("5xx", Self::FIVE_XX),
        ("gateway-error", Self::GATEWAY_ERROR),
        ("connect-failure", Self::CONNECT_FAILURE),
        ("envoy-ratelimited", Self::ENVOY_RATELIMITED),
        ("retriable-4xx", Self::RETRIABLE_4XX),
        ("refused-stream", Self::REFUSED_STREAM),
        ("retriable-status-codes", Self::RETRIABLE_STATUS_CODES),
        ("retriable-headers", Self::RETRIABLE_HEADERS),
        ("reset", Self::RESET),
        ("reset-before-request", Self::RESET_BEFORE_REQUEST),
        ("http3-post-connect-failure", Self::HTTP3_POST_CONNECT_FAILURE),
        ("cancelled", Self::GRPC_CANCELLED),
        ("deadline-exceeded", Self::GRPC_DEADLINE_EXCEEDED),
        ("resource-exhausted", Self::GRPC_RESOURCE_EXHAUSTED),
        ("unavailable", Self::GRPC_UNAVAILABLE),
        ("internal", Self::GRPC_INTERNAL),
    ];

    /// Reads a comma-separated list; names it does not know are left out, as Envoy does.
    pub fn parse(list: &str) -> Self {
        list.split(',').map(str::trim).fold(Self::default(), |set, word| {
            let known = Self::NAMES.iter().find(|(name, _)| *name == word);
            known.map_or(set, |(_, flag)| set.with(*flag))
        })
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True when every condition of `other` is in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True when nothing is retried.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}
