//! The paths for x86-64. A key of a path is proof that the processor can do what the path asks: it is only made after a look.

pub(super) mod aesni;
pub(super) mod avx512;
pub(super) mod clmul;
pub(super) mod gfni;
mod serial;
pub(super) mod vclmul;
mod wide;

/// The shuffle that rotates each word, as it lies in memory, by so many bytes to the right. Words lie with their most significant
/// byte first, so to the cipher it is a rotation to the left.
const fn rotation(bytes: u8) -> [u8; 16] {
    let mut from = [0; 16];
    let mut i = 0;
    while i < 16 {
        from[i as usize] = (i & !3) + (i + bytes) % 4;
        i += 1;
    }
    from
}
