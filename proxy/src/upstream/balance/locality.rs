//! Locality weights: first a locality by its weight, then a host within it.
//!
//! A locality loses weight as it loses healthy hosts, with the same overprovisioning as priorities
//! (Envoy's `effectiveLocalityWeight`).

use super::group::Source;

/// The usable hosts of one priority by locality.
#[derive(Debug)]
pub(crate) struct Localities {
    /// Names the schedule over the localities among a worker's cursors.
    pub(crate) id: u32,
    /// The weight of each, by its health; never all zero.
    pub(crate) weights: Box<[f64]>,
    /// The hosts of each.
    pub(crate) sources: Box<[Source]>,
}

/// `weight` of a locality of which `usable` of `total` hosts can be used.
pub(crate) fn effective_weight(
    weight: u32,
    usable: usize,
    total: usize,
    overprovisioning: u32,
) -> f64 {
    if total == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of hosts are far below 2^52")]
    let share = usable as f64 / total as f64;
    f64::from(weight) * (share * f64::from(overprovisioning) / 100.0).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locality_keeps_its_weight_until_overprovisioning_is_used_up() {
        assert!((effective_weight(10, 3, 4, 140) - 10.0).abs() < 1e-9);
        assert!((effective_weight(10, 2, 4, 140) - 7.0).abs() < 1e-9);
        assert!(effective_weight(10, 0, 4, 140).abs() < 1e-9);
        assert!(effective_weight(10, 0, 0, 140).abs() < 1e-9);
    }
}
