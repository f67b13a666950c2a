//! SM4-CBC without padding: the caller pads and looks at padding (in constant time, where an attacker can ask).

use super::BLOCK_SIZE;
use super::Cipher;
use super::KEY_SIZE;

/// SM4-CBC under one key. The key is wiped on drop.
pub struct Sm4Cbc {
    cipher: Cipher,
}

impl Sm4Cbc {
    /// Expands `key`.
    pub fn new(key: &[u8; KEY_SIZE]) -> Self {
        Self { cipher: Cipher::new(key) }
    }

    /// Encrypts `data` in place.
    ///
    /// # Panics
    /// When `data` is not whole blocks: that is a mistake of the caller, who pads.
    pub fn encrypt(&self, iv: &[u8; BLOCK_SIZE], data: &mut [u8]) {
        let (blocks, rest) = data.as_chunks_mut::<BLOCK_SIZE>();
        assert!(rest.is_empty(), "CBC works on whole blocks");
        let mut chain = *iv;
        for block in blocks {
            for (byte, prior) in block.iter_mut().zip(chain) {
                *byte ^= prior;
            }
            self.cipher.encrypt(block);
            chain = *block;
        }
    }

    /// Decrypts `data` in place.
    ///
    /// # Panics
    /// When `data` is not whole blocks: check the length of what a peer sent before.
    pub fn decrypt(&self, iv: &[u8; BLOCK_SIZE], data: &mut [u8]) {
        let (blocks, rest) = data.as_chunks_mut::<BLOCK_SIZE>();
        assert!(rest.is_empty(), "CBC works on whole blocks");
        let mut chain = *iv;
        for block in blocks {
            let sealed = *block;
            self.cipher.decrypt(block);
            for (byte, prior) in block.iter_mut().zip(chain) {
                *byte ^= prior;
            }
            chain = sealed;
        }
    }
}

impl std::fmt::Debug for Sm4Cbc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sm4Cbc { .. }")
    }
}
