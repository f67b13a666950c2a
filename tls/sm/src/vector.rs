//! Vectors from bytes and back. The references' types carry the sizes, so that these few functions are all that touches pointers.
#![expect(unsafe_code, reason = "loads and stores of vectors, and a fence for the optimiser")]

use std::arch::asm;
use std::arch::x86_64::__m128i;
use std::arch::x86_64::__m256i;
use std::arch::x86_64::__m512i;
use std::arch::x86_64::_mm_loadu_si128;
use std::arch::x86_64::_mm_storeu_si128;
use std::arch::x86_64::_mm256_loadu_si256;
use std::arch::x86_64::_mm256_storeu_si256;
use std::arch::x86_64::_mm512_loadu_si512;
use std::arch::x86_64::_mm512_storeu_si512;

#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn load_128(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: the reference is valid for 16 bytes, and the load needs no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn store_128(bytes: &mut [u8; 16], v: __m128i) {
    // SAFETY: the reference is valid for 16 bytes and unique, and the store needs no alignment.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), v) }
}

#[inline]
#[target_feature(enable = "avx")]
pub(crate) fn load_256(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the reference is valid for 32 bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx")]
pub(crate) fn store_256(bytes: &mut [u8; 32], v: __m256i) {
    // SAFETY: the reference is valid for 32 bytes and unique, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), v) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load_512(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: the reference is valid for 64 bytes, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store_512(bytes: &mut [u8; 64], v: __m512i) {
    // SAFETY: the reference is valid for 64 bytes and unique, and the store needs no alignment.
    unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), v) }
}

/// A number of 128 bits as a vector, lowest byte first.
#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn from_u128(v: u128) -> __m128i {
    load_128(&v.to_le_bytes())
}

#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn to_u128(v: __m128i) -> u128 {
    let mut bytes = [0; 16];
    store_128(&mut bytes, v);
    u128::from_le_bytes(bytes)
}

/// The same value, of which the compiler knows nothing: it cannot regroup a sum around it, which would put what comes early behind
/// what comes late.
#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn opaque(mut v: __m128i) -> __m128i {
    // SAFETY: no instruction at all; the register is read and written as declared.
    unsafe { asm!("/* {0} */", inout(xmm_reg) v, options(pure, nomem, nostack, preserves_flags)) };
    v
}

/// [`opaque`] for an integer.
#[inline]
pub(crate) fn opaque_word(mut v: u32) -> u32 {
    // SAFETY: no instruction at all; the register is read and written as declared.
    unsafe { asm!("/* {0:e} */", inout(reg) v, options(pure, nomem, nostack, preserves_flags)) };
    v
}
