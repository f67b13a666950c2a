//! The path for AVX2 with GFNI (Intel's processors without AVX-512 since Alder Lake, and where AVX-512 is switched off).
#![allow(clippy::wildcard_imports, reason = "instructions by the dozen")]

use std::arch::x86_64::*;

use super::serial::key;
use super::serial::serial;
use super::wide::wide;
use crate::sm4::sbox;
use crate::vector::opaque;

const ADD: i32 = sbox::Q_ADD as i32;

pub(in crate::sm4) fn detected() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("gfni")
}

key!(detected(), "One key for processors with AVX2 and GFNI.");
serial!("avx2,gfni");
wide!("avx2,gfni", 4);

#[inline]
#[target_feature(enable = "avx2,gfni")]
fn into_domain_128(v: __m128i) -> __m128i {
    _mm_gf2p8affine_epi64_epi8::<0>(v, _mm_set1_epi64x(sbox::PRE.cast_signed()))
}

#[inline]
#[target_feature(enable = "avx2,gfni")]
fn out_of_domain_128(v: __m128i) -> __m128i {
    _mm_gf2p8affine_epi64_epi8::<0>(v, _mm_set1_epi64x(sbox::PRE_INVERSE.cast_signed()))
}

#[inline]
#[target_feature(enable = "avx2,gfni")]
fn into_domain_256(v: __m256i) -> __m256i {
    _mm256_gf2p8affine_epi64_epi8::<0>(v, _mm256_set1_epi64x(sbox::PRE.cast_signed()))
}

#[inline]
#[target_feature(enable = "avx2,gfni")]
fn out_of_domain_256(v: __m256i) -> __m256i {
    _mm256_gf2p8affine_epi64_epi8::<0>(v, _mm256_set1_epi64x(sbox::PRE_INVERSE.cast_signed()))
}

/// Rotates each word, as it lies in memory, by `8 * BYTES` to the right.
#[inline]
#[target_feature(enable = "avx2,gfni")]
fn rotate_128<const BYTES: u8>(v: __m128i) -> __m128i {
    _mm_shuffle_epi8(v, crate::vector::load_128(&super::rotation(BYTES)))
}

/// See [`super::serial`].
#[inline]
#[target_feature(enable = "avx2,gfni")]
fn mix_128(x: __m128i, known: __m128i) -> __m128i {
    let (p_map, q_map) = (sbox::P.cast_signed(), sbox::Q.cast_signed());
    let q = _mm_gf2p8affineinv_epi64_epi8::<ADD>(x, _mm_set1_epi64x(q_map));
    let p = _mm_gf2p8affineinv_epi64_epi8::<0>(x, _mm_set1_epi64x(p_map));
    let both = _mm_gf2p8affineinv_epi64_epi8::<ADD>(x, _mm_set1_epi64x(p_map ^ q_map));
    let early = opaque(_mm_xor_si128(known, p));
    let middle = opaque(_mm_xor_si128(rotate_128::<1>(q), rotate_128::<2>(q)));
    _mm_xor_si128(opaque(_mm_xor_si128(early, rotate_128::<3>(both))), middle)
}

/// The S-box on the bytes of a word, for the key schedule.
#[inline]
#[target_feature(enable = "avx2,gfni")]
fn substitute(word: u32) -> u32 {
    const ADD: i32 = sbox::SBOX_ADD as i32;
    const PRE_ADD: i32 = sbox::PRE_ADD as i32;
    let x = _mm_cvtsi32_si128(word.cast_signed());
    let x = _mm_gf2p8affine_epi64_epi8::<PRE_ADD>(x, _mm_set1_epi64x(sbox::PRE.cast_signed()));
    let s = _mm_gf2p8affineinv_epi64_epi8::<ADD>(x, _mm_set1_epi64x(sbox::SBOX.cast_signed()));
    _mm_cvtsi128_si32(s).cast_unsigned()
}

/// What the rounds keep in registers.
struct Constants {
    p: __m256i,
    q: __m256i,
    rotations: [__m256i; 3],
}

impl Constants {
    #[inline]
    #[target_feature(enable = "avx2,gfni")]
    fn load() -> Self {
        let rotation =
            |bytes| _mm256_broadcastsi128_si256(crate::vector::load_128(&super::rotation(bytes)));
        Self {
            p: _mm256_set1_epi64x(sbox::P.cast_signed()),
            q: _mm256_set1_epi64x(sbox::Q.cast_signed()),
            rotations: [rotation(1), rotation(2), rotation(3)],
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,gfni")]
fn mix_256(a: __m256i, x: __m256i, constants: &Constants) -> __m256i {
    let [r8, r16, r24] = constants.rotations;
    let p = _mm256_gf2p8affineinv_epi64_epi8::<0>(x, constants.p);
    let q = _mm256_gf2p8affineinv_epi64_epi8::<ADD>(x, constants.q);
    let late = _mm256_shuffle_epi8(_mm256_xor_si256(p, q), r24);
    let middle = _mm256_xor_si256(_mm256_shuffle_epi8(q, r8), _mm256_shuffle_epi8(q, r16));
    _mm256_xor_si256(_mm256_xor_si256(_mm256_xor_si256(a, p), middle), late)
}
