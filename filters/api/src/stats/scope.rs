//! The statistics of one thing.

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;

use super::Counter;
use super::Gauge;
use super::Histogram;
use super::HistogramId;
use super::HistogramSnapshot;
use super::Kind;
use super::SHARD;
use super::tls;

/// A Prometheus label of a scope: `("envoy_cluster_name", "web")`.
pub type Label = (&'static str, Arc<str>);

/// The counters, gauges and histograms of one cluster, listener, connection manager, ...
pub struct Scope {
    kind: &'static Kind,
    prefix: Arc<str>,
    labels: Vec<Label>,
    shards: Box<[OnceLock<Box<Shard>>]>,
}

/// One thread's cells. Orderings are relaxed throughout: a reader may see a count a moment late, never
/// a torn one, and no other memory depends on it.
struct Shard {
    cells: Box<[AtomicU64]>,
    histograms: Box<[OnceLock<Box<Histogram>>]>,
    codes: Box<[OnceLock<Box<[AtomicU64]>>]>,
    agreed: OnceLock<Box<[AtomicU64]>>,
}

/// Statuses counted one by one: 100..=599.
const CODES: std::ops::Range<u16> = 100..600;

impl Scope {
    /// A scope whose names in `/stats` begin with `prefix` and a dot (`cluster.web`; none when empty).
    /// `shards` is the number of workers and one. Use [`super::Registry::scope`] so that it is shown.
    pub(super) fn new(
        kind: &'static Kind,
        prefix: impl Into<Arc<str>>,
        labels: Vec<Label>,
        shards: usize,
    ) -> Self {
        let shards = (0..shards.max(1)).map(|_| OnceLock::new()).collect();
        Self { kind, prefix: prefix.into(), labels, shards }
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Adds `amount`.
    #[inline]
    pub fn add(&self, counter: Counter, amount: u64) {
        let (index, shard) = self.shard();
        bump(index, &shard.cells[usize::from(counter.0)], amount);
    }

    /// Raises a gauge.
    #[inline]
    pub fn raise(&self, gauge: Gauge) {
        let (index, shard) = self.shard();
        bump(index, &shard.cells[self.gauge_cell(gauge)], 1);
    }

    /// Lowers a gauge. The raise may have been counted by another worker; the sum is right all the same.
    #[inline]
    pub fn lower(&self, gauge: Gauge) {
        let (index, shard) = self.shard();
        bump(index, &shard.cells[self.gauge_cell(gauge)], u64::MAX);
    }

    /// Sets a gauge to `value`. For gauges that only the control thread writes; never mixed with
    /// [`Self::raise`].
    pub fn set(&self, gauge: Gauge, value: u64) {
        let (_, shard) = self.shard_at(0);
        shard.cells[self.gauge_cell(gauge)].store(value, Ordering::Relaxed);
    }

    /// Records a duration in milliseconds.
    #[inline]
    pub fn record(&self, histogram: HistogramId, duration: Duration) {
        let (index, shard) = self.shard();
        shard.histograms[usize::from(histogram.0)]
            .get_or_init(Box::default)
            .record(duration, index == 0);
    }

    /// Counts a response by status and class under the `family`-th name of [`Kind::codes`]
    /// (`upstream_rq_200`). Statuses outside 100-599 are not counted.
    #[inline]
    pub fn code(&self, family: usize, status: StatusCode) {
        let (index, shard) = self.shard();
        let cells = shard.codes[family].get_or_init(|| CODES.map(|_| AtomicU64::new(0)).collect());
        if let Some(cell) = cells.get(usize::from(status.as_u16() - CODES.start)) {
            bump(index, cell, 1);
        }
    }

    /// Counts what a handshake agreed on.
    pub fn agreed(&self, what: tls::Agreed) {
        let (index, shard) = self.shard();
        let cells =
            shard.agreed.get_or_init(|| tls::NAMES.iter().map(|_| AtomicU64::new(0)).collect());
        if let Some(cell) = cells.get(what.0) {
            bump(index, cell, 1);
        }
    }

    /// Everything that handshakes agreed on: (what it is about, its name, count).
    pub fn all_agreed(&self) -> Vec<(tls::About, &'static str, u64)> {
        let shards: Vec<_> =
            self.shards.iter().filter_map(|shard| shard.get()?.agreed.get()).collect();
        if shards.is_empty() {
            return Vec::new();
        }
        let sum = |at: usize| shards.iter().map(|cells| cells[at].load(Ordering::Relaxed)).sum();
        let names = tls::NAMES.iter().enumerate();
        names
            .map(|(at, (about, name))| (*about, *name, sum(at)))
            .filter(|(.., count)| *count > 0)
            .collect()
    }

    /// What this scope counts.
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// The first part of its names.
    pub fn prefix(&self) -> &Arc<str> {
        &self.prefix
    }

    /// Its Prometheus labels.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The sum of a counter.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.sum(usize::from(counter.0))
    }

    /// The sum of a gauge.
    pub fn gauge(&self, gauge: Gauge) -> u64 {
        self.sum(self.gauge_cell(gauge))
    }

    /// Every counter with its name.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.kind.counters.iter().enumerate().map(|(i, name)| (*name, self.sum(i)))
    }

    /// Every gauge with its name.
    pub fn gauges(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let first = self.kind.counters.len();
        self.kind.gauges.iter().enumerate().map(move |(i, name)| (*name, self.sum(first + i)))
    }

    /// Every histogram with its name; one that never recorded is empty.
    pub fn histograms(&self) -> impl Iterator<Item = (&'static str, HistogramSnapshot)> {
        self.kind.histograms.iter().enumerate().map(|(i, name)| {
            let mut total = HistogramSnapshot::default();
            for shard in self.shards.iter().filter_map(OnceLock::get) {
                if let Some(histogram) = shard.histograms[i].get() {
                    histogram.add_to(&mut total);
                }
            }
            (*name, total)
        })
    }

    /// Every status that was counted: (name of the family, status, count).
    pub fn codes(&self) -> Vec<(&'static str, u16, u64)> {
        let mut seen = Vec::new();
        for (family, name) in self.kind.codes.iter().enumerate() {
            let shards: Vec<_> =
                self.shards.iter().filter_map(|shard| shard.get()?.codes[family].get()).collect();
            for (i, status) in CODES.enumerate() {
                let count = shards.iter().map(|cells| cells[i].load(Ordering::Relaxed)).sum();
                if count > 0 {
                    seen.push((*name, status, count));
                }
            }
        }
        seen
    }

    fn gauge_cell(&self, gauge: Gauge) -> usize {
        self.kind.counters.len() + usize::from(gauge.0)
    }

    fn sum(&self, cell: usize) -> u64 {
        self.shards
            .iter()
            .filter_map(OnceLock::get)
            .fold(0, |sum: u64, shard| sum.wrapping_add(shard.cells[cell].load(Ordering::Relaxed)))
    }

    #[inline]
    fn shard(&self) -> (usize, &Shard) {
        // A thread that claims a worker this scope was not made for writes the shared shard.
        let index = SHARD.get();
        self.shard_at(if index < self.shards.len() { index } else { 0 })
    }

    #[inline]
    fn shard_at(&self, index: usize) -> (usize, &Shard) {
        (index, self.shards[index].get_or_init(|| Box::new(Shard::new(self.kind))))
    }
}

impl Shard {
    fn new(kind: &Kind) -> Self {
        Self {
            cells: (0..kind.counters.len() + kind.gauges.len())
                .map(|_| AtomicU64::new(0))
                .collect(),
            histograms: kind.histograms.iter().map(|_| OnceLock::new()).collect(),
            codes: kind.codes.iter().map(|_| OnceLock::new()).collect(),
            agreed: OnceLock::new(),
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(&self.prefix).finish()
    }
}

/// Adds to a cell: atomically on the shared shard, with a plain load and store on a worker's own.
#[inline]
fn bump(shard: usize, cell: &AtomicU64, amount: u64) {
    if shard == 0 {
        cell.fetch_add(amount, Ordering::Relaxed);
    } else {
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{cluster, enter_worker};
    use super::*;

    #[test]
    fn counts_of_all_threads_are_summed() {
        let scope = Scope::new(&cluster::KIND, "cluster.web", Vec::new(), 3);
        std::thread::scope(|threads| {
            for worker in 0..2 {
                let scope = &scope;
                threads.spawn(move || {
                    enter_worker(worker);
                    scope.raise(cluster::UPSTREAM_RQ_ACTIVE);
                    scope.inc(cluster::UPSTREAM_RQ_TOTAL);
                    scope.code(0, StatusCode::OK);
                });
            }
        });
        scope.lower(cluster::UPSTREAM_RQ_ACTIVE);
        assert_eq!(scope.counter(cluster::UPSTREAM_RQ_TOTAL), 2);
        assert_eq!(scope.gauge(cluster::UPSTREAM_RQ_ACTIVE), 1);
        assert_eq!(scope.codes(), vec![("upstream_rq", 200, 2)]);
    }

    #[test]
    fn what_handshakes_agree_on_is_shown_once_it_was_counted() {
        let scope = Scope::new(&cluster::KIND, "cluster.web", Vec::new(), 1);
        assert!(scope.all_agreed().is_empty());
        scope.agreed(tls::place(tls::About::Curve, "P-256").unwrap());
        assert_eq!(scope.all_agreed(), vec![(tls::About::Curve, "P-256", 1)]);
        assert_eq!(tls::place(tls::About::Cipher, "P-256"), None);
    }
}
