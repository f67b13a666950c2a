//! How much load each priority gets, and which priorities are in panic. Envoy's `LoadBalancerBase`.
//!
//! A priority counts as fully available while its usable share times the overprovisioning factor (140 %)
//! reaches 100 %; what it lacks goes to the next. Below the panic threshold all hosts of a priority are
//! used, healthy or not: requests to dead hosts fail, but the few healthy ones survive.

/// The hosts of one priority, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// All.
    pub(crate) total: u32,
    /// The healthy.
    pub(crate) healthy: u32,
    /// The degraded.
    pub(crate) degraded: u32,
}

/// The share of each priority.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Percent of requests for the healthy hosts of each priority.
    pub(crate) healthy: Vec<u32>,
    /// Percent of requests for the degraded hosts of each priority.
    pub(crate) degraded: Vec<u32>,
    /// Whether all hosts of the priority are used.
    pub(crate) panic: Vec<bool>,
}

/// Which hosts of a priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Availability {
    /// Healthy ones.
    Healthy,
    /// Degraded ones.
    Degraded,
}

impl Load {
    /// Spreads the load over `levels`, of which there is at least one.
    pub(crate) fn spread(levels: &[Census], overprovisioning: u32, panic_threshold: f64) -> Self {
        let share = |part: u32, census: &Census| {
            if census.total == 0 {
                return 0;
            }
            let percent = u64::from(overprovisioning) * u64::from(part) / u64::from(census.total);
            percent.min(100)
        };
        let healthy: Vec<_> = levels.iter().map(|level| share(level.healthy, level)).collect();
        let degraded: Vec<_> = levels.iter().map(|level| share(level.degraded, level)).collect();
        let available = (healthy.iter().sum::<u64>() + degraded.iter().sum::<u64>()).min(100);
        if available == 0 {
            return Self::without_any(levels, panic_threshold);
        }

        let mut left = 100;
        let mut take = |wanted: &u64| {
            let load = (wanted * 100 / available).min(left);
            left -= load;
            u32::try_from(load).unwrap_or(100)
        };
        let mut load = Self {
            healthy: healthy.iter().map(&mut take).collect(),
            degraded: degraded.iter().map(&mut take).collect(),
            panic: levels
                .iter()
                .map(|level| available < 100 && is_in_panic(level, panic_threshold))
                .collect(),
        };
        // What rounding left goes to the first that takes any.
        let rest = u32::try_from(left).unwrap_or(0);
        let first = load.healthy.iter_mut().chain(&mut load.degraded).find(|load| **load > 0);
        if let Some(first) = first {
            *first += rest;
        }
        load
    }

    /// Nothing is usable: by the number of hosts, unless panic is turned off.
    fn without_any(levels: &[Census], panic_threshold: f64) -> Self {
        let total: u64 = levels.iter().map(|level| u64::from(level.total)).sum();
        let mut healthy: Vec<u32> = levels
            .iter()
            .map(|level| u32::try_from(u64::from(level.total) * 100 / total.max(1)).unwrap_or(100))
            .collect();
        let first = levels.iter().position(|level| level.total > 0).unwrap_or(0);
        healthy[first] += 100 - healthy.iter().sum::<u32>();
        Self {
            healthy,
            degraded: vec![0; levels.len()],
            panic: vec![panic_threshold > 0.0; levels.len()],
        }
    }

    /// The priority for `point` in `0..100`.
    pub(crate) fn choose(&self, point: u32) -> (usize, Availability) {
        let mut sum = 0;
        let shares = self
            .healthy
            .iter()
            .enumerate()
            .map(|(i, load)| (i, Availability::Healthy, load))
            .chain(
                self.degraded.iter().enumerate().map(|(i, load)| (i, Availability::Degraded, load)),
            );
        for (level, availability, load) in shares {
            sum += load;
            if point < sum {
                return (level, availability);
            }
        }
        (0, Availability::Healthy)
    }

    /// The one priority that gets everything, if there is one.
    pub(crate) fn only(&self) -> Option<(usize, Availability)> {
        let all = |loads: &[u32]| loads.iter().position(|load| *load == 100);
        all(&self.healthy)
            .map(|level| (level, Availability::Healthy))
            .or_else(|| all(&self.degraded).map(|level| (level, Availability::Degraded)))
    }
}

fn is_in_panic(level: &Census, threshold: f64) -> bool {
    if level.total == 0 {
        return threshold > 0.0;
    }
    let usable = f64::from(level.healthy + level.degraded);
    // The threshold is cut to whole percents, as in Envoy.
    usable * 100.0 / f64::from(level.total) < threshold.min(100.0).floor()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn level(healthy: u32, degraded: u32, total: u32) -> Census {
        Census { total, healthy, degraded }
    }

    /// The tables of Envoy's documentation, `load_balancing/priority` and `panic_threshold`.
    #[test]
    fn load_follows_the_tables_of_the_documentation() {
        let cases: [(u32, u32, [u32; 2]); 5] = [
            (100, 100, [100, 0]),
            (72, 100, [100, 0]),
            (71, 100, [99, 1]),
            (50, 100, [70, 30]),
            (25, 100, [35, 65]),
        ];
        for (first, second, expected) in cases {
            let load = Load::spread(&[level(first, 0, 100), level(second, 0, 100)], 140, 50.0);
            assert_eq!(load.healthy, expected, "{first} % and {second} % healthy");
        }
        assert_eq!(
            Load::spread(&[level(25, 0, 100), level(25, 0, 100)], 140, 50.0).healthy,
            [50, 50]
        );
        let levels = [level(20, 0, 100), level(20, 0, 100), level(10, 0, 100)];
        assert_eq!(Load::spread(&levels, 140, 50.0).healthy, [40, 40, 20]);
    }

    #[test]
    fn panic_begins_below_the_threshold_and_only_when_load_cannot_be_carried_elsewhere() {
        assert_eq!(Load::spread(&[level(1, 0, 4)], 140, 50.0).panic, [true]);
        assert_eq!(Load::spread(&[level(3, 0, 4)], 140, 50.0).panic, [false]);
        assert_eq!(Load::spread(&[level(1, 0, 4)], 140, 0.0).panic, [false]);
        let carried = Load::spread(&[level(1, 0, 4), level(4, 0, 4)], 140, 50.0);
        assert_eq!(carried.panic, [false, false]);
    }

    #[test]
    fn without_a_usable_host_load_follows_the_number_of_hosts() {
        let load = Load::spread(&[level(0, 0, 1), level(0, 0, 3)], 140, 50.0);
        assert_eq!((load.healthy, load.panic), (vec![25, 75], vec![true, true]));
        let load = Load::spread(&[level(0, 0, 2)], 140, 0.0);
        assert_eq!((load.healthy, load.panic), (vec![100], vec![false]));
        assert_eq!(Load::spread(&[level(0, 0, 0)], 140, 50.0).healthy, [100]);
    }

    #[test]
    fn degraded_hosts_come_after_all_healthy_ones() {
        let load = Load::spread(&[level(1, 3, 4), level(2, 0, 4)], 140, 50.0);
        assert_eq!(
            (load.healthy.as_slice(), load.degraded.as_slice()),
            ([35, 65].as_slice(), [0, 0].as_slice())
        );
        let load = Load::spread(&[level(1, 3, 4)], 140, 50.0);
        assert_eq!((load.healthy, load.degraded), (vec![35], vec![65]));
    }

    proptest! {
        #[test]
        fn all_load_goes_somewhere(
            counts in prop::collection::vec((0_u32..20, 0_u32..20, 0_u32..20), 1..5),
            point in 0_u32..100,
        ) {
            let levels: Vec<_> = counts.iter().map(|(h, d, u)| level(*h, *d, h + d + u)).collect();
            let load = Load::spread(&levels, 140, 50.0);
            let sum: u32 = load.healthy.iter().chain(&load.degraded).sum();
            prop_assert_eq!(sum, 100);
            let (chosen, _) = load.choose(point);
            if levels.iter().any(|level| level.total > 0) {
                prop_assert!(levels[chosen].total > 0);
            }
        }
    }
}
