//! k·G in constant time, by a signed comb (Lim and Lee) with a table of 22 KiB, small enough to stay in the first cache.
//!
//! k is written with 264 digits that are 1 or -1. They are laid out as 11 blocks of 6 teeth, 4 digits apart: each of 4 rounds
//! takes the six digits of every block at once from the table, and the accumulator doubles between the rounds. That makes 44
//! additions and 3 doublings. Every table entry is read for every lookup, and no digit is zero, so that nothing depends on k.

use std::hint::black_box;
use std::sync::LazyLock;

use zeroize::Zeroizing;

use super::field::Element;
use super::jacobian::Affine;
use super::jacobian::GENERATOR;
use super::jacobian::Jacobian;
use super::jacobian::to_affine_all;
use super::limbs;
use super::scalar::Scalar;

const BLOCKS: usize = 11;
const TEETH: usize = 6;
const SPACING: usize = 4;
/// The highest tooth gives the sign.
const ENTRIES: usize = 1 << (TEETH - 1);

/// (2^264 - 1) / 2 mod n.
const OFFSET: Scalar = Scalar([
    0xcbe3_f567_b24a_0f11,
    0xb712_3a24_ade0_6ceb,
    0x0000_0000_0000_0046,
    0x8000_007f_8000_0000,
]);

/// Entry m of block b: tooth 5 of the block, plus tooth t where bit t of m is set, minus it where not. Built on first use, in
/// a tenth of a millisecond.
static TABLE: LazyLock<Vec<[Affine; ENTRIES]>> = LazyLock::new(build);

/// k·G.
///
/// An addition has an exception only when the digits seen so far make the same multiple of G as the entry, or its opposite,
/// modulo n: a few scalars of 2^256.
pub(super) fn multiply(k: &Scalar) -> Jacobian {
    // With d = (k + 2^264 - 1) / 2 the sum of (2 d_i - 1) 2^i is k.
    let digits = Zeroizing::new(k.halve().add(&OFFSET));
    let mut sum = Jacobian::default();
    for round in (0..SPACING).rev() {
        if round != SPACING - 1 {
            sum = sum.double();
        }
        for (block, entries) in TABLE.iter().enumerate() {
            let tooth = |t| digits.bits((block * TEETH + t) * SPACING + round, 1);
            let index = tooth(0) | tooth(1) << 1 | tooth(2) << 2 | tooth(3) << 3 | tooth(4) << 4;
            let negative = tooth(5) ^ 1;
            // The barrier keeps the compiler from making a branch of it.
            let mask = black_box(0_u64.wrapping_sub(negative));
            let entry = lookup(entries, (index ^ mask) & (ENTRIES as u64 - 1)).negate_if(mask);
            sum = if round == SPACING - 1 && block == 0 {
                Jacobian::from_affine(&entry)
            } else {
                sum.add_affine(&entry)
            };
        }
    }
    sum
}

/// Entry `index`, reading all of them.
#[inline(always)]
fn lookup(entries: &[Affine; ENTRIES], index: u64) -> Affine {
    let (mut x, mut y) = ([0; 4], [0; 4]);
    for (i, entry) in (0..).zip(entries) {
        let mask = limbs::equals(i, index);
        limbs::or_masked(&mut x, &entry.x.0, mask);
        limbs::or_masked(&mut y, &entry.y.0, mask);
    }
    Affine { x: Element(x), y: Element(y) }
}

fn build() -> Vec<[Affine; ENTRIES]> {
    let mut points = Vec::with_capacity(BLOCKS * ENTRIES);
    let mut tooth = Jacobian::from_affine(&GENERATOR);
    for _ in 0..BLOCKS {
        let mut teeth = Vec::with_capacity(TEETH);
        for _ in 0..TEETH {
            teeth.push(tooth);
            for _ in 0..SPACING {
                tooth = tooth.double();
            }
        }
        let teeth = to_affine_all(&teeth);
        // All minus: then each entry is one with a bit less, plus that tooth twice.
        let minus = u64::MAX;
        let lowest = teeth[..TEETH - 1]
            .iter()
            .fold(Jacobian::from_affine(&teeth[TEETH - 1]), |sum, tooth| {
                sum.add_affine(&tooth.negate_if(minus))
            });
        let start = points.len();
        points.push(lowest);
        for index in 1..ENTRIES {
            let bit = index.ilog2() as usize;
            let before: Jacobian = points[start + index - (1 << bit)];
            points.push(before.add_affine(&teeth[bit]).add_affine(&teeth[bit]));
        }
    }
    to_affine_all(&points).as_chunks().0.to_vec()
}
