//! Rates and concurrency: what a tenant may use, and the counters that say what it does.
//!
//! A rate is a token bucket in its GCRA form: one atomic holds the moment at which the bucket will be full
//! again. It knows nothing of the rate itself, so a changed configuration goes on with the same state.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header::RETRY_AFTER;
use palanquin_filter_api::LocalReply;
use palanquin_filter_api::ResponseFlags;
use smallvec::SmallVec;

use super::RESOURCE_EXHAUSTED;

/// The most rates of one quota.
pub(super) const MAX_RATES: usize = 4;

/// `palanquin.tenant.v1.Quota`.
#[derive(Debug, Clone)]
pub(super) struct Quota {
    /// At most [`MAX_RATES`].
    pub(super) rates: Vec<Rate>,
    pub(super) max_concurrent_requests: Option<u32>,
    pub(super) reject_status: StatusCode,
    /// `retry-after` and `ratelimit-*` headers.
    pub(super) tell: bool,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            rates: Vec::new(),
            max_concurrent_requests: None,
            reject_status: StatusCode::TOO_MANY_REQUESTS,
            tell: false,
        }
    }
}

/// `palanquin.tenant.v1.Rate`.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    /// Tokens per period, for the `ratelimit-limit` header.
    pub(super) requests: u32,
    /// The time one token takes to come back, in nanoseconds; at least 1.
    pub(super) interval: u64,
    /// The most tokens at once.
    pub(super) burst: u32,
    /// A header that says how many tokens a request costs.
    pub(super) cost_header: Option<HeaderName>,
}

/// What is used of one quota, by all workers. All orderings are relaxed: no other memory depends on these
/// numbers, and each decision is one atomic operation on one of them.
#[derive(Debug, Default)]
pub(super) struct Usage {
    full_at: [AtomicU64; MAX_RATES],
    active: AtomicU32,
}

/// Why a request is refused, and the answer.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) kind: Limit,
    pub(super) reply: Box<LocalReply>,
}

/// Which limit refused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Concurrency,
    Rate,
}

/// An empty bucket.
#[derive(Debug, PartialEq, Eq)]
struct Empty {
    /// Until the tokens asked for are there.
    wait: Duration,
    /// Tokens there now.
    remaining: u64,
}

impl Rate {
    fn cost(&self, headers: &HeaderMap) -> u64 {
        let asked = self
            .cost_header
            .as_ref()
            .and_then(|name| headers.get(name)?.to_str().ok()?.trim().parse().ok());
        // Nothing is free, and what costs more than the bucket holds empties it.
        asked.unwrap_or(1_u64).clamp(1, u64::from(self.burst))
    }

    /// Takes tokens at `now` (nanoseconds).
    fn take(&self, full_at: &AtomicU64, now: u64, cost: u64) -> Result<(), Empty> {
        let depth = self.interval.saturating_mul(u64::from(self.burst));
        let price = self.interval.saturating_mul(cost);
        let mut seen = full_at.load(Ordering::Relaxed);
        loop {
            let missing = seen.saturating_sub(now);
            let after = missing.saturating_add(price);
            if after > depth {
                return Err(Empty {
                    wait: Duration::from_nanos(after - depth),
                    remaining: depth.saturating_sub(missing) / self.interval,
                });
            }
            let next = now.saturating_add(after);
            match full_at.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => seen = other,
            }
        }
    }

    /// Puts tokens back that were taken for a request that was refused after all.
    fn give_back(&self, full_at: &AtomicU64, cost: u64) {
        let price = self.interval.saturating_mul(cost);
        let _ = full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seen| {
            Some(seen.saturating_sub(price))
        });
    }
}

impl Usage {
    /// Takes what a request needs of `quota`, or nothing.
    pub(super) fn admit(
        &self,
        now: u64,
        headers: &HeaderMap,
        quota: &Quota,
    ) -> Result<(), Refusal> {
        let mut taken: SmallVec<[u64; MAX_RATES]> = SmallVec::new();
        let give_back = |taken: &[u64]| {
            for ((rate, full_at), cost) in quota.rates.iter().zip(&self.full_at).zip(taken) {
                rate.give_back(full_at, *cost);
            }
        };
        for (rate, full_at) in quota.rates.iter().zip(&self.full_at) {
            let cost = rate.cost(headers);
            if let Err(empty) = rate.take(full_at, now, cost) {
                give_back(&taken);
                return Err(Refusal {
                    kind: Limit::Rate,
                    reply: Box::new(quota.rate_reply(rate, &empty)),
                });
            }
            taken.push(cost);
        }
        let before = self.enter();
        if quota.max_concurrent_requests.is_some_and(|limit| before >= limit) {
            self.leave();
            give_back(&taken);
            return Err(Refusal {
                kind: Limit::Concurrency,
                reply: Box::new(quota.concurrency_reply()),
            });
        }
        Ok(())
    }

    /// Counts a request; the result is how many there were.
    pub(super) fn enter(&self) -> u32 {
        self.active.fetch_add(1, Ordering::Relaxed)
    }

    /// The request is over.
    pub(super) fn leave(&self) {
        self.active.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn active(&self) -> u32 {
        self.active.load(Ordering::Relaxed)
    }
}

impl Quota {
    fn rate_reply(&self, rate: &Rate, empty: &Empty) -> LocalReply {
        let reply = self.reply("tenant_rate_limited");
        if !self.tell {
            return reply;
        }
        // Whole seconds, never too early.
        let seconds = empty.wait.as_secs() + u64::from(empty.wait.subsec_nanos() > 0);
        reply
            .with_header(RETRY_AFTER, HeaderValue::from(seconds))
            .with_header(HeaderName::from_static("ratelimit-limit"), rate.requests.into())
            .with_header(HeaderName::from_static("ratelimit-remaining"), empty.remaining.into())
            .with_header(HeaderName::from_static("ratelimit-reset"), HeaderValue::from(seconds))
    }

    fn concurrency_reply(&self) -> LocalReply {
        let reply = self.reply("tenant_concurrency_limited");
        if !self.tell {
            return reply;
        }
        // Nobody knows when a request will be over.
        reply.with_header(RETRY_AFTER, HeaderValue::from(1))
    }

    fn reply(&self, details: &'static str) -> LocalReply {
        LocalReply::new(self.reject_status, details)
            .with_body(details)
            .with_flags(ResponseFlags::RATE_LIMITED | ResponseFlags::TENANT_OVERFLOW)
            .with_grpc_status(RESOURCE_EXHAUSTED)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use http::HeaderMap;

    use super::{Empty, Limit, Quota, Rate, Usage};

    const SECOND: u64 = 1_000_000_000;

    fn rate(requests: u32, burst: u32) -> Rate {
        Rate { requests, interval: SECOND / u64::from(requests), burst, cost_header: None }
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let rate = rate(10, 3);
        let full_at = AtomicU64::new(0);
        let now = 5 * SECOND;
        for _ in 0..3 {
            assert_eq!(rate.take(&full_at, now, 1), Ok(()));
        }
        let wait = Duration::from_millis(100);
        assert_eq!(rate.take(&full_at, now, 1), Err(Empty { wait, remaining: 0 }));
        assert_eq!(rate.take(&full_at, now + SECOND / 10, 1), Ok(()));
        assert!(rate.take(&full_at, now + SECOND / 10, 1).is_err());
        // Time that passes does not fill it beyond its burst.
        for _ in 0..3 {
            assert_eq!(rate.take(&full_at, now + 60 * SECOND, 1), Ok(()));
        }
        assert!(rate.take(&full_at, now + 60 * SECOND, 1).is_err());
    }

    #[test]
    fn a_refusal_by_a_later_limit_takes_nothing() {
        let quota = Quota {
            rates: vec![rate(10, 10)],
            max_concurrent_requests: Some(1),
            ..Quota::default()
        };
        let usage = Usage::default();
        let headers = HeaderMap::new();
        assert!(usage.admit(SECOND, &headers, &quota).is_ok());
        for _ in 0..50 {
            let refusal = usage.admit(SECOND, &headers, &quota).unwrap_err();
            assert_eq!(refusal.kind, Limit::Concurrency);
        }
        usage.leave();
        for _ in 0..9 {
            assert!(usage.admit(SECOND, &headers, &quota).is_ok());
            usage.leave();
        }
        assert_eq!(usage.admit(SECOND, &headers, &quota).unwrap_err().kind, Limit::Rate);
    }

    #[test]
    fn threads_never_hold_more_than_the_limit_or_take_more_than_the_burst() {
        let quota = Quota {
            rates: vec![rate(1, 100)],
            max_concurrent_requests: Some(7),
            ..Quota::default()
        };
        let usage = Usage::default();
        let admitted = AtomicU64::new(0);
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..2000 {
                        if usage.admit(SECOND, &HeaderMap::new(), &quota).is_ok() {
                            assert!(
                                usage.active() <= 7 + 3,
                                "three others may be on their way out"
                            );
                            admitted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                            usage.leave();
                        }
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), 100);
        assert_eq!(usage.active(), 0);
    }
}
