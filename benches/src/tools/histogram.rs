//! A histogram of durations with 1.6 % resolution, from a nanosecond to a minute.

/// Buckets of 64 to the power of two.
const STEPS: usize = 64;
const STEP_BITS: u32 = 6;

/// Counts of durations in nanoseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; STEPS * 40], total: 0 }
    }
}

impl Histogram {
    /// Adds one duration.
    pub fn record(&mut self, nanoseconds: u64) {
        let index = index(nanoseconds).min(self.counts.len() - 1);
        self.counts[index] += 1;
        self.total += 1;
    }

    /// The duration below which a share of all lie, in microseconds; 0 when nothing was recorded.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of one run are far below 2^52, shares are between 0 and 1"
    )]
    pub fn quantile(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return lower_bound(index) as f64 / 1000.0;
            }
        }
        0.0
    }
}

fn index(value: u64) -> usize {
    let bits = 64 - value.leading_zeros();
    let shift = bits.saturating_sub(STEP_BITS + 1);
    let step = usize::try_from(value >> shift).unwrap_or(usize::MAX);
    shift as usize * STEPS + step
}

fn lower_bound(index: usize) -> u64 {
    if index < 2 * STEPS {
        return index as u64;
    }
    let shift = index / STEPS - 1;
    ((index - shift * STEPS) as u64) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_within_two_percent_of_its_values() {
        for value in [0, 1, 63, 64, 127, 128, 129, 1_000, 123_456, 9_999_999_999] {
            let low = lower_bound(index(value));
            assert!(low <= value && (value - low) * 50 <= value, "{value} became {low}");
        }
    }

    #[test]
    fn quantiles_split_what_was_recorded() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|value| histogram.record(value * 1000));
        assert!((49.0..51.0).contains(&histogram.quantile(0.5)));
        assert!((97.0..100.0).contains(&histogram.quantile(0.99)));
    }
}
