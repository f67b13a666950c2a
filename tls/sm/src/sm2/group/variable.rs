//! k·P in constant time for any P: fixed windows of 5 bits with odd digits.
//!
//! An odd k is written as 52 odd digits between -31 and 31, so that no digit is zero and no addition is left out; for an even k,
//! n - k is multiplied and the result negated. The table is scanned as a whole for every lookup.

use std::hint::black_box;

use zeroize::Zeroizing;

use super::field::Element;
use super::jacobian::Affine;
use super::jacobian::Cached;
use super::jacobian::Jacobian;
use super::limbs;
use super::scalar::N;
use super::scalar::Scalar;

const WIDTH: u32 = 5;
/// The number of digits: 52 windows cover 260 bits.
const DIGITS: usize = 52;
/// P, 3P, .. 31P.
const ENTRIES: usize = 1 << (WIDTH - 1);

/// k·P, for k from 1 to n-1.
///
/// An addition has an exception only when 32 times the digits seen so far equal the next digit or its opposite modulo n. As
/// integers they never do, being larger, and at the last digit modulo n that is one k (n - 6).
pub(super) fn multiply(k: &Scalar, p: &Affine) -> Jacobian {
    let table = build(p);
    let even = black_box(limbs::mask(k.0[0] & 1 == 0));
    let (opposite, _) = limbs::sub(&N, &k.0);
    let k = Zeroizing::new(Scalar(limbs::select(even, &opposite, &k.0)));

    let mut sum = Jacobian::default();
    for digit in (0..DIGITS).rev() {
        let at = digit * WIDTH as usize;
        // Bits at..at+5 with the lowest set, less 32 but for the highest digit, which is positive and takes what is left.
        let bits = k.bits(at, WIDTH + 1) >> 1;
        if digit == DIGITS - 1 {
            sum = lookup(&table, bits).point;
            continue;
        }
        for _ in 0..WIDTH {
            sum = sum.double();
        }
        // The digit is 2·bits + 1 - 32: 2i + 1 for i = bits - 16 when not negative, else -(2i + 1) for i = 15 - bits.
        // The barrier keeps the compiler from making a branch of it.
        let negative = black_box(0_u64.wrapping_sub((bits >> (WIDTH - 1)) ^ 1));
        let index = (bits ^ negative) & (ENTRIES as u64 - 1);
        sum = sum.add(&lookup(&table, index).negate_if(negative));
    }
    Jacobian { y: Element::select(even, &sum.y.negate(), &sum.y), ..sum }
}

/// The odd multiples.
fn build(p: &Affine) -> [Cached; ENTRIES] {
    let first = Jacobian::from_affine(p);
    let twice = Cached::new(&first.double());
    let mut table = [Cached::new(&first); ENTRIES];
    for i in 1..ENTRIES {
        table[i] = Cached::new(&table[i - 1].point.add(&twice));
    }
    table
}

/// Entry `index`, reading all of them.
#[inline(always)]
fn lookup(table: &[Cached; ENTRIES], index: u64) -> Cached {
    let mut out = Cached::default();
    for (i, entry) in (0..).zip(table) {
        let mask = limbs::equals(i, index);
        limbs::or_masked(&mut out.point.x.0, &entry.point.x.0, mask);
        limbs::or_masked(&mut out.point.y.0, &entry.point.y.0, mask);
        limbs::or_masked(&mut out.point.z.0, &entry.point.z.0, mask);
        limbs::or_masked(&mut out.zz.0, &entry.zz.0, mask);
        limbs::or_masked(&mut out.zzz.0, &entry.zzz.0, mask);
    }
    out
}
