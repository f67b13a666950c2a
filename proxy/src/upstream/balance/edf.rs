//! Weighted choice in turns: earliest deadline first, as Envoy schedules hosts and localities.
//!
//! Each item's next turn is `1 / weight` after its last, so over any stretch an item gets its share of
//! picks to within one. A pick costs O(log n) whatever the weights are.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// A schedule over items `0..n`.
#[derive(Debug, Default)]
pub(crate) struct Edf {
    turns: BinaryHeap<Turn>,
    picks: u64,
}

#[derive(Debug)]
struct Turn {
    deadline: f64,
    /// Among equal deadlines the one that waited longer comes first.
    since: u64,
    item: usize,
}

impl Edf {
    /// A schedule of items with these weights; one with a weight of zero is never picked.
    pub(crate) fn new(weights: impl Iterator<Item = f64>) -> Self {
        let turns: BinaryHeap<_> = weights
            .enumerate()
            .filter(|(_, weight)| *weight > 0.0)
            .map(|(item, weight)| Turn { deadline: 1.0 / weight, since: item as u64, item })
            .collect();
        let picks = turns.len() as u64;
        Self { turns, picks }
    }

    /// The item whose turn it is. `weight` is asked for its weight as of now, which places its next turn.
    pub(crate) fn pick(&mut self, weight: impl Fn(usize) -> f64) -> Option<usize> {
        let mut turn = self.turns.peek_mut()?;
        let item = turn.item;
        self.picks += 1;
        turn.deadline += 1.0 / weight(item).max(f64::MIN_POSITIVE);
        turn.since = self.picks;
        drop::<PeekMut<'_, Turn>>(turn);
        Some(item)
    }
}

impl Ord for Turn {
    /// The greatest is the one due first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.deadline.total_cmp(&self.deadline).then(other.since.cmp(&self.since))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Turn {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_weights_take_turns_in_order() {
        let mut edf = Edf::new([2.0, 2.0, 2.0].into_iter());
        let picks: Vec<_> = (0..6).filter_map(|_| edf.pick(|_| 2.0)).collect();
        assert_eq!(picks, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_weight_of_zero_is_never_picked() {
        let mut edf = Edf::new([0.0, 1.0].into_iter());
        assert!((0..10).all(|_| edf.pick(|_| 1.0) == Some(1)));
        assert_eq!(Edf::new([0.0].into_iter()).pick(|_| 1.0), None);
    }

    proptest! {
        #[test]
        fn every_item_gets_its_share_to_within_one(weights in prop::collection::vec(1_u32..50, 1..12)) {
            let total: u32 = weights.iter().sum();
            let mut edf = Edf::new(weights.iter().map(|w| f64::from(*w)));
            let mut counts = vec![0_u32; weights.len()];
            for _ in 0..total * 3 {
                counts[edf.pick(|i| f64::from(weights[i])).unwrap()] += 1;
            }
            for (count, weight) in counts.iter().zip(&weights) {
                prop_assert!(count.abs_diff(weight * 3) <= 1, "{counts:?} for {weights:?}");
            }
        }
    }
}
