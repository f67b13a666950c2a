//! SM3 for x86-64 with BMI2 and AVX: the rounds on integers, the expansion of the message four words at a time in vectors beside them.
#![expect(unsafe_code, reason = "calls into code for processors with more instructions")]
#![allow(clippy::wildcard_imports, reason = "instructions by the dozen")]

use std::arch::x86_64::*;

use super::BLOCK_SIZE;
use super::compress::four_rounds;
use crate::vector::load_128;
use crate::vector::opaque_word;
use crate::vector::store_128;

/// `false` when the processor lacks an instruction; then nothing was done.
pub(super) fn compress(state: &mut [u32; 8], blocks: &[[u8; BLOCK_SIZE]]) -> bool {
    if !detected() || !is_x86_feature_detected!("avx512f") || !is_x86_feature_detected!("avx512vl")
    {
        return compress_avx(state, blocks);
    }
    // SAFETY: the processor has just been asked.
    unsafe { avx512::compress_blocks(state, blocks) }
    true
}

/// The same without AVX-512.
pub(super) fn compress_avx(state: &mut [u32; 8], blocks: &[[u8; BLOCK_SIZE]]) -> bool {
    if !detected() {
        return false;
    }
    // SAFETY: the processor has just been asked.
    unsafe { avx::compress_blocks(state, blocks) }
    true
}

fn detected() -> bool {
    is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("avx2")
}

/// Defines `compress_blocks` over a rotation of four words.
macro_rules! compress_blocks {
    ($features:literal, $rotate:ident) => {
        use super::*;

        #[target_feature(enable = $features)]
        pub(super) fn compress_blocks(state: &mut [u32; 8], blocks: &[[u8; BLOCK_SIZE]]) {
            let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
            for block in blocks {
                let (parts, _) = block.as_chunks::<16>();
                let load = |i: usize| _mm_shuffle_epi8(load_128(&parts[i]), swap);
                let mut w = [load(0), load(1), load(2), load(3)];
                let mut working = *state;
                let mut ready = pass_through_memory(w[0], w[1]);
                macro_rules! group {
                    ($i:literal) => {
                        // Words 64 to 67 are the last, and go into sums only.
                        let next = if $i < 13 { expand(w) } else { w[3] };
                        let (words, sums) = ready;
                        ready = pass_through_memory(w[1], w[2]);
                        working = four_rounds(working, $i, words, sums, opaque_word);
                        w = [w[1], w[2], w[3], next];
                    };
                }
                group!(0);
                group!(1);
                group!(2);
                group!(3);
                group!(4);
                group!(5);
                group!(6);
                group!(7);
                group!(8);
                group!(9);
                group!(10);
                group!(11);
                group!(12);
                group!(13);
                group!(14);
                working = four_rounds(working, 15, ready.0, ready.1, opaque_word);
                let _ = w;
                for (word, worked) in state.iter_mut().zip(working) {
                    *word ^= worked;
                }
            }
        }

        /// Four words, and the sums with the four after them, by way of memory: loads are cheaper than moves out of vectors.
        #[inline]
        #[target_feature(enable = $features)]
        fn pass_through_memory(words: __m128i, next: __m128i) -> ([u32; 4], [u32; 4]) {
            let mut slot = [[0; 16]; 2];
            store_128(&mut slot[0], words);
            store_128(&mut slot[1], _mm_xor_si128(words, next));
            let slot = std::hint::black_box(&slot);
            let array = |bytes: &[u8; 16]| {
                let (words, _) = bytes.as_chunks::<4>();
                std::array::from_fn(|i| u32::from_le_bytes(words[i]))
            };
            (array(&slot[0]), array(&slot[1]))
        }

        /// The four words after sixteen.
        #[inline]
        #[target_feature(enable = $features)]
        fn expand([w0, w1, w2, w3]: [__m128i; 4]) -> __m128i {
            let xor = |a, b| _mm_xor_si128(a, b);
            let minus_13 = _mm_alignr_epi8::<12>(w1, w0);
            let minus_9 = _mm_alignr_epi8::<12>(w2, w1);
            let minus_6 = _mm_alignr_epi8::<8>(w3, w2);
            // The last of the four takes the first, which is not known yet: it is added when it is, for all is linear.
            let minus_3 = _mm_srli_si128::<4>(w3);
            let x = xor(xor(w0, minus_9), $rotate::<15, 17>(minus_3));
            let p1 = xor(xor(x, $rotate::<15, 17>(x)), $rotate::<23, 9>(x));
            let four = xor(xor(p1, $rotate::<7, 25>(minus_13)), minus_6);
            let first = _mm_slli_si128::<12>(four);
            let x = xor(xor($rotate::<15, 17>(first), $rotate::<30, 2>(first)), $rotate::<6, 26>(first));
            xor(four, x)
        }
    };
}

mod avx {
    compress_blocks!("bmi1,bmi2,avx2", rotate);

    #[inline]
    #[target_feature(enable = "avx2")]
    fn rotate<const LEFT: i32, const RIGHT: i32>(v: __m128i) -> __m128i {
        _mm_or_si128(_mm_slli_epi32::<LEFT>(v), _mm_srli_epi32::<RIGHT>(v))
    }
}

mod avx512 {
    compress_blocks!("bmi1,bmi2,avx2,avx512f,avx512vl", rotate);

    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    fn rotate<const LEFT: i32, const RIGHT: i32>(v: __m128i) -> __m128i {
        _mm_rol_epi32::<LEFT>(v)
    }
}
