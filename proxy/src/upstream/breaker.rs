//! Circuit breakers: how many connections, waiting requests, requests and retries a cluster may have.
//!
//! Counted exactly over all workers: a count and its limit share one atomic word, so that a permit is
//! never given beyond the limit and the `circuit_breakers.*_open` gauge changes exactly when the limit
//! is reached or left. Orderings are relaxed: no other memory depends on a count.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwapOption;

use palanquin_config::ir::Priority;
use palanquin_config::ir::cluster::Thresholds;
use palanquin_filter_api::stats::Gauge;
use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::cluster as stat;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Connections, open or being made.
    Connections,
    /// Requests that wait for a connection.
    Pending,
    /// Requests in flight.
    Requests,
    /// Retries, from the decision to try again until the attempt is over.
    Retries,
}

/// The limits of one cluster for one priority. Outlives changes of the cluster's configuration.
#[derive(Debug)]
pub struct Breaker {
    /// Limit in the upper half, count in the lower; by [`Resource`].
    words: [AtomicU64; 4],
    retry_budget: ArcSwapOption<(f64, u32)>,
    priority: Priority,
    stats: Arc<Scope>,
}

/// A worker's handle: cloning it, and so every permit, costs no atomic operation beyond the count itself.
#[derive(Debug, Clone)]
pub struct LocalBreaker(
    #[expect(clippy::redundant_allocation, reason = "a clone must not touch the shared count")]
    Rc<Arc<Breaker>>,
);

/// A counted unit of a [`Resource`], given back on drop.
#[derive(Debug)]
#[must_use = "dropping the permit gives it back"]
pub struct Permit {
    breaker: LocalBreaker,
    resource: Resource,
}

const COUNT: u64 = u32::MAX as u64;

impl Breaker {
    /// A breaker with nothing counted.
    pub fn new(thresholds: &Thresholds, priority: Priority, stats: Arc<Scope>) -> Self {
        let breaker = Self {
            words: [const { AtomicU64::new(0) }; 4],
            retry_budget: ArcSwapOption::empty(),
            priority,
            stats,
        };
        breaker.set_limits(thresholds);
        breaker
    }

    /// Changes the limits; what is counted stays counted. A lower limit takes effect as permits return.
    pub fn set_limits(&self, thresholds: &Thresholds) {
        // A budget moves with the number of requests, so the fixed limit is out of the way.
        let retries =
            if thresholds.retry_budget.is_some() { u32::MAX } else { thresholds.max_retries };
        self.retry_budget.store(thresholds.retry_budget.map(Arc::new));
        for (resource, limit) in [
            (Resource::Connections, thresholds.max_connections),
            (Resource::Pending, thresholds.max_pending_requests),
            (Resource::Requests, thresholds.max_requests),
            (Resource::Retries, retries),
        ] {
            let limit = u64::from(limit) << 32;
            self.change(resource, |word| Some(limit | (word & COUNT)));
        }
    }

    /// How many are counted now.
    pub fn count(&self, resource: Resource) -> u32 {
        (self.word(resource).load(Ordering::Relaxed) & COUNT) as u32
    }

    /// The limit; for retries under a budget, what the budget allows now.
    pub fn limit(&self, resource: Resource) -> u32 {
        if resource == Resource::Retries
            && let Some(budget) = &*self.retry_budget.load()
        {
            return self.retries_within(**budget);
        }
        (self.word(resource).load(Ordering::Relaxed) >> 32) as u32
    }

    /// Envoy's `RetryBudgetImpl`: a share of active and waiting requests, but a least number always.
    fn retries_within(&self, (percent, least): (f64, u32)) -> u32 {
        let active = self.count(Resource::Requests).saturating_add(self.count(Resource::Pending));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float cast saturates, and fractions of a retry are dropped on purpose"
        )]
        let share = (f64::from(active) * percent / 100.0) as u32;
        share.max(least)
    }

    fn word(&self, resource: Resource) -> &AtomicU64 {
        &self.words[resource as usize]
    }

    /// Changes a word and moves the gauge if that opened or closed the breaker.
    fn change(&self, resource: Resource, f: impl Fn(u64) -> Option<u64>) -> bool {
        let word = self.word(resource);
        let Ok(before) = word.try_update(Ordering::Relaxed, Ordering::Relaxed, &f) else {
            return false;
        };
        if let Some(after) = f(before) {
            match (is_open(before), is_open(after)) {
                (false, true) => self.stats.raise(self.gauge(resource)),
                (true, false) => self.stats.lower(self.gauge(resource)),
                _ => {}
            }
        }
        true
    }

    fn gauge(&self, resource: Resource) -> Gauge {
        match (self.priority, resource) {
            (Priority::Default, Resource::Connections) => stat::CIRCUIT_BREAKERS_DEFAULT_CX_OPEN,
            (Priority::Default, Resource::Pending) => {
                stat::CIRCUIT_BREAKERS_DEFAULT_RQ_PENDING_OPEN
            }
            (Priority::Default, Resource::Requests) => stat::CIRCUIT_BREAKERS_DEFAULT_RQ_OPEN,
            (Priority::Default, Resource::Retries) => stat::CIRCUIT_BREAKERS_DEFAULT_RQ_RETRY_OPEN,
            (Priority::High, Resource::Connections) => stat::CIRCUIT_BREAKERS_HIGH_CX_OPEN,
            (Priority::High, Resource::Pending) => stat::CIRCUIT_BREAKERS_HIGH_RQ_PENDING_OPEN,
            (Priority::High, Resource::Requests) => stat::CIRCUIT_BREAKERS_HIGH_RQ_OPEN,
            (Priority::High, Resource::Retries) => stat::CIRCUIT_BREAKERS_HIGH_RQ_RETRY_OPEN,
        }
    }
}

/// Open: the limit is reached. With nothing counted it is not shown as open, as in Envoy, even if the
/// limit is zero.
fn is_open(word: u64) -> bool {
    let (limit, count) = (word >> 32, word & COUNT);
    count >= limit.max(1)
}

impl LocalBreaker {
    /// A handle for one worker.
    pub fn new(breaker: Arc<Breaker>) -> Self {
        Self(Rc::new(breaker))
    }

    /// A permit, unless the limit is reached.
    pub fn try_acquire(&self, resource: Resource) -> Option<Permit> {
        if resource == Resource::Retries && self.0.count(resource) >= self.0.limit(resource) {
            return None;
        }
        let admitted =
            self.0.change(resource, |word| ((word & COUNT) < (word >> 32)).then_some(word + 1));
        admitted.then(|| self.permit(resource))
    }

    /// A permit whether the limit is reached or not: for the one connection a pool may always have.
    pub fn acquire(&self, resource: Resource) -> Permit {
        // 2^32 connections cannot exist, so the count never runs into the limit's half.
        self.0.change(resource, |word| Some(word + 1));
        self.permit(resource)
    }

    /// The breaker.
    pub fn shared(&self) -> &Arc<Breaker> {
        &self.0
    }

    fn permit(&self, resource: Resource) -> Permit {
        Permit { breaker: self.clone(), resource }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.breaker.0.change(self.resource, |word| Some(word - 1));
    }
}

#[cfg(test)]
mod tests {
    use palanquin_filter_api::stats::Registry;

    use super::*;

    fn breaker(thresholds: &Thresholds) -> LocalBreaker {
        let stats = Registry::new(1).scope(&stat::KIND, "cluster.test", Vec::new());
        LocalBreaker::new(Arc::new(Breaker::new(thresholds, Priority::Default, stats)))
    }

    fn one_of_each() -> Thresholds {
        Thresholds {
            max_connections: 1,
            max_pending_requests: 1,
            max_requests: 1,
            max_retries: 1,
            retry_budget: None,
        }
    }

    #[test]
    fn a_permit_is_given_back_on_drop() {
        let breaker = breaker(&one_of_each());
        let permit = breaker.try_acquire(Resource::Requests);
        assert!(permit.is_some());
        assert!(breaker.try_acquire(Resource::Requests).is_none());
        drop(permit);
        assert!(breaker.try_acquire(Resource::Requests).is_some());
    }

    #[test]
    fn the_gauge_shows_exactly_while_the_limit_is_reached() {
        let breaker = breaker(&one_of_each());
        let open = || breaker.shared().stats.gauge(stat::CIRCUIT_BREAKERS_DEFAULT_CX_OPEN);
        assert_eq!(open(), 0);
        let first = breaker.try_acquire(Resource::Connections);
        let second = breaker.acquire(Resource::Connections);
        assert_eq!(open(), 1);
        drop(first);
        assert_eq!(open(), 1);
        drop(second);
        assert_eq!(open(), 0);
    }

    #[test]
    fn a_raised_limit_closes_the_breaker_and_keeps_the_count() {
        let breaker = breaker(&one_of_each());
        let _held = breaker.try_acquire(Resource::Requests);
        breaker.shared().set_limits(&Thresholds { max_requests: 2, ..one_of_each() });
        assert_eq!(breaker.shared().stats.gauge(stat::CIRCUIT_BREAKERS_DEFAULT_RQ_OPEN), 0);
        let _second = breaker.try_acquire(Resource::Requests).expect("one more fits");
        assert!(breaker.try_acquire(Resource::Requests).is_none());
    }

    #[test]
    fn a_retry_budget_is_a_share_of_active_requests_but_never_less_than_its_least() {
        let thresholds =
            Thresholds { retry_budget: Some((20.0, 2)), max_retries: 0, ..Thresholds::default() };
        let breaker = breaker(&thresholds);
        let held: Vec<_> = (0..2).filter_map(|_| breaker.try_acquire(Resource::Retries)).collect();
        assert_eq!(held.len(), 2);
        assert!(breaker.try_acquire(Resource::Retries).is_none());
        let _active: Vec<_> =
            (0..15).filter_map(|_| breaker.try_acquire(Resource::Requests)).collect();
        assert!(breaker.try_acquire(Resource::Retries).is_some());
    }

    #[test]
    fn many_threads_never_exceed_the_limit() {
        let thresholds = Thresholds { max_requests: 3, ..Thresholds::default() };
        let shared = Arc::clone(breaker(&thresholds).shared());
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    let local = LocalBreaker::new(Arc::clone(&shared));
                    for _ in 0..2_000 {
                        let permit = local.try_acquire(Resource::Requests);
                        assert!(shared.count(Resource::Requests) <= 3);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(shared.count(Resource::Requests), 0);
        assert_eq!(shared.stats.gauge(stat::CIRCUIT_BREAKERS_DEFAULT_RQ_OPEN), 0);
    }
}
