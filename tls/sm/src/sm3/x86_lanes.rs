//! SM3 of many messages for x86-64: sixteen lanes with AVX-512, eight with AVX2.
#![expect(unsafe_code, reason = "calls into code for processors with more instructions")]
#![allow(clippy::wildcard_imports, reason = "instructions by the dozen")]

use std::arch::x86_64::*;

use super::compress::constant;
use super::many::Blocks;
use super::many::States;
use crate::vector::load_128;

pub(super) fn lanes() -> usize {
    if avx512_detected() {
        16
    } else if is_x86_feature_detected!("avx2") {
        8
    } else {
        1
    }
}

fn avx512_detected() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// One block in each lane; of eight lanes the rest is left alone.
pub(super) fn compress(states: &mut States, blocks: &Blocks<'_>) {
    if avx512_detected() {
        // SAFETY: the processor has just been asked.
        unsafe { avx512::compress_lanes(states, blocks) }
    } else if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has just been asked.
        unsafe { avx2::compress_lanes(states, blocks) }
    }
}

#[cfg(test)]
pub(super) fn compress_avx2(states: &mut States, blocks: &Blocks<'_>) {
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has just been asked.
        unsafe { avx2::compress_lanes(states, blocks) }
    }
}

/// Defines `compress_lanes` over vectors of the type `$vector`.
macro_rules! compress_lanes {
    ($features:literal, $vector:ident) => {
        use super::*;

        #[target_feature(enable = $features)]
        pub(super) fn compress_lanes(states: &mut States, blocks: &Blocks<'_>) {
            let mut w = [splat(0); 68];
            for part in 0..4 {
                let words = transposed(blocks, part);
                w[4 * part..4 * part + 4].copy_from_slice(&words);
            }
            for j in 16..68 {
                let x = xor3(w[j - 16], w[j - 9], rotate::<15, 17>(w[j - 3]));
                let p1 = xor3(x, rotate::<15, 17>(x), rotate::<23, 9>(x));
                w[j] = xor3(p1, rotate::<7, 25>(w[j - 13]), w[j - 6]);
            }
            let start: [$vector; 8] = std::array::from_fn(|i| load(&states[i]));
            let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = start;
            macro_rules! round {
                ($j:expr, $ff:ident, $gg:ident: $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
                    let turned = rotate::<12, 20>($a);
                    let keyed = add(turned, splat(constant($j as u32)));
                    let ss1 = rotate::<7, 25>(add($e, keyed));
                    let early_d = add(add($d, xor(w[$j], w[$j + 4])), $ff($a, $b, $c));
                    let early_h = add(add($h, w[$j]), $gg($e, $f, $g));
                    let x = add(early_h, ss1);
                    $d = add(early_d, xor(ss1, turned));
                    $h = xor3(x, rotate::<9, 23>(x), rotate::<17, 15>(x));
                    $b = rotate::<9, 23>($b);
                    $f = rotate::<19, 13>($f);
                };
            }
            macro_rules! four_rounds {
                ($j:expr, $ff:ident, $gg:ident) => {
                    round!($j, $ff, $gg: a b c d e f g h);
                    round!($j + 1, $ff, $gg: d a b c h e f g);
                    round!($j + 2, $ff, $gg: c d a b g h e f);
                    round!($j + 3, $ff, $gg: b c d a f g h e);
                };
            }
            for j in (0..16).step_by(4) {
                four_rounds!(j, xor3, xor3);
            }
            for j in (16..64).step_by(4) {
                four_rounds!(j, majority, choose);
            }
            let end = [a, b, c, d, e, f, g, h];
            for (state, (start, end)) in states.iter_mut().zip(start.into_iter().zip(end)) {
                store(state, xor(start, end));
            }
        }
    };
}

mod avx512 {
    use crate::vector::load_512;
    use crate::vector::store_512;

    compress_lanes!("avx512f,avx512bw", __m512i);

    /// Words `4 * part` to `4 * part + 3` of all lanes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn transposed(blocks: &Blocks<'_>, part: usize) -> [__m512i; 4] {
        let swap =
            _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203));
        let chunk = |lane: usize| load_128(&blocks[lane].as_chunks::<16>().0[part]);
        let row = |lane: usize| {
            let v = _mm512_castsi128_si512(chunk(lane));
            let v = _mm512_inserti32x4::<1>(v, chunk(lane + 4));
            let v = _mm512_inserti32x4::<2>(v, chunk(lane + 8));
            _mm512_shuffle_epi8(_mm512_inserti32x4::<3>(v, chunk(lane + 12)), swap)
        };
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        let (ab_low, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (cd_low, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        [
            _mm512_unpacklo_epi64(ab_low, cd_low),
            _mm512_unpackhi_epi64(ab_low, cd_low),
            _mm512_unpacklo_epi64(ab_high, cd_high),
            _mm512_unpackhi_epi64(ab_high, cd_high),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn load(words: &[u32; 16]) -> __m512i {
        let mut bytes = [0; 64];
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        load_512(&bytes)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn store(words: &mut [u32; 16], v: __m512i) {
        let mut bytes = [0; 64];
        store_512(&mut bytes, v);
        for (bytes, word) in bytes.as_chunks::<4>().0.iter().zip(words) {
            *word = u32::from_le_bytes(*bytes);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn splat(word: u32) -> __m512i {
        _mm512_set1_epi32(word.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn add(a: __m512i, b: __m512i) -> __m512i {
        _mm512_add_epi32(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn xor(a: __m512i, b: __m512i) -> __m512i {
        _mm512_xor_si512(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<0x96>(a, b, c)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn majority(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<0xe8>(a, b, c)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn choose(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<0xca>(a, b, c)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn rotate<const LEFT: i32, const RIGHT: i32>(v: __m512i) -> __m512i {
        _mm512_rol_epi32::<LEFT>(v)
    }
}

mod avx2 {
    use crate::vector::load_256;
    use crate::vector::store_256;

    compress_lanes!("avx2", __m256i);

    /// Words `4 * part` to `4 * part + 3` of all lanes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn transposed(blocks: &Blocks<'_>, part: usize) -> [__m256i; 4] {
        let swap = _mm256_broadcastsi128_si256(_mm_set_epi64x(
            0x0c0d_0e0f_0809_0a0b,
            0x0405_0607_0001_0203,
        ));
        let chunk = |lane: usize| load_128(&blocks[lane].as_chunks::<16>().0[part]);
        let row =
            |lane: usize| _mm256_shuffle_epi8(_mm256_set_m128i(chunk(lane + 4), chunk(lane)), swap);
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        let (ab_low, ab_high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
        let (cd_low, cd_high) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
        [
            _mm256_unpacklo_epi64(ab_low, cd_low),
            _mm256_unpackhi_epi64(ab_low, cd_low),
            _mm256_unpacklo_epi64(ab_high, cd_high),
            _mm256_unpackhi_epi64(ab_high, cd_high),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(words: &[u32; 16]) -> __m256i {
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        load_256(&bytes)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store(words: &mut [u32; 16], v: __m256i) {
        let mut bytes = [0; 32];
        store_256(&mut bytes, v);
        for (bytes, word) in bytes.as_chunks::<4>().0.iter().zip(words) {
            *word = u32::from_le_bytes(*bytes);
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn splat(word: u32) -> __m256i {
        _mm256_set1_epi32(word.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(a: __m256i, b: __m256i) -> __m256i {
        _mm256_add_epi32(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn xor(a: __m256i, b: __m256i) -> __m256i {
        _mm256_xor_si256(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn xor3(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        xor(xor(a, b), c)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn majority(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(_mm256_or_si256(a, b), c))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn choose(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        xor(_mm256_and_si256(xor(b, c), a), c)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn rotate<const LEFT: i32, const RIGHT: i32>(v: __m256i) -> __m256i {
        _mm256_or_si256(_mm256_slli_epi32::<LEFT>(v), _mm256_srli_epi32::<RIGHT>(v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sm3::compress::START;

    #[test]
    fn eight_lanes_agree_with_sixteen() {
        let data: Vec<[u8; 64]> =
            (0..16u8).map(|lane| std::array::from_fn(|i| (lane * 13) ^ i as u8)).collect();
        let blocks: Blocks<'_> = std::array::from_fn(|lane| &data[lane]);
        let mut states: States = START.map(|word| [word; 16]);
        let mut eight = states;
        compress(&mut states, &blocks);
        compress_avx2(&mut eight, &blocks);
        for (word, eight) in states.iter().zip(eight) {
            assert_eq!(word[..8], eight[..8]);
        }
    }
}
