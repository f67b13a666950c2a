//! a·G + b·P for public values, as fast as it goes: interleaved wNAF with shared doublings. Nothing here is constant time.

use std::sync::LazyLock;

use super::jacobian::Affine;
use super::jacobian::Cached;
use super::jacobian::GENERATOR;
use super::jacobian::Jacobian;
use super::jacobian::to_affine_all;
use super::limbs;
use super::scalar::Scalar;

/// The width of the digits of G's scalar: 64 odd multiples, 4 KiB, one addition in 9 bits.
const BASE_WIDTH: u32 = 8;
/// The width of the digits of P's: 8 odd multiples, one addition in 6 bits.
const WIDTH: u32 = 5;
/// A digit may come at the bit after the highest.
const LENGTH: usize = 257;

/// G, 3G, .. 127G.
static BASE: LazyLock<Vec<Affine>> = LazyLock::new(|| {
    let first = Jacobian::from_affine(&GENERATOR);
    let twice = Cached::new(&first.double());
    let mut points = vec![first];
    for i in 1..1 << (BASE_WIDTH - 2) {
        points.push(points[i - 1].add(&twice));
    }
    to_affine_all(&points)
});

/// a·G + b·P.
pub(super) fn multiply(a: &Scalar, b: &Scalar, p: &Affine) -> Jacobian {
    let base = &**BASE;
    let table = odd_multiples(p);
    let (a, b) = (digits(a, BASE_WIDTH), digits(b, WIDTH));
    let mut sum = Jacobian::default();
    for (a, b) in a.iter().zip(&b).rev() {
        if !sum.is_infinity() {
            sum = sum.double();
        }
        if *b != 0 {
            sum = sum.add(&table[index(*b)].negate_if(limbs::mask(*b < 0)));
        }
        if *a != 0 {
            sum = sum.add_affine(&base[index(*a)].negate_if(limbs::mask(*a < 0)));
        }
    }
    sum
}

fn odd_multiples(p: &Affine) -> [Cached; 1 << (WIDTH - 2)] {
    let first = Jacobian::from_affine(p);
    let twice = Cached::new(&first.double());
    let mut table = [Cached::new(&first); 1 << (WIDTH - 2)];
    for i in 1..table.len() {
        table[i] = Cached::new(&table[i - 1].point.add(&twice));
    }
    table
}

/// Where the table has the odd digit's magnitude.
fn index(digit: i8) -> usize {
    usize::from(digit.unsigned_abs() / 2)
}

/// The digits of width-w NAF: zero, or odd and between -2^(w-1) and 2^(w-1), at least w - 1 zeros after each that is not zero.
fn digits(k: &Scalar, width: u32) -> [i8; LENGTH] {
    let mut digits = [0; LENGTH];
    let mut carry = 0;
    let mut at = 0;
    while at < LENGTH {
        if k.bits(at, 1) == carry {
            at += 1;
            continue;
        }
        let window = k.bits(at, width) + carry;
        // An odd window: beyond half of the range it is negative, and the next one is a unit more.
        carry = window >> (width - 1);
        let digit = i16::try_from(window).expect("at most 8 bits and a carry")
            - (i16::from(carry == 1) << width);
        digits[at] = i8::try_from(digit).expect("odd, so below 2^7 in magnitude");
        at += width as usize;
    }
    digits
}
