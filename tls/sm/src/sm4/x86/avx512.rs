//! The path for AVX-512 with GFNI and VPCLMULQDQ (Intel since Ice Lake, AMD since Zen 4): 16 blocks in four registers, one for each
//! word, up to five such sets at once.
#![allow(clippy::wildcard_imports, reason = "instructions by the dozen")]

use std::arch::x86_64::*;

use super::serial::key;
use super::serial::serial;
use crate::sm4::CbcMessage;
use crate::sm4::sbox;
use crate::vector::load_512;
use crate::vector::opaque;
use crate::vector::store_512;

/// Four registers: one word of 16 blocks each.
pub(super) type Set = [__m512i; 4];

const ROTATE_8: i64 = 0x0407_0605_0003_0201;
const ROTATE_16: i64 = 0x0504_0706_0100_0302;
const ROTATE_24: i64 = 0x0605_0407_0201_0003;
/// To the upper eight bytes of 16.
const UPPER: i64 = 0x0808_0808_0808_0808;

pub(in crate::sm4) fn detected() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("gfni")
        && is_x86_feature_detected!("vpclmulqdq")
}

key!(detected(), "One key for processors with AVX-512, GFNI and VPCLMULQDQ.");

impl Key {
    pub(super) fn rounds(&self) -> &[u32; 32] {
        &self.rounds
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn into_domain_128(v: __m128i) -> __m128i {
    _mm_gf2p8affine_epi64_epi8::<0>(v, _mm_set1_epi64x(sbox::PRE.cast_signed()))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn out_of_domain_128(v: __m128i) -> __m128i {
    _mm_gf2p8affine_epi64_epi8::<0>(v, _mm_set1_epi64x(sbox::PRE_INVERSE.cast_signed()))
}

/// See [`super::serial`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn mix_128(x: __m128i, known: __m128i) -> __m128i {
    const ADD: i32 = sbox::Q_ADD as i32;
    let (p_map, q_map) = (sbox::P.cast_signed(), sbox::Q.cast_signed());
    let q = _mm_gf2p8affineinv_epi64_epi8::<ADD>(x, _mm_set1_epi64x(q_map));
    let p = _mm_gf2p8affineinv_epi64_epi8::<0>(x, _mm_set1_epi64x(p_map));
    let both = _mm_gf2p8affineinv_epi64_epi8::<ADD>(x, _mm_set1_epi64x(p_map ^ q_map));
    let early = opaque(_mm_xor_si128(known, p));
    let middle =
        _mm_ternarylogic_epi32::<0x96>(early, _mm_ror_epi32::<8>(q), _mm_ror_epi32::<16>(q));
    _mm_xor_si128(opaque(middle), _mm_ror_epi32::<24>(both))
}

/// The S-box on the bytes of a word, for the key schedule.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn substitute(word: u32) -> u32 {
    const ADD: i32 = sbox::SBOX_ADD as i32;
    const PRE_ADD: i32 = sbox::PRE_ADD as i32;
    let x = _mm_cvtsi32_si128(word.cast_signed());
    let x = _mm_gf2p8affine_epi64_epi8::<PRE_ADD>(x, _mm_set1_epi64x(sbox::PRE.cast_signed()));
    let s = _mm_gf2p8affineinv_epi64_epi8::<ADD>(x, _mm_set1_epi64x(sbox::SBOX.cast_signed()));
    _mm_cvtsi128_si32(s).cast_unsigned()
}

serial!("avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq");

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn affine(v: __m512i, matrix: sbox::Matrix) -> __m512i {
    _mm512_gf2p8affine_epi64_epi8::<0>(v, _mm512_set1_epi64(matrix.cast_signed()))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0x96>(a, b, c)
}

/// The same rotation in every word.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn rotation(lower: i64) -> __m512i {
    _mm512_broadcast_i32x4(_mm_set_epi64x(lower | UPPER, lower))
}

/// All rounds over `SETS` sets, in and out of the state's domain the caller's. `side` is called eight times, for work to put between.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn rounds<const SETS: usize, const DECRYPT: bool>(
    keys: &[u32; 32],
    mut sets: [Set; SETS],
    mut side: impl FnMut(usize),
) -> [Set; SETS] {
    const ADD: i32 = sbox::Q_ADD as i32;
    let p_map = _mm512_set1_epi64(sbox::P.cast_signed());
    let q_map = _mm512_set1_epi64(sbox::Q.cast_signed());
    let (r8, r16, r24) = (rotation(ROTATE_8), rotation(ROTATE_16), rotation(ROTATE_24));
    macro_rules! round {
        ($set:ident[$a:literal], $x:expr) => {{
            let p = _mm512_gf2p8affineinv_epi64_epi8::<0>($x, p_map);
            let q = _mm512_gf2p8affineinv_epi64_epi8::<ADD>($x, q_map);
            let late = _mm512_shuffle_epi8(_mm512_xor_si512(p, q), r24);
            let sum = xor3($set[$a], p, _mm512_shuffle_epi8(q, r8));
            $set[$a] = xor3(sum, _mm512_shuffle_epi8(q, r16), late);
        }};
    }
    for i in 0..8 {
        let key = |j: usize| {
            let at = if DECRYPT { 31 - 4 * i - j } else { 4 * i + j };
            _mm512_set1_epi32(keys[at].cast_signed())
        };
        let (k0, k1) = (key(0), key(1));
        for set in &mut sets {
            // Two rounds share the xor of the words that both take.
            let shared = _mm512_xor_si512(set[2], set[3]);
            round!(set[0], xor3(set[1], shared, k0));
            round!(set[1], xor3(set[0], shared, k1));
        }
        let (k2, k3) = (key(2), key(3));
        for set in &mut sets {
            let shared = _mm512_xor_si512(set[0], set[1]);
            round!(set[2], xor3(set[3], shared, k2));
            round!(set[3], xor3(set[2], shared, k3));
        }
        side(i);
    }
    sets
}

/// Words to blocks, or blocks to words: four registers of 4 x 4 words change rows and columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn transpose([a, b, c, d]: Set) -> Set {
    let (ab_low, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (cd_low, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(ab_low, cd_low),
        _mm512_unpackhi_epi64(ab_low, cd_low),
        _mm512_unpacklo_epi64(ab_high, cd_high),
        _mm512_unpackhi_epi64(ab_high, cd_high),
    ]
}

/// The last step of the cipher: the words in reverse, out of the domain, as blocks.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn finish([a, b, c, d]: Set) -> Set {
    let out = sbox::PRE_INVERSE;
    transpose([affine(d, out), affine(c, out), affine(b, out), affine(a, out)])
}

/// The counter of each word of a set, so that [`transpose`] puts the blocks into their order.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn order() -> __m512i {
    _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0)
}

/// The key stream of `16 * SETS` counters from `first` on. With `last`, the counter at that place is 1: the block that masks the tag.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
pub(super) fn stream<const SETS: usize>(
    keys: &[u32; 32],
    nonce: &[u8; 12],
    first: u32,
    last: Option<u32>,
    side: impl FnMut(usize),
) -> [Set; SETS] {
    let (words, _) = nonce.as_chunks::<4>();
    let word = |i: usize| affine(_mm512_set1_epi32(i32::from_le_bytes(words[i])), sbox::PRE);
    let [a, b, c] = [word(0), word(1), word(2)];
    let swap = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203));
    let sets = std::array::from_fn(|set| {
        let place = _mm512_add_epi32(order(), _mm512_set1_epi32((16 * set as u32).cast_signed()));
        let mut counter = _mm512_add_epi32(place, _mm512_set1_epi32(first.cast_signed()));
        if let Some(last) = last {
            let mask = _mm512_cmpeq_epi32_mask(place, _mm512_set1_epi32(last.cast_signed()));
            counter = _mm512_mask_mov_epi32(counter, mask, _mm512_set1_epi32(1));
        }
        [a, b, c, affine(_mm512_shuffle_epi8(counter, swap), sbox::PRE)]
    });
    let mut sets = rounds::<SETS, false>(keys, sets, side);
    for set in &mut sets {
        *set = finish(*set);
    }
    sets
}

/// Xors a key stream into as many bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
pub(super) fn apply<const SETS: usize>(stream: &[Set; SETS], data: &mut [u8]) {
    let (vectors, _) = data.as_chunks_mut::<64>();
    for (vector, key) in vectors.iter_mut().zip(stream.as_flattened()) {
        store_512(vector, _mm512_xor_si512(load_512(vector), *key));
    }
}

/// Counter mode.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn count(keys: &[u32; 32], counter: &[u8; 16], data: &mut [u8]) {
    let [nonce @ .., n0, n1, n2, n3] = counter;
    let mut number = u32::from_be_bytes([*n0, *n1, *n2, *n3]);
    let (chunks, rest) = data.as_chunks_mut::<1024>();
    for chunk in chunks {
        apply(&stream::<4>(keys, nonce, number, None, |_| ()), chunk);
        number = number.wrapping_add(64);
    }
    for part in rest.chunks_mut(256) {
        let mut buffer = [0; 256];
        buffer[..part.len()].copy_from_slice(part);
        apply(&stream::<1>(keys, nonce, number, None, |_| ()), &mut buffer);
        part.copy_from_slice(&buffer[..part.len()]);
        number = number.wrapping_add(16);
    }
}

/// CBC decryption, in which no block waits for another.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn unchain(keys: &[u32; 32], iv: &[u8; 16], blocks: &mut [[u8; 16]]) {
    let mut chain = *iv;
    let (chunks, rest) = blocks.as_chunks_mut::<64>();
    for chunk in chunks {
        unchain_sets::<4>(keys, &mut chain, chunk.as_flattened_mut());
    }
    for part in rest.chunks_mut(16) {
        let mut buffer = [0; 256];
        let part = part.as_flattened_mut();
        buffer[..part.len()].copy_from_slice(part);
        unchain_sets::<1>(keys, &mut chain, &mut buffer);
        part.copy_from_slice(&buffer[..part.len()]);
    }
}

/// Messages that are encrypted at once.
const LANES: usize = 16;

/// CBC encryption of at most [`LANES`] messages, block by block, each in a lane.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn chain_many(keys: &[u32; 32], messages: &mut [CbcMessage<'_>]) {
    let mut buffer = [[0; 16]; LANES];
    for (block, message) in buffer.iter_mut().zip(&*messages) {
        *block = message.iv;
    }
    let mut chain = load_set(&buffer);
    for number in 0..messages.iter().map(CbcMessage::blocks).max().unwrap_or(0) {
        for (block, message) in buffer.iter_mut().zip(&mut *messages) {
            *block = message.block(number).copied().unwrap_or_default();
        }
        let words = load_set(&buffer);
        let input = std::array::from_fn(|i| _mm512_xor_si512(words[i], chain[i]));
        let [[a, b, c, d]] = rounds::<1, false>(keys, [input], |_| ());
        chain = [d, c, b, a];
        let (vectors, _) = buffer.as_flattened_mut().as_chunks_mut::<64>();
        for (vector, sealed) in vectors.iter_mut().zip(finish([a, b, c, d])) {
            store_512(vector, sealed);
        }
        for (block, message) in buffer.iter().zip(&mut *messages) {
            if let Some(place) = message.block(number) {
                *place = *block;
            }
        }
    }
}

/// Sixteen blocks as words, in the state's domain.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn load_set(blocks: &[[u8; 16]; LANES]) -> Set {
    let (vectors, _) = blocks.as_flattened().as_chunks::<64>();
    let words = transpose(std::array::from_fn(|i| load_512(&vectors[i])));
    std::array::from_fn(|i| affine(words[i], sbox::PRE))
}

/// Exactly `256 * SETS` bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn unchain_sets<const SETS: usize>(keys: &[u32; 32], chain: &mut [u8; 16], data: &mut [u8]) {
    let (vectors, _) = data.as_chunks_mut::<64>();
    let sealed: [Set; SETS] =
        std::array::from_fn(|set| std::array::from_fn(|i| load_512(&vectors[4 * set + i])));
    let mut sets = sealed;
    for set in &mut sets {
        let words = transpose(*set);
        *set = [
            affine(words[0], sbox::PRE),
            affine(words[1], sbox::PRE),
            affine(words[2], sbox::PRE),
            affine(words[3], sbox::PRE),
        ];
    }
    let sets = rounds::<SETS, true>(keys, sets, |_| ());
    // Each block's predecessor: the same vectors, moved by one block.
    let mut prior = _mm512_broadcast_i32x4(crate::vector::load_128(chain));
    for (index, (set, sealed)) in sets.iter().zip(&sealed).enumerate() {
        let plain = finish(*set);
        for i in 0..4 {
            let before = _mm512_alignr_epi64::<6>(sealed[i], prior);
            store_512(&mut vectors[4 * index + i], _mm512_xor_si512(plain[i], before));
            prior = sealed[i];
        }
    }
    crate::vector::store_128(chain, _mm512_extracti32x4_epi32::<3>(prior));
}
