//! SM4 (GB/T 32907-2016) in the modes of TLS: GCM and CCM (RFC 8998), CBC (TLCP, GB/T 38636).

mod cbc;
mod ccm;
mod gcm;

use ::sm4::cipher::BlockCipherDecrypt;
use ::sm4::cipher::BlockCipherEncrypt;
use ::sm4::cipher::KeyInit;

pub use self::cbc::Sm4Cbc;
pub use self::ccm::Sm4Ccm;
pub use self::gcm::Sm4Gcm;

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

/// The cipher of one key.
struct Cipher(::sm4::Sm4);

impl Cipher {
    fn new(key: &[u8; KEY_SIZE]) -> Self {
        Self(::sm4::Sm4::new(key.into()))
    }

    fn encrypt(&self, block: &mut [u8; BLOCK_SIZE]) {
        self.0.encrypt_block(block.into());
    }

    fn decrypt(&self, block: &mut [u8; BLOCK_SIZE]) {
        self.0.decrypt_block(block.into());
    }

    /// Counter mode (32-bit big-endian counter in the last four bytes), from `counter` on.
    fn ctr(&self, mut counter: [u8; BLOCK_SIZE], data: &mut [u8]) {
        for chunk in data.chunks_mut(BLOCK_SIZE) {
            let mut stream = counter;
            self.encrypt(&mut stream);
            for (byte, key) in chunk.iter_mut().zip(stream) {
                *byte ^= key;
            }
            let number = u128::from_be_bytes(counter);
            counter = ((number & !0xffff_ffff) | u128::from((number as u32).wrapping_add(1)))
                .to_be_bytes();
        }
    }
}

#[cfg(test)]
mod tests;
