//! A worker's random numbers: fast, not for secrets.

use std::cell::Cell;

/// wyrand: 64 bits of state, passes BigCrush, two multiplications a number.
#[derive(Debug)]
pub struct Rng(Cell<u64>);

impl Rng {
    /// A generator with a seed of the system's.
    pub fn from_system() -> Self {
        use std::hash::BuildHasher;
        use std::hash::Hasher;
        Self::seeded(std::collections::hash_map::RandomState::new().build_hasher().finish())
    }

    /// A generator that always gives the same numbers.
    pub fn seeded(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// The next number.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a product")]
    pub fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0xa076_1d64_78bd_642f);
        self.0.set(state);
        let product = u128::from(state) * u128::from(state ^ 0xe703_7ed1_a0b4_28db);
        let [low, high] = [product as u64, (product >> 64) as u64];
        low ^ high
    }

    /// A number in `0..bound`; 0 for a bound of 0. The bias is below `bound / 2^64`.
    #[inline]
    pub fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}
