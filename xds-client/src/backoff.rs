//! How long to wait before the next stream.

use std::hash::BuildHasher;
use std::time::Duration;

/// Exponential back-off with jitter. Envoy's defaults: 500 ms, doubling up to 30 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffPolicy {
    /// The longest wait after the first failure. At least 1 ms is used.
    pub base: Duration,
    /// The longest wait at all.
    pub max: Duration,
}

impl Default for BackoffPolicy {
    fn default() -> Self {
        Self { base: Duration::from_millis(500), max: Duration::from_secs(30) }
    }
}

/// The state of the back-off: pure, the caller owns the clock.
#[derive(Debug)]
pub(crate) struct Backoff {
    policy: BackoffPolicy,
    ceiling: Duration,
    random: u64,
}

impl Backoff {
    /// Starts at the base. `seed` spreads a fleet that lost its control plane at one moment.
    pub(crate) fn new(policy: BackoffPolicy, seed: u64) -> Self {
        Self { policy, ceiling: policy.base, random: seed }
    }

    /// A seed that differs between processes: the standard library's own randomness.
    pub(crate) fn random_seed() -> u64 {
        std::collections::hash_map::RandomState::new().hash_one(0_u8)
    }

    /// The next wait: between half of the current ceiling and all of it; then the ceiling doubles.
    ///
    /// Never less than half: full jitter would now and then reconnect at once.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let ceiling = self.ceiling.min(self.policy.max).max(Duration::from_millis(1));
        self.ceiling = ceiling.saturating_mul(2).min(self.policy.max);
        let half = ceiling / 2;
        half + half.mul_f64(self.next_fraction())
    }

    /// The stream proved healthy: the next failure starts at the base again.
    pub(crate) fn reset(&mut self) {
        self.ceiling = self.policy.base;
    }

    /// In `[0, 1)`. SplitMix64 (Steele, Lea, Flood 2014): jitter needs no better generator.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit the mantissa of an f64")]
    fn next_fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLIS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn waits_double_up_to_the_maximum() {
        let mut backoff = Backoff::new(BackoffPolicy::default(), 7);
        let mut ceiling = 500;
        for _ in 0..12 {
            let wait = backoff.next_wait();
            assert!(wait >= MILLIS(ceiling / 2) && wait <= MILLIS(ceiling), "{wait:?}");
            ceiling = (ceiling * 2).min(30_000);
        }
    }

    #[test]
    fn a_healthy_stream_starts_the_waits_again() {
        let mut backoff = Backoff::new(BackoffPolicy::default(), 7);
        assert!((0..6).map(|_| backoff.next_wait()).max() > Some(MILLIS(500)));
        backoff.reset();
        assert!(backoff.next_wait() <= MILLIS(500));
    }

    #[test]
    fn two_seeds_wait_differently() {
        let mut one = Backoff::new(BackoffPolicy::default(), 1);
        let mut two = Backoff::new(BackoffPolicy::default(), 2);
        assert_ne!(one.next_wait(), two.next_wait());
    }
}
