//! SM4-GCM (NIST SP 800-38D over SM4; RFC 8998 section 3).

use subtle::ConstantTimeEq;

use super::BLOCK_SIZE;
use super::Cipher;
use super::KEY_SIZE;
use super::NONCE_SIZE;
use super::OpenError;
use super::TAG_SIZE;

/// SM4-GCM under one key, with 12-byte nonces and 16-byte tags. The key is wiped on drop.
pub struct Sm4Gcm {
    cipher: Cipher,
    /// The hash key: the encrypted zero block.
    h: u128,
}

impl Sm4Gcm {
    /// Expands `key`.
    pub fn new(key: &[u8; KEY_SIZE]) -> Self {
        let cipher = Cipher::new(key);
        let mut h = [0; BLOCK_SIZE];
        cipher.encrypt(&mut h);
        Self { cipher, h: u128::from_be_bytes(h) }
    }

    /// Encrypts `data` in place and returns its tag. A nonce must never be used twice under one key.
    #[must_use = "data without its tag cannot be opened"]
    pub fn seal(&self, nonce: &[u8; NONCE_SIZE], aad: &[u8], data: &mut [u8]) -> [u8; TAG_SIZE] {
        self.cipher.ctr(counter(nonce, 2), data);
        self.tag(nonce, aad, data)
    }

    /// Checks the tag in constant time, then decrypts `data` in place. When the tag does not fit, `data` holds nothing of the plaintext.
    pub fn open(
        &self,
        nonce: &[u8; NONCE_SIZE],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_SIZE],
    ) -> Result<(), OpenError> {
        if !bool::from(self.tag(nonce, aad, data).ct_eq(tag)) {
            return Err(OpenError);
        }
        self.cipher.ctr(counter(nonce, 2), data);
        Ok(())
    }

    fn tag(&self, nonce: &[u8; NONCE_SIZE], aad: &[u8], sealed: &[u8]) -> [u8; TAG_SIZE] {
        let mut sum = 0;
        for chunk in aad.chunks(BLOCK_SIZE).chain(sealed.chunks(BLOCK_SIZE)) {
            let mut block = [0; BLOCK_SIZE];
            block[..chunk.len()].copy_from_slice(chunk);
            sum = multiply(sum ^ u128::from_be_bytes(block), self.h);
        }
        let lengths = (aad.len() as u128 * 8) << 64 | (sealed.len() as u128 * 8);
        sum = multiply(sum ^ lengths, self.h);
        let mut mask = counter(nonce, 1);
        self.cipher.encrypt(&mut mask);
        (sum ^ u128::from_be_bytes(mask)).to_be_bytes()
    }
}

fn counter(nonce: &[u8; NONCE_SIZE], number: u32) -> [u8; BLOCK_SIZE] {
    let mut block = [0; BLOCK_SIZE];
    block[..NONCE_SIZE].copy_from_slice(nonce);
    block[NONCE_SIZE..].copy_from_slice(&number.to_be_bytes());
    block
}

/// One product in the field of GCM, bit by bit, without a branch on either.
fn multiply(x: u128, mut v: u128) -> u128 {
    let mut product = 0;
    for bit in (0..128).rev() {
        product ^= v & (((x >> bit) & 1).wrapping_neg());
        v = (v >> 1) ^ ((v & 1).wrapping_neg() & (0xe1 << 120));
    }
    product
}

impl std::fmt::Debug for Sm4Gcm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sm4Gcm { .. }")
    }
}
