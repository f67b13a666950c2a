//! a·G + b·P for public values, as fast as it goes: interleaved wNAF with shared doublings. Nothing here is constant time.
//!
//! For a P that comes again, [`Prepared`] has tables for four parts of the scalar, so that a quarter of the doublings is left.

use std::sync::LazyLock;

use super::jacobian::Affine;
use super::jacobian::Cached;
use super::jacobian::GENERATOR;
use super::jacobian::Jacobian;
use super::jacobian::to_affine_all;
use super::limbs;
use super::scalar::Scalar;

/// The width of the digits of G's scalar: 64 odd multiples, one addition in 9 bits.
const BASE_WIDTH: u32 = 8;
/// The width of the digits of P's: 8 odd multiples, one addition in 6 bits.
const WIDTH: u32 = 5;
/// The width for a prepared P: 16 odd multiples, one addition in 7 bits.
const PREPARED_WIDTH: u32 = 6;
/// The parts of a scalar are its limbs.
const PARTS: usize = 4;
const PART_BITS: usize = 64;

/// G, 3G, .. 127G, and the same for 2^64 G, 2^128 G and 2^192 G: 16 KiB. Built on first use.
static BASE: LazyLock<[Vec<Affine>; PARTS]> = LazyLock::new(|| parts(&GENERATOR, BASE_WIDTH));

/// Tables for one point, 4 KiB; they cost a little more than one [`multiply`].
pub(crate) struct Prepared([Vec<Affine>; PARTS]);

impl Prepared {
    pub(super) fn new(p: &Affine) -> Self {
        Self(parts(p, PREPARED_WIDTH))
    }

    /// a·G + b·P, for the P of the tables.
    pub(super) fn multiply(&self, a: &Scalar, b: &Scalar) -> Jacobian {
        let digits = |k: &Scalar, width| {
            k.0.map(|limb| digits::<{ PART_BITS + 1 }>(&Scalar([limb, 0, 0, 0]), width))
        };
        let (a, b) = (digits(a, BASE_WIDTH), digits(b, PREPARED_WIDTH));
        let mut sum = Jacobian::default();
        for at in (0..=PART_BITS).rev() {
            sum = double(&sum);
            for (digits, table) in a.iter().zip(BASE.iter()).chain(b.iter().zip(&self.0)) {
                sum = add(&sum, table, digits[at]);
            }
        }
        sum
    }
}

/// a·G + b·P.
pub(super) fn multiply(a: &Scalar, b: &Scalar, p: &Affine) -> Jacobian {
    let base = &BASE[0];
    let table: Vec<Cached> =
        odd_multiples(&Jacobian::from_affine(p), WIDTH).iter().map(Cached::new).collect();
    // A digit may come at the bit after the highest.
    let (a, b) = (digits::<257>(a, BASE_WIDTH), digits::<257>(b, WIDTH));
    let mut sum = Jacobian::default();
    for (a, b) in a.iter().zip(&b).rev() {
        sum = double(&sum);
        if *b != 0 {
            sum = sum.add(&table[index(*b)].negate_if(limbs::mask(*b < 0)));
        }
        sum = add(&sum, base, *a);
    }
    sum
}

/// 2P, without the work before the first digit.
fn double(p: &Jacobian) -> Jacobian {
    if p.is_infinity() { *p } else { p.double() }
}

/// P + digit·Q, from the table of Q.
fn add(p: &Jacobian, table: &[Affine], digit: i8) -> Jacobian {
    if digit == 0 {
        return *p;
    }
    p.add_affine(&table[index(digit)].negate_if(limbs::mask(digit < 0)))
}

/// The odd multiples of P, 2^64 P, 2^128 P and 2^192 P.
fn parts(p: &Affine, width: u32) -> [Vec<Affine>; PARTS] {
    let mut first = Jacobian::from_affine(p);
    let mut points = Vec::with_capacity(PARTS << (width - 2));
    for _ in 0..PARTS {
        points.extend(odd_multiples(&first, width));
        for _ in 0..PART_BITS {
            first = first.double();
        }
    }
    let affine = to_affine_all(&points);
    std::array::from_fn(|part| affine[part << (width - 2)..(part + 1) << (width - 2)].to_vec())
}

/// P, 3P, .. up to 2^(width-1) P.
fn odd_multiples(p: &Jacobian, width: u32) -> Vec<Jacobian> {
    let twice = Cached::new(&p.double());
    std::iter::successors(Some(*p), |before| Some(before.add(&twice)))
        .take(1 << (width - 2))
        .collect()
}

/// Where the table has the odd digit's magnitude.
fn index(digit: i8) -> usize {
    usize::from(digit.unsigned_abs() / 2)
}

/// The digits of width-w NAF: zero, or odd and between -2^(w-1) and 2^(w-1), at least w - 1 zeros after each that is not zero.
fn digits<const LENGTH: usize>(k: &Scalar, width: u32) -> [i8; LENGTH] {
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
