//! The path for AVX2 with AES-NI (every server since Haswell and Zen): `AESENCLAST` inverts in the field that the S-box needs, and
//! two look-ups by half a byte, in registers, undo AES's own affine map and do the one of SM4.
#![allow(clippy::wildcard_imports, reason = "instructions by the dozen")]

use std::arch::x86_64::*;

use super::serial::key;
use super::serial::serial;
use super::wide::wide;
use crate::sm4::sbox;
use crate::vector::load_128;
use crate::vector::opaque;

pub(in crate::sm4) fn detected() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("aes")
}

key!(detected(), "One key for processors with AVX2 and AES-NI.");
serial!("avx2,aes");
wide!("avx2,aes", 4);

/// From AES's S-box back to the bare inversion: its matrix (FIPS 197 section 5.1.1) turned round.
const UNDO_AES: sbox::Matrix =
    sbox::invert(sbox::from_columns([0x1f, 0x3e, 0x7c, 0xf8, 0xf1, 0xe3, 0xc7, 0x8f]));
const AES_ADD: u8 = 0x63;

/// An affine map of bytes as two tables of 16, for the halves of a byte.
struct Halves {
    low: [u8; 16],
    high: [u8; 16],
}

impl Halves {
    const fn new(matrix: sbox::Matrix, add: u8) -> Self {
        let (mut low, mut high) = ([0; 16], [0; 16]);
        let mut i = 0;
        while i < 16 {
            low[i as usize] = sbox::apply(matrix, i) ^ add;
            high[i as usize] = sbox::apply(matrix, i << 4);
            i += 1;
        }
        Self { low, high }
    }

    /// The map behind AES's S-box.
    const fn after_aes(matrix: sbox::Matrix, add: u8) -> Self {
        let whole = sbox::compose(matrix, UNDO_AES);
        Self::new(whole, add ^ sbox::apply(whole, AES_ADD))
    }
}

static INTO: Halves = Halves::new(sbox::PRE, 0);
static OUT: Halves = Halves::new(sbox::PRE_INVERSE, 0);
static P: Halves = Halves::after_aes(sbox::P, 0);
static Q: Halves = Halves::after_aes(sbox::Q, sbox::Q_ADD);
static BOTH: Halves = Halves::after_aes(sbox::P ^ sbox::Q, sbox::Q_ADD);
static SBOX: Halves = Halves::after_aes(sbox::SBOX, sbox::SBOX_ADD);

/// A table in both lanes.
#[inline]
#[target_feature(enable = "avx2,aes")]
fn table(bytes: &[u8; 16]) -> __m256i {
    _mm256_broadcastsi128_si256(load_128(bytes))
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn halves_128(v: __m128i) -> (__m128i, __m128i) {
    let mask = _mm_set1_epi8(15);
    (_mm_and_si128(v, mask), _mm_and_si128(_mm_srli_epi32::<4>(v), mask))
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn look_up_128((low, high): (__m128i, __m128i), map: &Halves) -> __m128i {
    _mm_xor_si128(
        _mm_shuffle_epi8(load_128(&map.low), low),
        _mm_shuffle_epi8(load_128(&map.high), high),
    )
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn halves_256(v: __m256i) -> (__m256i, __m256i) {
    let mask = _mm256_set1_epi8(15);
    (_mm256_and_si256(v, mask), _mm256_and_si256(_mm256_srli_epi32::<4>(v), mask))
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn look_up_256((low, high): (__m256i, __m256i), map: &Halves) -> __m256i {
    _mm256_xor_si256(
        _mm256_shuffle_epi8(table(&map.low), low),
        _mm256_shuffle_epi8(table(&map.high), high),
    )
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn into_domain_128(v: __m128i) -> __m128i {
    look_up_128(halves_128(v), &INTO)
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn out_of_domain_128(v: __m128i) -> __m128i {
    look_up_128(halves_128(v), &OUT)
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn into_domain_256(v: __m256i) -> __m256i {
    look_up_256(halves_256(v), &INTO)
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn out_of_domain_256(v: __m256i) -> __m256i {
    look_up_256(halves_256(v), &OUT)
}

/// See [`super::serial`]. All lanes hold the same word, so that AES's ShiftRows changes nothing.
#[inline]
#[target_feature(enable = "avx2,aes")]
fn mix_128(x: __m128i, known: __m128i) -> __m128i {
    let rotate = |v, bytes| _mm_shuffle_epi8(v, load_128(&super::rotation(bytes)));
    let halves = halves_128(_mm_aesenclast_si128(x, _mm_setzero_si128()));
    let q = look_up_128(halves, &Q);
    let late = rotate(look_up_128(halves, &BOTH), 3);
    let early = opaque(_mm_xor_si128(known, look_up_128(halves, &P)));
    let middle = opaque(_mm_xor_si128(rotate(q, 1), rotate(q, 2)));
    opaque(_mm_xor_si128(opaque(_mm_xor_si128(early, late)), middle))
}

/// The S-box on the bytes of a word, for the key schedule.
#[inline]
#[target_feature(enable = "avx2,aes")]
fn substitute(word: u32) -> u32 {
    let add = _mm_set1_epi8(sbox::PRE_ADD.cast_signed());
    let x = _mm_xor_si128(into_domain_128(_mm_set1_epi32(word.cast_signed())), add);
    let s = _mm_aesenclast_si128(x, _mm_setzero_si128());
    _mm_cvtsi128_si32(look_up_128(halves_128(s), &SBOX)).cast_unsigned()
}

/// What the rounds keep in registers, as far as there are enough.
struct Constants {
    p: [__m256i; 2],
    q: [__m256i; 2],
    /// The rotations by 0, 8, 16 and 24 bits, behind the way back from ShiftRows.
    rotations: [__m256i; 4],
}

impl Constants {
    #[inline]
    #[target_feature(enable = "avx2,aes")]
    fn load() -> Self {
        let rotation = |bytes| {
            let mut from = super::rotation(bytes);
            for at in &mut from {
                // ShiftRows moved the byte of row r and column c to column c - r.
                let (row, column) = (*at % 4, *at / 4);
                *at = row + 4 * ((column + 4 - row) % 4);
            }
            table(&from)
        };
        Self {
            p: [table(&P.low), table(&P.high)],
            q: [table(&Q.low), table(&Q.high)],
            rotations: [rotation(0), rotation(1), rotation(2), rotation(3)],
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,aes")]
fn mix_256(a: __m256i, x: __m256i, constants: &Constants) -> __m256i {
    let [r0, r8, r16, r24] = constants.rotations;
    let zero = _mm_setzero_si128();
    let s = _mm256_set_m128i(
        _mm_aesenclast_si128(_mm256_extracti128_si256::<1>(x), zero),
        _mm_aesenclast_si128(_mm256_castsi256_si128(x), zero),
    );
    let (low, high) = halves_256(s);
    let look_up = |[l, h]: [__m256i; 2]| {
        _mm256_xor_si256(_mm256_shuffle_epi8(l, low), _mm256_shuffle_epi8(h, high))
    };
    let (p, q) = (look_up(constants.p), look_up(constants.q));
    let late = _mm256_shuffle_epi8(_mm256_xor_si256(p, q), r24);
    let middle = _mm256_xor_si256(_mm256_shuffle_epi8(q, r8), _mm256_shuffle_epi8(q, r16));
    let early = _mm256_xor_si256(a, _mm256_shuffle_epi8(p, r0));
    _mm256_xor_si256(_mm256_xor_si256(early, middle), late)
}
