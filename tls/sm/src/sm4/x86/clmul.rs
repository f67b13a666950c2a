//! GHASH by PCLMULQDQ: sixteen blocks share one reduction.
#![expect(unsafe_code, reason = "calls into code for processors with more instructions")]
#![allow(clippy::wildcard_imports, reason = "instructions by the dozen")]

use std::arch::x86_64::*;

use zeroize::Zeroize;
use zeroize::ZeroizeOnDrop;

use crate::sm4::BLOCK_SIZE;
use crate::sm4::ghash_key;
use crate::vector::from_u128;
use crate::vector::load_128;
use crate::vector::to_u128;

const POWERS: usize = 16;

/// Powers of the hash key: H¹⁶ down to H, in POLYVAL's form.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(in crate::sm4) struct Ghash {
    powers: [u128; POWERS],
}

pub(in crate::sm4) fn detected() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("pclmulqdq")
}

impl Ghash {
    /// `None` when the processor lacks an instruction.
    pub(in crate::sm4) fn new(h: &[u8; BLOCK_SIZE]) -> Option<Self> {
        if !detected() {
            return None;
        }
        // SAFETY: the processor has just been asked.
        Some(Self { powers: unsafe { powers(ghash_key(h)) } })
    }

    /// Adds `data`, its end filled with zeros to a whole block.
    pub(in crate::sm4) fn update(&self, sum: u128, data: &[u8]) -> u128 {
        // SAFETY: there is no `Ghash` but by `new`, which has asked the processor.
        unsafe { update(&self.powers, sum, data) }
    }
}

/// A sum of products that is not yet reduced.
#[derive(Clone, Copy)]
struct Sum {
    low: __m128i,
    middle: __m128i,
    high: __m128i,
}

impl Sum {
    #[inline]
    #[target_feature(enable = "avx2,pclmulqdq")]
    fn product(x: __m128i, y: __m128i) -> Self {
        Self {
            low: _mm_clmulepi64_si128::<0x00>(x, y),
            middle: _mm_xor_si128(
                _mm_clmulepi64_si128::<0x01>(x, y),
                _mm_clmulepi64_si128::<0x10>(x, y),
            ),
            high: _mm_clmulepi64_si128::<0x11>(x, y),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2,pclmulqdq")]
    fn add(&mut self, x: __m128i, y: __m128i) {
        let other = Self::product(x, y);
        self.low = _mm_xor_si128(self.low, other.low);
        self.middle = _mm_xor_si128(self.middle, other.middle);
        self.high = _mm_xor_si128(self.high, other.high);
    }

    #[inline]
    #[target_feature(enable = "avx2,pclmulqdq")]
    fn reduce(&self) -> __m128i {
        let poly = _mm_set_epi64x(0, 0xc200_0000_0000_0000_u64.cast_signed());
        let fold =
            |v| _mm_xor_si128(_mm_shuffle_epi32::<0x4e>(v), _mm_clmulepi64_si128::<0x00>(v, poly));
        let low = fold(fold(_mm_xor_si128(self.low, _mm_slli_si128::<8>(self.middle))));
        _mm_xor_si128(_mm_xor_si128(low, self.high), _mm_srli_si128::<8>(self.middle))
    }
}

#[target_feature(enable = "avx2,pclmulqdq")]
fn powers(h: u128) -> [u128; POWERS] {
    let h = from_u128(h);
    let mut power = h;
    let mut powers = [0; POWERS];
    for slot in powers.iter_mut().rev() {
        *slot = to_u128(power);
        power = Sum::product(power, h).reduce();
    }
    powers
}

#[inline]
#[target_feature(enable = "avx2,pclmulqdq")]
fn load_reversed(block: &[u8; BLOCK_SIZE]) -> __m128i {
    _mm_shuffle_epi8(load_128(block), _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f))
}

/// At most [`POWERS`] blocks and at least one.
#[inline]
#[target_feature(enable = "avx2,pclmulqdq")]
fn group(powers: &[u128; POWERS], sum: __m128i, blocks: &[[u8; BLOCK_SIZE]]) -> __m128i {
    let powers = &powers[POWERS - blocks.len()..];
    let zero = _mm_setzero_si128();
    let mut total = Sum { low: zero, middle: zero, high: zero };
    // The block that takes the sum so far comes last: the sum is what one would wait for.
    for (block, power) in blocks.iter().zip(powers).skip(1) {
        total.add(load_reversed(block), from_u128(*power));
    }
    total.add(_mm_xor_si128(sum, load_reversed(&blocks[0])), from_u128(powers[0]));
    total.reduce()
}

#[target_feature(enable = "avx2,pclmulqdq")]
fn update(powers: &[u128; POWERS], sum: u128, data: &[u8]) -> u128 {
    let mut sum = from_u128(sum);
    let (blocks, rest) = data.as_chunks::<BLOCK_SIZE>();
    let (groups, blocks) = blocks.as_chunks::<POWERS>();
    for blocks in groups {
        sum = group(powers, sum, blocks);
    }
    if !blocks.is_empty() {
        sum = group(powers, sum, blocks);
    }
    if !rest.is_empty() {
        let mut block = [0; BLOCK_SIZE];
        block[..rest.len()].copy_from_slice(rest);
        sum = group(powers, sum, &[block]);
    }
    to_u128(sum)
}
