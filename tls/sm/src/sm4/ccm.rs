//! SM4-CCM (NIST SP 800-38C and RFC 3610 over SM4; RFC 8998 section 3): 12-byte nonces, so a length field of three bytes.

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::BLOCK_SIZE;
use super::Cipher;
use super::KEY_SIZE;
use super::NONCE_SIZE;
use super::OpenError;
use super::Path;
use super::TAG_SIZE;

/// SM4-CCM under one key, with 12-byte nonces and 16-byte tags. The key is wiped on drop.
pub struct Sm4Ccm {
    cipher: Cipher,
}

impl Sm4Ccm {
    /// Expands `key` for the fastest path.
    pub fn new(key: &[u8; KEY_SIZE]) -> Self {
        Self { cipher: Cipher::best(key) }
    }

    /// Expands `key` for `path`; `None` when this processor cannot take it.
    pub fn with_path(path: Path, key: &[u8; KEY_SIZE]) -> Option<Self> {
        Cipher::new(path, key).map(|cipher| Self { cipher })
    }

    /// Encrypts `data` in place and returns its tag. A nonce must never be used twice under one key.
    ///
    /// # Panics
    /// When `data` is 16 MiB or more (its length has three bytes) or `aad` is 65,280 bytes or more: no TLS record is near either.
    #[must_use = "data without its tag cannot be opened"]
    pub fn seal(&self, nonce: &[u8; NONCE_SIZE], aad: &[u8], data: &mut [u8]) -> [u8; TAG_SIZE] {
        let tag = self.tag(nonce, aad, data);
        self.cipher.ctr(&counter(nonce, 1), data);
        tag
    }

    /// Decrypts `data` in place and checks the tag in constant time. When it does not fit, `data` is zeroed.
    ///
    /// # Panics
    /// As [`Self::seal`].
    pub fn open(
        &self,
        nonce: &[u8; NONCE_SIZE],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_SIZE],
    ) -> Result<(), OpenError> {
        self.cipher.ctr(&counter(nonce, 1), data);
        if bool::from(self.tag(nonce, aad, data).ct_eq(tag)) {
            return Ok(());
        }
        data.zeroize();
        Err(OpenError)
    }

    fn tag(&self, nonce: &[u8; NONCE_SIZE], aad: &[u8], plain: &[u8]) -> [u8; TAG_SIZE] {
        assert!(plain.len() < 1 << 24, "CCM with a 12-byte nonce is limited to 16 MiB");
        assert!(aad.len() < 0xff00, "associated data of CCM is limited to 65,279 bytes here");
        // Flags: associated data or not, a tag of 16 bytes, a length of 3 bytes.
        let mut mac = counter(nonce, plain.len() as u32);
        mac[0] = (u8::from(!aad.is_empty()) << 6) | 0x38 | 2;
        self.cipher.encrypt(&mut mac);
        if !aad.is_empty() {
            let (first, rest) = aad.split_at(aad.len().min(BLOCK_SIZE - 2));
            let mut block = [0; BLOCK_SIZE];
            block[..2].copy_from_slice(&(aad.len() as u16).to_be_bytes());
            block[2..2 + first.len()].copy_from_slice(first);
            self.cipher.mac(&mut mac, &[block]);
            self.add(&mut mac, rest);
        }
        self.add(&mut mac, plain);
        self.cipher.ctr(&counter(nonce, 0), &mut mac);
        mac
    }

    /// Adds `data`, its end filled with zeros to a whole block.
    fn add(&self, mac: &mut [u8; BLOCK_SIZE], data: &[u8]) {
        let (blocks, rest) = data.as_chunks::<BLOCK_SIZE>();
        self.cipher.mac(mac, blocks);
        if !rest.is_empty() {
            let mut block = [0; BLOCK_SIZE];
            block[..rest.len()].copy_from_slice(rest);
            self.cipher.mac(mac, &[block]);
        }
    }
}

fn counter(nonce: &[u8; NONCE_SIZE], number: u32) -> [u8; BLOCK_SIZE] {
    let mut block = [0; BLOCK_SIZE];
    block[0] = 2;
    block[1..=NONCE_SIZE].copy_from_slice(nonce);
    block[13..].copy_from_slice(&number.to_be_bytes()[1..]);
    block
}

impl std::fmt::Debug for Sm4Ccm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sm4Ccm { .. }")
    }
}
