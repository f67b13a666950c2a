//! HMAC-SM3 (RFC 2104 over GB/T 32905). The two padded keys are hashed once per key, not once per message.

use super::BLOCK_SIZE;
use super::DIGEST_SIZE;
use super::Sm3;

/// A running HMAC-SM3. Clone one that has seen no data to use a key again: the key's two blocks are then not hashed again.
#[derive(Clone)]
pub struct HmacSm3 {
    pub(super) inner: Sm3,
    pub(super) outer: Sm3,
}

impl HmacSm3 {
    /// An HMAC under `key`, of any length; a key of more than 64 bytes is hashed first, as RFC 2104 says.
    pub fn new(key: &[u8]) -> Self {
        let mut block = [0u8; BLOCK_SIZE];
        if key.len() > BLOCK_SIZE {
            block[..DIGEST_SIZE].copy_from_slice(&super::digest(key));
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let padded = |pad: u8| {
            let mut hash = Sm3::new();
            hash.update(&zeroize::Zeroizing::new(block.map(|byte| byte ^ pad))[..]);
            hash
        };
        let made = Self { inner: padded(0x36), outer: padded(0x5c) };
        zeroize::Zeroize::zeroize(&mut block);
        made
    }

    /// Adds bytes of the message.
    pub fn update(&mut self, data: &[u8]) {
        self.inner.update(data);
    }

    /// The authentication code of all bytes added. Compare it in constant time (`subtle`).
    pub fn finalize(self) -> [u8; DIGEST_SIZE] {
        let mut outer = self.outer;
        outer.update(&self.inner.finalize());
        outer.finalize()
    }
}

impl std::fmt::Debug for HmacSm3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HmacSm3 { .. }")
    }
}

/// HMAC-SM3 of the concatenation of `parts`.
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; DIGEST_SIZE] {
    let mut mac = HmacSm3::new(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize()
}
