//! GHASH (NIST SP 800-38D) with integer multiplications only. Processors multiply integers in constant time; carries are kept apart
//! by holes: of five numbers that each hold every fifth bit of a factor, no product's column sums to more than 13 ones, which fits
//! the five bits it has.

use zeroize::Zeroize;
use zeroize::ZeroizeOnDrop;

use crate::sm4::BLOCK_SIZE;
use crate::sm4::ghash_key;

/// The hash key.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(in crate::sm4) struct Ghash {
    key: u128,
}

impl Ghash {
    pub(in crate::sm4) fn new(h: &[u8; BLOCK_SIZE]) -> Self {
        Self { key: ghash_key(h) }
    }

    /// Adds `data`, its end filled with zeros to a whole block.
    pub(in crate::sm4) fn update(&self, mut sum: u128, data: &[u8]) -> u128 {
        let (blocks, rest) = data.as_chunks::<BLOCK_SIZE>();
        for block in blocks {
            sum = multiply(sum ^ u128::from_be_bytes(*block), self.key);
        }
        if !rest.is_empty() {
            let mut block = [0; BLOCK_SIZE];
            block[..rest.len()].copy_from_slice(rest);
            sum = multiply(sum ^ u128::from_be_bytes(block), self.key);
        }
        sum
    }
}

/// The product in POLYVAL's field, with its factor x⁻¹²⁸ (RFC 8452 section 3).
fn multiply(x: u128, y: u128) -> u128 {
    let halves = |v: u128| (v as u64, (v >> 64) as u64);
    let ((x0, x1), (y0, y1)) = (halves(x), halves(y));
    let low = carryless(x0, y0);
    let high = carryless(x1, y1);
    let middle = carryless(x0 ^ x1, y0 ^ y1) ^ low ^ high;
    reduce(low ^ (middle << 64), high ^ (middle >> 64))
}

/// Montgomery's reduction by x¹²⁸ + x¹²⁷ + x¹²⁶ + x¹²¹ + 1, one half after the other.
fn reduce(low: u128, high: u128) -> u128 {
    let fold = |v: u128| {
        // The lower half times x⁶³ + x⁶² + x⁵⁷, and the halves changed over.
        let a = u128::from(v as u64);
        ((a << 63) ^ (a << 62) ^ (a << 57)) ^ v.rotate_left(64)
    };
    high ^ fold(fold(low))
}

/// The product without carries of two numbers of 64 bits.
fn carryless(x: u64, y: u64) -> u128 {
    const fn every_fifth(from: u32) -> u128 {
        let mut mask = 0;
        let mut bit = from;
        while bit < 128 {
            mask |= 1 << bit;
            bit += 5;
        }
        mask
    }
    const MASKS: [u128; 5] =
        [every_fifth(0), every_fifth(1), every_fifth(2), every_fifth(3), every_fifth(4)];
    let part = |v: u64, i: usize| u128::from(v & MASKS[i] as u64);
    let mut product = 0;
    for (class, mask) in MASKS.iter().enumerate() {
        let mut sum = 0;
        for i in 0..5 {
            sum ^= part(x, i) * part(y, (class + 5 - i) % 5);
        }
        product ^= sum & mask;
    }
    product
}
