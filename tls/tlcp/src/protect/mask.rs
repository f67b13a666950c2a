//! Comparisons without branches: all ones for yes, zero for no.
//!
//! All numbers here are below 2^31, so the sign of a difference tells which is smaller.

use std::hint::black_box;

/// Whether `a < b`.
pub(super) fn less(a: u32, b: u32) -> u32 {
    // The optimizer must not see that a mask is all ones or zero: it would make a jump of it.
    black_box((a.wrapping_sub(b) >> 31).wrapping_neg())
}

/// Whether `a >= b`.
pub(super) fn not_less(a: u32, b: u32) -> u32 {
    !less(a, b)
}

/// Whether `a == b`.
pub(super) fn equal(a: u32, b: u32) -> u32 {
    not_less(a, b) & not_less(b, a)
}

/// `yes` where the mask is ones, `no` where it is zero.
pub(super) fn select(mask: u32, yes: u32, no: u32) -> u32 {
    no ^ (mask & (yes ^ no))
}

/// As [`select`], for bytes.
#[expect(clippy::cast_possible_truncation, reason = "the low byte of a mask is a mask")]
pub(super) fn select_byte(mask: u32, yes: u8, no: u8) -> u8 {
    no ^ (mask as u8 & (yes ^ no))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_say_what_comparisons_say() {
        for a in [0, 1, 2, 255, 18_432, (1 << 31) - 1] {
            for b in [0, 1, 2, 255, 18_432, (1 << 31) - 1] {
                let mask = |is: bool| if is { u32::MAX } else { 0 };
                assert_eq!(less(a, b), mask(a < b));
                assert_eq!(not_less(a, b), mask(a >= b));
                assert_eq!(equal(a, b), mask(a == b));
                assert_eq!(select(less(a, b), 7, 9), if a < b { 7 } else { 9 });
            }
        }
    }
}
