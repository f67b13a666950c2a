//! Envoy's response flags: what happened to a request, in two or three letters each.

use std::fmt;
use std::ops::BitOr;
use std::ops::BitOrAssign;

/// A set of response flags, written as `%RESPONSE_FLAGS%` does: `UF,URX`, or `-` when empty.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ResponseFlags(u32);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $short:literal, $long:literal;)*) => {
        impl ResponseFlags {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*
            /// Every flag with its short and its long name, in Envoy's order.
            pub const ALL: &'static [(Self, &'static str, &'static str)] = &[$((Self::$name, $short, $long)),*];
        }
    };
}

flags! {
    /// No healthy host in the upstream cluster (503).
    NO_HEALTHY_UPSTREAM = 0, "UH", "NoHealthyUpstream";
    /// Upstream connection failed (503).
    UPSTREAM_CONNECTION_FAILURE = 1, "UF", "UpstreamConnectionFailure";
    /// Upstream overflow: a circuit breaker tripped (503).
    UPSTREAM_OVERFLOW = 2, "UO", "UpstreamOverflow";
    /// No route found (404), or no filter chain for a connection.
    NO_ROUTE_FOUND = 3, "NR", "NoRouteFound";
    /// The upstream retry limit was reached.
    UPSTREAM_RETRY_LIMIT_EXCEEDED = 4, "URX", "UpstreamRetryLimitExceeded";
    /// The route's cluster does not exist.
    NO_CLUSTER_FOUND = 5, "NC", "NoClusterFound";
    /// The request or connection exceeded its maximum duration.
    DURATION_TIMEOUT = 6, "DT", "DurationTimeout";
    /// The downstream connection ended.
    DOWNSTREAM_CONNECTION_TERMINATION = 7, "DC", "DownstreamConnectionTermination";
    /// A local health check failed (503).
    FAILED_LOCAL_HEALTH_CHECK = 8, "LH", "FailedLocalHealthCheck";
    /// The upstream request timed out (504).
    UPSTREAM_REQUEST_TIMEOUT = 9, "UT", "UpstreamRequestTimeout";
    /// The connection was reset locally (503).
    LOCAL_RESET = 10, "LR", "LocalReset";
    /// The upstream reset the stream (503).
    UPSTREAM_REMOTE_RESET = 11, "UR", "UpstreamRemoteReset";
    /// The upstream connection ended (503).
    UPSTREAM_CONNECTION_TERMINATION = 12, "UC", "UpstreamConnectionTermination";
    /// A delay was injected.
    DELAY_INJECTED = 13, "DI", "DelayInjected";
    /// An abort was injected.
    FAULT_INJECTED = 14, "FI", "FaultInjected";
    /// Rate limited (429).
    RATE_LIMITED = 15, "RL", "RateLimited";
    /// Denied by an external authorization service.
    UNAUTHORIZED_EXTERNAL_SERVICE = 16, "UAEX", "UnauthorizedExternalService";
    /// The rate limit service failed.
    RATELIMIT_SERVICE_ERROR = 17, "RLSE", "RateLimitServiceError";
    /// A header had an invalid value for a strictly checked field.
    INVALID_ENVOY_REQUEST_HEADERS = 18, "IH", "InvalidEnvoyRequestHeaders";
    /// The stream was idle for too long (408 or 504).
    STREAM_IDLE_TIMEOUT = 19, "SI", "StreamIdleTimeout";
    /// The downstream broke the protocol.
    DOWNSTREAM_PROTOCOL_ERROR = 20, "DPE", "DownstreamProtocolError";
    /// The upstream broke the protocol.
    UPSTREAM_PROTOCOL_ERROR = 21, "UPE", "UpstreamProtocolError";
    /// The upstream reached its maximum stream duration.
    UPSTREAM_MAX_STREAM_DURATION_REACHED = 22, "UMSDR", "UpstreamMaxStreamDurationReached";
    /// The response was served from a cache.
    RESPONSE_FROM_CACHE_FILTER = 23, "RFCF", "ResponseFromCacheFilter";
    /// The filter configuration had not arrived.
    NO_FILTER_CONFIG_FOUND = 24, "NFCF", "NoFilterConfigFound";
    /// The overload manager ended the request.
    OVERLOAD_MANAGER_TERMINATED = 25, "OM", "OverloadManagerTerminated";
    /// Name resolution failed.
    DNS_RESOLUTION_FAILURE = 26, "DF", "DnsResolutionFailed";
    /// The upstream was dropped on purpose.
    DROP_OVERLOAD = 27, "DO", "DropOverload";
    /// The downstream reset the stream.
    DOWNSTREAM_REMOTE_RESET = 28, "DR", "DownstreamRemoteReset";
    /// A tenant's own breaker or limit refused the request (Palanquin's own flag).
    TENANT_OVERFLOW = 29, "TO", "TenantOverflow";
}

impl ResponseFlags {
    /// True when every flag of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True when no flag is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The long names, as `%RESPONSE_FLAGS_LONG%` prints them.
    pub fn long(self) -> impl fmt::Display {
        struct Long(ResponseFlags);
        impl fmt::Display for Long {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_names(self.0, f, |(_, _, long)| long)
            }
        }
        Long(self)
    }
}

impl BitOr for ResponseFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for ResponseFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Display for ResponseFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_names(*self, f, |(_, short, _)| short)
    }
}

impl fmt::Debug for ResponseFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseFlags({self})")
    }
}

fn write_names(
    flags: ResponseFlags,
    f: &mut fmt::Formatter<'_>,
    name: fn(&'static (ResponseFlags, &'static str, &'static str)) -> &'static str,
) -> fmt::Result {
    let mut separator = "";
    for flag in ResponseFlags::ALL {
        if flags.contains(flag.0) {
            f.write_str(separator)?;
            f.write_str(name(flag))?;
            separator = ",";
        }
    }
    if separator.is_empty() { f.write_str("-") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::ResponseFlags;

    #[test]
    fn flags_print_in_envoys_order_and_a_dash_when_empty() {
        let flags = ResponseFlags::UPSTREAM_RETRY_LIMIT_EXCEEDED
            | ResponseFlags::UPSTREAM_CONNECTION_FAILURE;
        assert_eq!(flags.to_string(), "UF,URX");
        assert_eq!(ResponseFlags::default().to_string(), "-");
        assert_eq!(
            flags.long().to_string(),
            "UpstreamConnectionFailure,UpstreamRetryLimitExceeded"
        );
    }
}
