//! A histogram of durations: log-linear buckets, written by one thread, summed on demand.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Sub-buckets per power of two: values are kept within 1/8, about 6 % on average.
const SUB: u64 = 8;
/// Microseconds up to 2^36 (19 hours); longer durations count as that.
const POWERS: u64 = 36;
#[expect(clippy::cast_possible_truncation, reason = "272")]
const BUCKETS: usize = (SUB * (POWERS - 2)) as usize;

/// One thread's buckets. 2.2 KiB, made when the first value is recorded.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum_micros: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Records one duration; `shared` when several threads write this histogram.
    #[inline]
    pub(super) fn record(&self, duration: Duration, shared: bool) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        for (cell, amount) in [(&self.buckets[bucket(micros)], 1), (&self.sum_micros, micros)] {
            if shared {
                cell.fetch_add(amount, Ordering::Relaxed);
            } else {
                cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
            }
        }
    }

    /// Adds this thread's values to `total`.
    pub(super) fn add_to(&self, total: &mut Snapshot) {
        for (sum, cell) in total.buckets.iter_mut().zip(&self.buckets) {
            *sum += cell.load(Ordering::Relaxed);
        }
        total.sum_micros = total.sum_micros.wrapping_add(self.sum_micros.load(Ordering::Relaxed));
    }
}

/// The sum of a histogram over all threads.
#[derive(Debug, Clone)]
pub struct Snapshot {
    buckets: Vec<u64>,
    sum_micros: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], sum_micros: 0 }
    }
}

impl Snapshot {
    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The sum of the values, in milliseconds.
    pub fn sum_ms(&self) -> f64 {
        micros_to_ms(self.sum_micros)
    }

    /// How many values are at most `ms` milliseconds, within a bucket's width.
    pub fn count_at_most(&self, ms: f64) -> u64 {
        self.buckets
            .iter()
            .enumerate()
            .take_while(|(i, _)| micros_to_ms(lower_bound(i + 1)) <= ms * (1.0 + 1.0 / 16.0))
            .map(|(_, count)| count)
            .sum()
    }

    /// The value in milliseconds below which the share `q` (0 to 1) of values lies; `None` when empty.
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank within a count; a loss above 2^52 values is no harm"
        )]
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (i, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                let (low, high) = (lower_bound(i), lower_bound(i + 1));
                return Some(micros_to_ms(low + (high - low) / 2));
            }
        }
        None
    }
}

/// The bucket of a value: exact below 8, then eight buckets per power of two.
fn bucket(micros: u64) -> usize {
    let micros = micros.min((1 << POWERS) - 1);
    let index = if micros < SUB {
        micros
    } else {
        let power = u64::from(micros.ilog2());
        (power - 2) * SUB + ((micros >> (power - 3)) & (SUB - 1))
    };
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

/// The smallest value of a bucket.
fn lower_bound(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < SUB { bucket } else { (SUB + bucket % SUB) << (bucket / SUB - 1) }
}

#[expect(clippy::cast_precision_loss, reason = "a duration, shown to people")]
fn micros_to_ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_the_bucket_it_is_counted_in() {
        for micros in (0..5000).chain([1 << 20, (1 << 30) + 12345, (1 << 36) - 1]) {
            let i = bucket(micros);
            assert!(lower_bound(i) <= micros, "{micros}");
            assert!(i == BUCKETS - 1 || micros < lower_bound(i + 1), "{micros}");
        }
    }

    #[test]
    fn quantiles_are_within_a_bucket() {
        let histogram = Histogram::default();
        for ms in 1..=100 {
            histogram.record(Duration::from_millis(ms), false);
        }
        let mut total = Snapshot::default();
        histogram.add_to(&mut total);
        assert_eq!(total.count(), 100);
        let p50 = total.quantile_ms(0.5).unwrap();
        assert!((45.0..=56.0).contains(&p50), "{p50}");
        assert!(Snapshot::default().quantile_ms(0.5).is_none());
    }
}
