//! SM3 (GB/T 32905-2016), the 256-bit hash of the national suites, and HMAC over it (RFC 2104).
#![expect(
    clippy::cast_possible_truncation,
    clippy::inline_always,
    clippy::many_single_char_names,
    reason = "words are cut into bytes; unrolled rounds; the standard's own letters"
)]

mod compress;
mod hmac;
mod many;
mod secret_length;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_lanes;

use zeroize::Zeroize;
use zeroize::ZeroizeOnDrop;

use self::compress::START;
use self::compress::compress;

pub use self::hmac::HmacSm3;
pub use self::hmac::hmac;
pub use self::many::Pieces;

/// Bytes of one hash.
pub const DIGEST_SIZE: usize = 32;

/// Bytes of one block, the unit that HMAC pads its key to.
pub const BLOCK_SIZE: usize = 64;

/// A running SM3 hash. A clone goes on by itself, which is how a transcript hash is read in the middle. Wiped on drop, for it may
/// hold a key's state.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Sm3 {
    state: [u32; 8],
    /// The begun block: as many bytes as the length has over whole blocks.
    pending: [u8; BLOCK_SIZE],
    /// Bytes so far.
    length: u64,
}

impl Default for Sm3 {
    fn default() -> Self {
        Self { state: START, pending: [0; BLOCK_SIZE], length: 0 }
    }
}

impl Sm3 {
    /// The hash of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, mut data: &[u8]) {
        let begun = self.begun();
        self.length = self.length.wrapping_add(data.len() as u64);
        if begun > 0 {
            let (head, rest) = data.split_at(data.len().min(BLOCK_SIZE - begun));
            self.pending[begun..begun + head.len()].copy_from_slice(head);
            if begun + head.len() < BLOCK_SIZE {
                return;
            }
            compress(&mut self.state, std::slice::from_ref(&self.pending));
            data = rest;
        }
        let (blocks, rest) = data.as_chunks::<BLOCK_SIZE>();
        compress(&mut self.state, blocks);
        self.pending[..rest.len()].copy_from_slice(rest);
    }

    /// The hash of all bytes added.
    pub fn finalize(mut self) -> [u8; DIGEST_SIZE] {
        let begun = self.begun();
        self.pending[begun..].fill(0);
        self.pending[begun] = 0x80;
        if begun >= BLOCK_SIZE - 8 {
            compress(&mut self.state, std::slice::from_ref(&self.pending));
            self.pending.fill(0);
        }
        self.pending[BLOCK_SIZE - 8..].copy_from_slice(&self.length.wrapping_mul(8).to_be_bytes());
        compress(&mut self.state, std::slice::from_ref(&self.pending));
        let mut digest = [0; DIGEST_SIZE];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }

    /// Bytes of the begun block.
    fn begun(&self) -> usize {
        (self.length % BLOCK_SIZE as u64) as usize
    }
}

impl std::fmt::Debug for Sm3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sm3 { .. }")
    }
}

/// The SM3 hash of `data`.
pub fn digest(data: &[u8]) -> [u8; DIGEST_SIZE] {
    let mut hash = Sm3::new();
    hash.update(data);
    hash.finalize()
}

#[cfg(test)]
mod tests;
