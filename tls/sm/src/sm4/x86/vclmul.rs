//! GCM for AVX-512: four blocks at a time are multiplied by VPCLMULQDQ, while the next ones are encrypted.
#![expect(unsafe_code, reason = "calls into code for processors with more instructions")]
#![allow(clippy::wildcard_imports, reason = "instructions by the dozen")]

use std::arch::x86_64::*;

use zeroize::Zeroize;
use zeroize::ZeroizeOnDrop;

use super::avx512::Key;
use super::avx512::apply;
use super::avx512::stream;
use crate::sm4::BLOCK_SIZE;
use crate::sm4::KEY_SIZE;
use crate::sm4::NONCE_SIZE;
use crate::sm4::TAG_SIZE;
use crate::sm4::ghash_key;
use crate::vector::from_u128;
use crate::vector::load_512;
use crate::vector::store_512;
use crate::vector::to_u128;

/// Powers of the hash key that are kept; so many blocks share one reduction.
const POWERS: usize = 32;
/// Bytes that one pass encrypts, and hashes of the bytes before.
const CHUNK: usize = 1024;
/// The longest rest: 64 blocks, and the block of lengths (or the mask of the tag) behind.
const REST: usize = 1280;

/// One key of SM4-GCM.
#[derive(ZeroizeOnDrop)]
pub(in crate::sm4) struct Gcm {
    key: Key,
    /// H³² down to H, in POLYVAL's form, then zeros: what is read past the end counts for nothing.
    powers: Powers,
}

#[derive(Zeroize, ZeroizeOnDrop)]
#[repr(align(64))]
struct Powers([[u8; BLOCK_SIZE]; POWERS + 4]);

impl Powers {
    /// Four powers, the first that of `blocks` blocks before the end.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(&self, blocks: usize) -> __m512i {
        let bytes = self.0.as_flattened()[(POWERS - blocks) * BLOCK_SIZE..].first_chunk();
        load_512(bytes.expect("four blocks from any power on, with the zeros"))
    }
}

impl Gcm {
    pub(in crate::sm4) fn new(key: &[u8; KEY_SIZE]) -> Option<Self> {
        let key = Key::new(key)?;
        let mut h = [0; BLOCK_SIZE];
        key.cbc_encrypt(&[0; BLOCK_SIZE], std::slice::from_mut(&mut h));
        // SAFETY: there is a `Key` of this path, so the processor has been asked.
        let powers = unsafe { powers(ghash_key(&h)) };
        h.zeroize();
        Some(Self { key, powers })
    }

    pub(in crate::sm4) fn seal(
        &self,
        nonce: &[u8; NONCE_SIZE],
        aad: &[u8],
        data: &mut [u8],
    ) -> [u8; TAG_SIZE] {
        // SAFETY: there is a `Key` of this path, so the processor has been asked.
        unsafe { crypt::<false>(self, nonce, aad, data) }
    }

    /// Decrypts and returns the tag that the data should have.
    pub(in crate::sm4) fn open(
        &self,
        nonce: &[u8; NONCE_SIZE],
        aad: &[u8],
        data: &mut [u8],
    ) -> [u8; TAG_SIZE] {
        // SAFETY: there is a `Key` of this path, so the processor has been asked.
        unsafe { crypt::<true>(self, nonce, aad, data) }
    }
}

/// A sum of products that is not yet reduced.
struct Sum {
    low: __m512i,
    middle: __m512i,
    high: __m512i,
}

impl Sum {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
    fn product(x: __m512i, y: __m512i) -> Self {
        Self {
            low: _mm512_clmulepi64_epi128::<0x00>(x, y),
            middle: _mm512_xor_si512(
                _mm512_clmulepi64_epi128::<0x01>(x, y),
                _mm512_clmulepi64_epi128::<0x10>(x, y),
            ),
            high: _mm512_clmulepi64_epi128::<0x11>(x, y),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
    fn add(&mut self, x: __m512i, y: __m512i) {
        self.low = _mm512_xor_si512(self.low, _mm512_clmulepi64_epi128::<0x00>(x, y));
        self.middle = _mm512_ternarylogic_epi32::<0x96>(
            self.middle,
            _mm512_clmulepi64_epi128::<0x01>(x, y),
            _mm512_clmulepi64_epi128::<0x10>(x, y),
        );
        self.high = _mm512_xor_si512(self.high, _mm512_clmulepi64_epi128::<0x11>(x, y));
    }

    /// The four sums as one, reduced.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
    fn reduce(&self) -> __m128i {
        let one = |v: __m512i| {
            let half =
                _mm256_xor_si256(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64::<1>(v));
            _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half))
        };
        let (low, middle, high) = (one(self.low), one(self.middle), one(self.high));
        let poly = _mm_set_epi64x(0, 0xc200_0000_0000_0000_u64.cast_signed());
        let fold =
            |v| _mm_xor_si128(_mm_shuffle_epi32::<0x4e>(v), _mm_clmulepi64_si128::<0x00>(v, poly));
        let low = fold(fold(_mm_xor_si128(low, _mm_slli_si128::<8>(middle))));
        _mm_ternarylogic_epi32::<0x96>(low, high, _mm_srli_si128::<8>(middle))
    }

    /// Each of the four sums, reduced.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
    fn reduce_each(&self) -> __m512i {
        let poly = _mm512_set1_epi64(0xc200_0000_0000_0000_u64.cast_signed());
        let fold = |v| {
            _mm512_xor_si512(
                _mm512_shuffle_epi32::<0x4e>(v),
                _mm512_clmulepi64_epi128::<0x00>(v, poly),
            )
        };
        let low = fold(fold(_mm512_xor_si512(self.low, _mm512_bslli_epi128::<8>(self.middle))));
        _mm512_ternarylogic_epi32::<0x96>(low, self.high, _mm512_bsrli_epi128::<8>(self.middle))
    }
}

/// H³² down to H, by products of four.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn powers(h: u128) -> Powers {
    let one = _mm512_broadcast_i32x4(from_u128(h));
    let times = |x, y| Sum::product(x, y).reduce_each();
    let two = times(one, one);
    // (H², H) times (H², H²), and so on: the upper powers lie in the lower lanes.
    let pair = _mm512_mask_mov_epi64(two, 0b1100_1100, one);
    let upper = times(pair, two);
    let mut vectors = [_mm512_mask_mov_epi64(upper, 0b1111_0000, pair); POWERS / 4];
    for known in [1, 2, 4] {
        // The highest known power in all lanes takes each known vector as much higher.
        let top = _mm512_shuffle_i32x4::<0>(vectors[8 - known], vectors[8 - known]);
        for i in 0..known {
            vectors[8 - 2 * known + i] = times(vectors[8 - known + i], top);
        }
    }
    let mut powers = Powers([[0; BLOCK_SIZE]; POWERS + 4]);
    let (out, _) = powers.0.as_flattened_mut().as_chunks_mut::<64>();
    for (out, vector) in out.iter_mut().zip(vectors) {
        store_512(out, vector);
    }
    powers
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn load_reversed(bytes: &[u8; 64]) -> __m512i {
    let reverse = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    _mm512_shuffle_epi8(load_512(bytes), _mm512_broadcast_i32x4(reverse))
}

/// Hashes whole blocks, followed by at least 48 bytes of anything.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn hash(powers: &Powers, mut sum: __m128i, data: &[u8], mut blocks: usize) -> __m128i {
    let mut at = 0;
    while blocks > 0 {
        let group = (blocks - 1) % POWERS + 1;
        let mut total = Sum::product(
            _mm512_xor_si512(load_reversed(four(data, at)), _mm512_zextsi128_si512(sum)),
            powers.load(group),
        );
        for i in (4..group).step_by(4) {
            total.add(load_reversed(four(data, at + i)), powers.load(group - i));
        }
        sum = total.reduce();
        at += group;
        blocks -= group;
    }
    sum
}

/// Four blocks from block `at` on.
#[inline(always)]
fn four(data: &[u8], at: usize) -> &[u8; 64] {
    data[at * BLOCK_SIZE..].first_chunk().expect("the caller's buffer goes on after the last block")
}

/// A part of the hash of one chunk: an eighth, as eight parts lie between the rounds of a pass.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn hash_part(
    powers: &Powers,
    sum: &mut __m128i,
    total: &mut Sum,
    chunk: &[u8; CHUNK],
    part: usize,
) {
    let (vectors, _) = chunk.as_chunks::<64>();
    let (first, second) =
        (load_reversed(&vectors[2 * part]), load_reversed(&vectors[2 * part + 1]));
    let power = POWERS - 8 * (part % 4);
    if part.is_multiple_of(4) {
        *total =
            Sum::product(_mm512_xor_si512(first, _mm512_zextsi128_si512(*sum)), powers.load(power));
    } else {
        total.add(first, powers.load(power));
    }
    total.add(second, powers.load(power - 4));
    if part % 4 == 3 {
        *sum = total.reduce();
    }
}

/// Encrypts or decrypts, and returns the tag of the encrypted side.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn crypt<const OPEN: bool>(
    gcm: &Gcm,
    nonce: &[u8; NONCE_SIZE],
    aad: &[u8],
    data: &mut [u8],
) -> [u8; TAG_SIZE] {
    let (keys, powers) = (gcm.key.rounds(), &gcm.powers);
    let lengths = (aad.len() as u128 * 8) << 64 | (data.len() as u128 * 8);
    let mut sum = hash_aad(powers, aad);
    let zero = _mm512_setzero_si512();
    let mut total = Sum { low: zero, middle: zero, high: zero };
    let mut counter = 2;
    // What is sealed can be hashed only one pass later; what is opened, in its own.
    let mut late: Option<&[u8; CHUNK]> = None;
    let (chunks, rest) = data.as_chunks_mut::<CHUNK>();
    for chunk in chunks {
        let stream = if OPEN {
            let sealed = &*chunk;
            stream::<4>(keys, nonce, counter, None, |part| {
                hash_part(powers, &mut sum, &mut total, sealed, part);
            })
        } else if let Some(sealed) = late {
            stream::<4>(keys, nonce, counter, None, |part| {
                hash_part(powers, &mut sum, &mut total, sealed, part);
            })
        } else {
            stream::<4>(keys, nonce, counter, None, |_| ())
        };
        apply(&stream, chunk);
        counter = counter.wrapping_add((CHUNK / BLOCK_SIZE) as u32);
        late = if OPEN { None } else { Some(chunk) };
    }
    let blocks = rest.len().div_ceil(BLOCK_SIZE);
    let last = Some(blocks as u32);
    // The rest, and behind its last block the lengths to hash, or the zeros that become the mask of the tag.
    let mut buffer = [0; REST];
    buffer[..rest.len()].copy_from_slice(rest);
    let behind = blocks * BLOCK_SIZE..(blocks + 1) * BLOCK_SIZE;
    if OPEN {
        buffer[behind.clone()].copy_from_slice(&lengths.to_be_bytes());
        sum = hash(powers, sum, &buffer, blocks + 1);
        buffer[behind.clone()].fill(0);
    }
    let mut side = |part: usize| {
        if let Some(sealed) = late {
            hash_part(powers, &mut sum, &mut total, sealed, part);
        }
    };
    match blocks + 1 {
        1..=16 => apply(&stream::<1>(keys, nonce, counter, last, &mut side), &mut buffer),
        17..=32 => apply(&stream::<2>(keys, nonce, counter, last, &mut side), &mut buffer),
        33..=48 => apply(&stream::<3>(keys, nonce, counter, last, &mut side), &mut buffer),
        49..=64 => apply(&stream::<4>(keys, nonce, counter, last, &mut side), &mut buffer),
        _ => apply(&stream::<5>(keys, nonce, counter, last, &mut side), &mut buffer),
    }
    rest.copy_from_slice(&buffer[..rest.len()]);
    let mut mask = [0; BLOCK_SIZE];
    mask.copy_from_slice(&buffer[behind.clone()]);
    if !OPEN {
        buffer[rest.len()..behind.start].fill(0);
        buffer[behind].copy_from_slice(&lengths.to_be_bytes());
        sum = hash(powers, sum, &buffer, blocks + 1);
    }
    (to_u128(sum) ^ u128::from_be_bytes(mask)).to_be_bytes()
}

/// Of TLS this is one block or none at all.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,gfni,vpclmulqdq")]
fn hash_aad(powers: &Powers, aad: &[u8]) -> __m128i {
    let mut sum = _mm_setzero_si128();
    for part in aad.chunks(POWERS * BLOCK_SIZE) {
        let mut buffer = [0; (POWERS + 4) * BLOCK_SIZE];
        buffer[..part.len()].copy_from_slice(part);
        sum = hash(powers, sum, &buffer, part.len().div_ceil(BLOCK_SIZE));
    }
    sum
}
