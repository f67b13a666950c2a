//! SM4-CBC without padding: the caller pads and looks at padding (in constant time, where an attacker can ask).

use super::BLOCK_SIZE;
use super::Cipher;
use super::KEY_SIZE;
use super::Path;

/// SM4-CBC under one key. The key is wiped on drop.
pub struct Sm4Cbc {
    cipher: Cipher,
}

impl Sm4Cbc {
    /// Expands `key` for the fastest path.
    pub fn new(key: &[u8; KEY_SIZE]) -> Self {
        Self { cipher: Cipher::best(key) }
    }

    /// Expands `key` for `path`; `None` when this processor cannot take it.
    pub fn with_path(path: Path, key: &[u8; KEY_SIZE]) -> Option<Self> {
        Cipher::new(path, key).map(|cipher| Self { cipher })
    }

    /// Encrypts `data` in place.
    ///
    /// # Panics
    /// When `data` is not whole blocks: that is a mistake of the caller, who pads.
    pub fn encrypt(&self, iv: &[u8; BLOCK_SIZE], data: &mut [u8]) {
        let (blocks, rest) = data.as_chunks_mut::<BLOCK_SIZE>();
        assert!(rest.is_empty(), "CBC works on whole blocks");
        self.cipher.cbc_encrypt(iv, blocks);
    }

    /// Decrypts `data` in place.
    ///
    /// # Panics
    /// When `data` is not whole blocks: check the length of what a peer sent before.
    pub fn decrypt(&self, iv: &[u8; BLOCK_SIZE], data: &mut [u8]) {
        let (blocks, rest) = data.as_chunks_mut::<BLOCK_SIZE>();
        assert!(rest.is_empty(), "CBC works on whole blocks");
        self.cipher.cbc_decrypt(iv, blocks);
    }
}

impl std::fmt::Debug for Sm4Cbc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sm4Cbc { .. }")
    }
}
