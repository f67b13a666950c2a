//! Rapid reset (CVE-2023-44487): a client that resets most of what it asks for, at whatever pace.

use std::time::Duration;

/// A stream that its client resets sooner than this was hardly opened for its answer. Envoy's default
/// (`overload.premature_reset_min_stream_lifetime_seconds`).
const PREMATURE: Duration = Duration::from_secs(1);

/// Streams to judge a connection by; Envoy's default (`overload.premature_reset_total_stream_count`).
const JUDGED_STREAMS: u32 = 500;

/// Counts the streams of a connection from a client.
#[derive(Debug, Default)]
pub(super) struct ResetWatch {
    ended: u32,
    premature: u32,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// The client reset it so long after its beginning.
    Reset(Duration),
    /// Its response was sent, or the proxy ended it.
    Served,
}

impl ResetWatch {
    /// Notes the end of a stream. True when the client has to be told to calm down: more than half of its
    /// streams, and of no fewer than 500, were reset at once.
    pub(super) fn is_excessive(&mut self, end: StreamEnd) -> bool {
        self.ended = self.ended.saturating_add(1);
        match end {
            StreamEnd::Reset(lifetime) if lifetime < PREMATURE => self.premature += 1,
            _ => return false,
        }
        self.premature > self.ended.max(JUDGED_STREAMS) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: StreamEnd = StreamEnd::Reset(Duration::from_millis(5));

    #[test]
    fn a_client_that_only_resets_is_stopped_after_250_streams() {
        let mut watch = ResetWatch::default();
        assert_eq!((0..1000).position(|_| watch.is_excessive(AT_ONCE)), Some(250));
    }

    #[test]
    fn a_client_that_cancels_less_than_half_of_its_requests_is_served() {
        let mut watch = ResetWatch::default();
        for _ in 0..10_000 {
            assert!(!watch.is_excessive(StreamEnd::Served));
            assert!(!watch.is_excessive(AT_ONCE));
        }
    }

    #[test]
    fn streams_that_lived_long_may_be_cancelled_without_end() {
        let mut watch = ResetWatch::default();
        assert!((0..10_000).all(|_| !watch.is_excessive(StreamEnd::Reset(PREMATURE))));
    }
}
