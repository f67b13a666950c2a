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

    /// Encrypts several messages in place, all at once where the processor has lanes for them: in one message each block waits for the one
    /// before, so this is how CBC gets fast. It pays most when they are of one length.
    ///
    /// # Panics
    /// When a message is not whole blocks.
    pub fn encrypt_many(&self, messages: &mut [CbcMessage<'_>]) {
        assert!(
            messages.iter().all(|message| message.data.len().is_multiple_of(BLOCK_SIZE)),
            "CBC works on whole blocks"
        );
        self.cipher.cbc_encrypt_many(messages);
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

/// A message to encrypt with others: whole blocks, and the vector it starts from.
#[derive(Debug)]
pub struct CbcMessage<'a> {
    /// The initialization vector; one that nobody can foresee.
    pub iv: [u8; BLOCK_SIZE],
    /// Encrypted in place.
    pub data: &'a mut [u8],
}

impl CbcMessage<'_> {
    /// Block `number`, if there are so many.
    pub(super) fn block(&mut self, number: usize) -> Option<&mut [u8; BLOCK_SIZE]> {
        self.data.as_chunks_mut::<BLOCK_SIZE>().0.get_mut(number)
    }

    pub(super) fn blocks(&self) -> usize {
        self.data.len() / BLOCK_SIZE
    }
}

impl std::fmt::Debug for Sm4Cbc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sm4Cbc { .. }")
    }
}
