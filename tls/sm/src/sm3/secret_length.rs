//! The hash of a message whose length is secret, for the MAC inside of TLCP's CBC records.
//!
//! Where the padding of such a record ends must not show in time (Lucky Thirteen, 2013), so the same steps are done for every length up to
//! the bound: each block that there could be is built by masks and compressed, and the state behind the true last block is kept by a mask.

use std::hint::black_box;

use super::BLOCK_SIZE;
use super::DIGEST_SIZE;
use super::HmacSm3;
use super::Sm3;
use super::compress::compress;

impl Sm3 {
    /// The hash of all bytes added and of the first `length` bytes of `tail`. Time depends on how long `tail` is and on what was added, and
    /// not on `length`, which is taken for `tail.len()` when it is longer.
    pub fn finalize_secret_length(self, tail: &[u8], length: usize) -> [u8; DIGEST_SIZE] {
        let begun = self.begun();
        let most = begun + tail.len();
        // Bytes from the begun block on, and where the last block of the padded message is.
        let bytes = select(less(most, begun + length), most, begun + length);
        let last = (bytes + LENGTH_SIZE) / BLOCK_SIZE;
        let added = (bytes - begun) as u64;
        let bits = self.length.wrapping_add(added).wrapping_mul(8).to_be_bytes();
        let mut state = self.state;
        let mut found = [0; 8];
        for number in 0..=(most + LENGTH_SIZE) / BLOCK_SIZE {
            let start = number * BLOCK_SIZE;
            let mut block = [0; BLOCK_SIZE];
            for (place, to) in (start..).zip(&mut block) {
                let byte = match place.checked_sub(begun) {
                    None => self.pending.get(place).copied(),
                    Some(at) => tail.get(at).copied(),
                };
                let inside = byte.unwrap_or(0) & low(less(place, bytes));
                *to = inside | (0x80 & low(equal(place, bytes)));
            }
            let is_last = equal(number, last);
            for (to, byte) in block[BLOCK_SIZE - bits.len()..].iter_mut().zip(bits) {
                *to |= byte & low(is_last);
            }
            compress(&mut state, std::slice::from_ref(&block));
            for (to, word) in found.iter_mut().zip(state) {
                *to |= word & (is_last as u32);
            }
        }
        let mut digest = [0; DIGEST_SIZE];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(found) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }
}

impl HmacSm3 {
    /// The authentication code of all bytes added and of the first `length` bytes of `tail`, as [`Sm3::finalize_secret_length`] does it.
    pub fn finalize_secret_length(self, tail: &[u8], length: usize) -> [u8; DIGEST_SIZE] {
        let mut outer = self.outer;
        outer.update(&self.inner.finalize_secret_length(tail, length));
        outer.finalize()
    }
}

/// Bytes of the number of bits, which ends the last block; the byte before the padding is counted by rounding up.
const LENGTH_SIZE: usize = 8;

/// All ones when `a < b`. Both are far below the top bit, so the sign of the difference tells.
///
/// The optimizer must not see that a mask is all ones or zero: it would make a jump of it.
fn less(a: usize, b: usize) -> usize {
    black_box((a.wrapping_sub(b) >> (usize::BITS - 1)).wrapping_neg())
}

fn equal(a: usize, b: usize) -> usize {
    !(less(a, b) | less(b, a))
}

fn select(mask: usize, yes: usize, no: usize) -> usize {
    no ^ (mask & (yes ^ no))
}

/// The mask of a byte.
fn low(mask: usize) -> u8 {
    mask as u8
}

#[cfg(test)]
mod tests {
    use crate::sm3::HmacSm3;
    use crate::sm3::Sm3;
    use crate::sm3::digest;

    #[test]
    fn every_secret_length_gives_the_hash_of_that_length() {
        let data: Vec<u8> = (0..500u32).map(|i| (i * 7) as u8).collect();
        for added in [0, 1, 13, 55, 56, 63, 64, 65, 77, 128] {
            for most in [0, 1, 8, 9, 55, 64, 100, 300] {
                for length in 0..=most {
                    let mut hash = Sm3::new();
                    hash.update(&data[..added]);
                    let found = hash.finalize_secret_length(&data[added..added + most], length);
                    assert_eq!(found, digest(&data[..added + length]), "{added} {most} {length}");
                }
            }
        }
    }

    #[test]
    fn a_length_beyond_the_tail_is_the_whole_tail() {
        assert_eq!(Sm3::new().finalize_secret_length(b"abc", 99), digest(b"abc"));
    }

    #[test]
    fn a_code_with_a_secret_length_is_the_code_of_that_length() {
        let data = [0xab; 400];
        for length in [0, 1, 63, 64, 250, 387] {
            let mut keyed = HmacSm3::new(b"key");
            keyed.update(&data[..13]);
            let mut plain = keyed.clone();
            plain.update(&data[13..13 + length]);
            assert_eq!(keyed.finalize_secret_length(&data[13..], length), plain.finalize());
        }
    }
}
