//! How many requests may be sent: Envoy's `ApiConfigSource.rate_limit_settings`.

use std::time::Duration;
use std::time::Instant;

/// A token bucket for requests on the stream. Envoy's defaults, once it is switched on: a bucket
/// of 100, filled at 10 a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// Size of the bucket: requests that may go out in one burst. At least 1 is used.
    pub max_tokens: u32,
    /// Requests per second after the burst. Values that are not positive count as 0.001.
    pub tokens_per_second: f64,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { max_tokens: 100, tokens_per_second: 10.0 }
    }
}

/// The bucket: pure, the caller owns the clock.
#[derive(Debug)]
pub(crate) struct Bucket {
    capacity: f64,
    rate: f64,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    pub(crate) fn new(limit: RateLimit, now: Instant) -> Self {
        let capacity = f64::from(limit.max_tokens.max(1));
        let rate = limit.tokens_per_second.max(0.001);
        Self { capacity, rate, tokens: capacity, filled_at: now }
    }

    /// Takes a token, or says how long until there is one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = elapsed.mul_add(self.rate, self.tokens).min(self.capacity);
        self.filled_at = now;
        // A wait is rounded to nanoseconds, so a full token may come out a trifle short.
        if self.tokens >= 1.0 - 1e-6 {
            self.tokens = (self.tokens - 1.0).max(0.0);
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_the_steady_rate() {
        let start = Instant::now();
        let limit = RateLimit { max_tokens: 3, tokens_per_second: 10.0 };
        let mut bucket = Bucket::new(limit, start);
        (0..3).for_each(|_| bucket.take(start).unwrap());

        let wait = bucket.take(start).unwrap_err();

        assert!(wait.abs_diff(Duration::from_millis(100)) < Duration::from_millis(1), "{wait:?}");
        assert_eq!(bucket.take(start + wait), Ok(()));
        assert!(bucket.take(start + wait).is_err());
    }
}
