//! When to ask again. Pure: told what happened, it says how long to wait.

use std::time::Duration;

use palanquin_config::ir::cluster::Dns;

use crate::worker::Rng;

/// The pace of one name.
#[derive(Debug)]
pub(super) struct Schedule {
    refresh: Duration,
    on_failure: Option<(Duration, Duration)>,
    respect_ttl: bool,
    failures: u32,
}

impl Schedule {
    pub(super) fn new(dns: &Dns) -> Self {
        Self {
            refresh: dns.refresh_rate,
            on_failure: dns.failure_refresh_rate,
            respect_ttl: dns.respect_ttl,
            failures: 0,
        }
    }

    /// After an answer: its time to live if that counts, or the refresh rate.
    pub(super) fn after_success(&mut self, ttl: Option<Duration>) -> Duration {
        self.failures = 0;
        let ttl = ttl.filter(|ttl| self.respect_ttl && !ttl.is_zero());
        ttl.unwrap_or(self.refresh).max(SHORTEST)
    }

    /// After a failure: a random pause below a bound that doubles, or the refresh rate.
    pub(super) fn after_failure(&mut self, rng: &Rng) -> Duration {
        let Some((base, max)) = self.on_failure else { return self.refresh.max(SHORTEST) };
        let bound = base.saturating_mul(1 << self.failures.min(MAX_DOUBLINGS)).min(max);
        self.failures = self.failures.saturating_add(1);
        let millis = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(rng.below(millis)).max(SHORTEST)
    }
}

/// Whatever is configured or answered, no name is asked for more often: Envoy accepts 1 ms, which only a
/// mistake can mean.
const SHORTEST: Duration = Duration::from_millis(10);

/// 2^16 times the base is beyond any maximum that makes sense.
const MAX_DOUBLINGS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule(respect_ttl: bool, on_failure: Option<(Duration, Duration)>) -> Schedule {
        Schedule { refresh: 5 * SECOND, on_failure, respect_ttl, failures: 0 }
    }

    #[test]
    fn the_time_to_live_counts_only_where_it_is_respected() {
        assert_eq!(schedule(false, None).after_success(Some(SECOND)), 5 * SECOND);
        assert_eq!(schedule(true, None).after_success(Some(SECOND)), SECOND);
        assert_eq!(schedule(true, None).after_success(None), 5 * SECOND);
        assert_eq!(schedule(true, None).after_success(Some(Duration::ZERO)), 5 * SECOND);
    }

    #[test]
    fn pauses_after_failures_grow_to_their_maximum_and_begin_anew() {
        let rng = Rng::seeded(5);
        let mut schedule = schedule(false, Some((SECOND, 10 * SECOND)));
        for bound in [1, 2, 4, 8, 10, 10] {
            assert!(schedule.after_failure(&rng) <= bound * SECOND);
        }
        schedule.after_success(None);
        assert!(schedule.after_failure(&rng) <= SECOND);
    }

    #[test]
    fn without_a_back_off_failures_are_retried_at_the_refresh_rate() {
        assert_eq!(schedule(false, None).after_failure(&Rng::seeded(1)), 5 * SECOND);
    }
}
