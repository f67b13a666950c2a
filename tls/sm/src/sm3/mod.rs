//! SM3 (GB/T 32905-2016), the 256-bit hash of the national suites, and HMAC over it (RFC 2104).

mod hmac;

use ::sm3::Digest;

pub use self::hmac::HmacSm3;
pub use self::hmac::hmac;

/// Bytes of one hash.
pub const DIGEST_SIZE: usize = 32;

/// Bytes of one block, the unit that HMAC pads its key to.
pub const BLOCK_SIZE: usize = 64;

/// A running SM3 hash. A clone goes on by itself, which is how a transcript hash is read in the middle.
#[derive(Clone, Default)]
pub struct Sm3 {
    inner: ::sm3::Sm3,
}

impl Sm3 {
    /// The hash of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.inner.update(data);
    }

    /// The hash of all bytes added.
    pub fn finalize(self) -> [u8; DIGEST_SIZE] {
        self.inner.finalize().into()
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
