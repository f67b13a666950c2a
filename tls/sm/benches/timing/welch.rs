//! Welch's t-test over samples of two classes, without the slowest of them: interrupts lengthen some, whatever the class.

use super::Class;

/// The parts of the samples, fastest first, that are looked at one by one.
const PARTS: [f64; 5] = [1.0, 0.99, 0.95, 0.8, 0.5];

/// The largest |t| of all parts. `sorted` holds the times of both classes in order.
pub(crate) fn largest_t(times: &[(Class, u64)], sorted: &[u64]) -> f64 {
    let largest = |largest: f64, part: f64| {
        let last = ((sorted.len() as f64 * part) as usize).clamp(1, sorted.len()) - 1;
        largest.max(t(times, sorted[last]).abs())
    };
    PARTS.into_iter().fold(0.0, largest)
}

/// t of the samples up to `limit`; zero when there are too few.
fn t(times: &[(Class, u64)], limit: u64) -> f64 {
    let of = |class| {
        Moments::new(
            times.iter().filter(|(c, time)| *c == class && *time <= limit).map(|(_, t)| *t as f64),
        )
    };
    let (a, b) = (of(Class::Fixed), of(Class::Other));
    let error = (a.variance() / a.count + b.variance() / b.count).sqrt();
    if a.count < 100.0 || b.count < 100.0 || error == 0.0 { 0.0 } else { (a.mean - b.mean) / error }
}

/// Mean and variance, in one pass (Welford).
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn new(values: impl Iterator<Item = f64>) -> Self {
        let mut moments = Self { count: 0.0, mean: 0.0, squares: 0.0 };
        for value in values {
            moments.count += 1.0;
            let delta = value - moments.mean;
            moments.mean += delta / moments.count;
            moments.squares += delta * (value - moments.mean);
        }
        moments
    }

    fn variance(&self) -> f64 {
        self.squares / (self.count - 1.0).max(1.0)
    }
}
