//! SM4 (GB/T 32907-2016) in the modes of TLS: GCM and CCM (RFC 8998), CBC (TLCP, GB/T 38636).
//!
//! The processor decides which [`Path`] a key takes; `with_path` forces one, for tests and measurements.
//!
//! There is no path for ARM's SM4 instructions or NEON yet: none could be checked where this was written, and what is not checked is not
//! here. ARM takes [`Path::Portable`], which is constant time and in bulk still faster than tables.
//!
//! Keys are wiped when they are dropped. Plaintext and key stream that passed through the stack are not.
#![expect(
    clippy::cast_possible_truncation,
    clippy::inline_always,
    clippy::many_single_char_names,
    reason = "words are cut into bytes; unrolled rounds; the standard's own letters"
)]

mod cbc;
mod ccm;
mod cipher;
mod gcm;
mod path;
mod portable;
mod sbox;
mod schedule;
#[cfg(target_arch = "x86_64")]
mod x86;

use self::cipher::Cipher;

pub use self::cbc::CbcMessage;
pub use self::cbc::Sm4Cbc;
pub use self::ccm::Sm4Ccm;
pub use self::gcm::Sm4Gcm;
pub use self::path::Path;

/// Bytes of a key.
pub const KEY_SIZE: usize = 16;
/// Bytes of a block.
pub const BLOCK_SIZE: usize = 16;
/// Bytes of the authentication tag of GCM and CCM.
pub const TAG_SIZE: usize = 16;
/// Bytes of the nonce of GCM and CCM.
pub const NONCE_SIZE: usize = 12;

/// The tag does not fit: the data, the associated data, the nonce or the key is not what was sealed. Nothing more is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the authentication tag does not match")]
pub struct OpenError;

/// The hash key of GCM as POLYVAL takes it: bytes reversed, times x (RFC 8452 appendix A).
fn ghash_key(h: &[u8; BLOCK_SIZE]) -> u128 {
    let h = u128::from_be_bytes(*h);
    (h << 1) ^ ((h >> 127).wrapping_neg() & (0xc2 << 120 | 1))
}

#[cfg(test)]
mod tests;
