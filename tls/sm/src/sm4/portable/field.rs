//! Inversion in the field of 256 elements by gates only, on bytes that lie sliced: plane `i` holds bit `i` of many bytes.
//!
//! The field is taken as a tower: pairs `a·w + b` over the field of 16 elements `GF(2)[z]/(z⁴ + z + 1)`, with `w² = w + ν`. There
//! `(a·w + b)⁻¹ = (a·w + a + b) / (b² + ab + νa²)`, so that one inversion in the small field is enough.

use std::array::from_fn;

use crate::sm4::sbox::Matrix;
use crate::sm4::sbox::from_columns;

/// From the field of AES into the tower.
pub(super) const INTO_TOWER: Matrix = tower_basis();

/// An element that makes `w² + w + ν` irreducible.
const NU: u8 = 8;

/// The eight planes of some bytes.
pub(super) type Planes = [u32; 8];

/// Inverts every byte; zero stays zero.
#[inline(always)]
pub(super) fn invert(x: &Planes) -> Planes {
    let b: [u32; 4] = from_fn(|i| x[i]);
    let a: [u32; 4] = from_fn(|i| x[i + 4]);
    let sum: [u32; 4] = from_fn(|i| a[i] ^ b[i]);
    // b² + ab + νa² = b(a + b) + νa²
    let product = multiply(&b, &sum);
    let square = square_nu(&a);
    let norm = invert_small(&from_fn(|i| product[i] ^ square[i]));
    let low = multiply(&sum, &norm);
    let high = multiply(&a, &norm);
    [low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]]
}

/// A product in the small field: the schoolbook's, two levels of Karatsuba.
#[inline(always)]
fn multiply(x: &[u32; 4], y: &[u32; 4]) -> [u32; 4] {
    let half = |x0: u32, x1: u32, y0: u32, y1: u32| {
        let (low, high) = (x0 & y0, x1 & y1);
        [low, ((x0 ^ x1) & (y0 ^ y1)) ^ low ^ high, high]
    };
    let low = half(x[0], x[1], y[0], y[1]);
    let high = half(x[2], x[3], y[2], y[3]);
    let both = half(x[0] ^ x[2], x[1] ^ x[3], y[0] ^ y[2], y[1] ^ y[3]);
    let middle: [u32; 3] = from_fn(|i| both[i] ^ low[i] ^ high[i]);
    // Coefficients 0..=6, then z⁴ = z + 1.
    let c4 = high[0] ^ middle[2];
    let (c5, c6) = (high[1], high[2]);
    [low[0] ^ c4, low[1] ^ c4 ^ c5, low[2] ^ middle[0] ^ c5 ^ c6, middle[1] ^ c6]
}

/// ν times the square: linear, so a matrix of single bits. With ν = z³: 1 → z³, z → z⁵ = z² + z, z² → z⁷ = z³ + z + 1,
/// z³ → z⁹ = z³ + z.
#[inline(always)]
fn square_nu(x: &[u32; 4]) -> [u32; 4] {
    [x[2], x[1] ^ x[2] ^ x[3], x[1], x[0] ^ x[2] ^ x[3]]
}

/// The inverse in the small field, as sums of products of bits.
#[inline(always)]
fn invert_small(x: &[u32; 4]) -> [u32; 4] {
    const SUMS: [u16; 4] = small_inverse_sums();
    let mut products = [0; 16];
    (products[1], products[2], products[4], products[8]) = (x[0], x[1], x[2], x[3]);
    products[3] = x[0] & x[1];
    products[5] = x[0] & x[2];
    products[6] = x[1] & x[2];
    products[7] = products[3] & x[2];
    products[9] = x[0] & x[3];
    products[10] = x[1] & x[3];
    products[11] = products[3] & x[3];
    products[12] = x[2] & x[3];
    products[13] = products[5] & x[3];
    products[14] = products[6] & x[3];
    [
        select::<{ SUMS[0] }>(&products),
        select::<{ SUMS[1] }>(&products),
        select::<{ SUMS[2] }>(&products),
        select::<{ SUMS[3] }>(&products),
    ]
}

/// The sum of the terms whose bit is set in `TERMS`: written out, so that nothing is left of the choice.
#[inline(always)]
fn select<const TERMS: u16>(terms: &[u32; 16]) -> u32 {
    let mut sum = 0;
    macro_rules! add {
        ($($i:literal)*) => { $( if TERMS >> $i & 1 == 1 { sum ^= terms[$i]; } )* };
    }
    add!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    sum
}

/// One row of a matrix times eight planes.
#[inline(always)]
pub(super) fn row<const ROW: u8>(x: &Planes) -> u32 {
    let mut sum = 0;
    macro_rules! add {
        ($($i:literal)*) => { $( if ROW >> $i & 1 == 1 { sum ^= x[$i]; } )* };
    }
    add!(0 1 2 3 4 5 6 7);
    sum
}

/// A constant matrix times eight planes.
macro_rules! linear {
    ($matrix:expr, $x:expr) => {{
        const ROWS: [u8; 8] = $matrix.to_le_bytes();
        let x: &$crate::sm4::portable::field::Planes = $x;
        [
            $crate::sm4::portable::field::row::<{ ROWS[7] }>(x),
            $crate::sm4::portable::field::row::<{ ROWS[6] }>(x),
            $crate::sm4::portable::field::row::<{ ROWS[5] }>(x),
            $crate::sm4::portable::field::row::<{ ROWS[4] }>(x),
            $crate::sm4::portable::field::row::<{ ROWS[3] }>(x),
            $crate::sm4::portable::field::row::<{ ROWS[2] }>(x),
            $crate::sm4::portable::field::row::<{ ROWS[1] }>(x),
            $crate::sm4::portable::field::row::<{ ROWS[0] }>(x),
        ]
    }};
}
pub(super) use linear;

/// A product in the small field, of numbers: for the constants alone.
const fn small_product(x: u8, y: u8) -> u8 {
    let mut product = 0u8;
    let mut i = 0;
    while i < 4 {
        if y >> i & 1 == 1 {
            product ^= x << i;
        }
        i += 1;
    }
    let mut i = 6;
    while i >= 4 {
        if product >> i & 1 == 1 {
            product ^= 0b1_0011 << (i - 4);
        }
        i -= 1;
    }
    product
}

/// A product in the tower, of numbers.
const fn tower_product(x: u8, y: u8) -> u8 {
    let (a, b, c, d) = (x >> 4, x & 15, y >> 4, y & 15);
    let ac = small_product(a, c);
    let high = small_product(a, d) ^ small_product(b, c) ^ ac;
    let low = small_product(b, d) ^ small_product(ac, NU);
    high << 4 | low
}

/// Where the powers of AES's generator lie in the tower: powers of any root of its polynomial, x⁸ + x⁴ + x³ + x + 1.
const fn tower_basis() -> Matrix {
    let mut root = 2;
    loop {
        let mut powers = [1; 9];
        let mut i = 1;
        while i < 9 {
            powers[i] = tower_product(powers[i - 1], root);
            i += 1;
        }
        if powers[8] ^ powers[4] ^ powers[3] ^ powers[1] ^ powers[0] == 0 {
            let [a, b, c, d, e, f, g, h, _] = powers;
            return from_columns([a, b, c, d, e, f, g, h]);
        }
        root += 1;
    }
}

/// Which products of bits make up each bit of the small inverse (its algebraic normal form).
const fn small_inverse_sums() -> [u16; 4] {
    let mut sums = [0u16; 4];
    let mut monomial = 0u8;
    while monomial < 16 {
        // The coefficient is the sum of the values at all arguments below the monomial.
        let mut coefficient = 0;
        let mut x = 0u8;
        while x < 16 {
            if x & !monomial == 0 {
                let square = small_product(x, x);
                let fourth = small_product(square, square);
                let eighth = small_product(fourth, fourth);
                coefficient ^= small_product(small_product(square, fourth), eighth);
            }
            x += 1;
        }
        let mut bit = 0;
        while bit < 4 {
            sums[bit] |= ((coefficient >> bit & 1) as u16) << monomial;
            bit += 1;
        }
        monomial += 1;
    }
    sums
}
