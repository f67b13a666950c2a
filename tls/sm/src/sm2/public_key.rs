//! The public key: its encoding, the digest that a signature covers, and verification.

use super::Error;
use super::Signature;
use super::group;
use super::group::Point;
use crate::sm3::Sm3;

/// A point of the curve that is somebody's public key or share.
#[derive(Clone)]
pub struct PublicKey {
    pub(super) point: Point,
    /// `04 || x || y`, kept because every digest and every encoding starts from it.
    encoded: [u8; 65],
}

impl PublicKey {
    /// Reads `04 || x || y`: 65 bytes, on the curve. Compressed and hybrid forms and the point at infinity are refused
    /// (RFC 8446 §4.2.8.2 knows the uncompressed form only).
    pub fn from_uncompressed(bytes: &[u8]) -> Result<Self, Error> {
        let encoded: [u8; 65] = bytes.try_into().map_err(|_length| Error::Point)?;
        let (mut x, mut y) = ([0; 32], [0; 32]);
        x.copy_from_slice(&encoded[1..33]);
        y.copy_from_slice(&encoded[33..]);
        let point = Point::from_bytes(&x, &y).filter(|_| encoded[0] == 4).ok_or(Error::Point)?;
        Ok(Self { point, encoded })
    }

    /// `04 || x || y`.
    pub const fn to_uncompressed(&self) -> [u8; 65] {
        self.encoded
    }

    /// Checks a signature of the concatenated `message` by the signer with the identifier `id` (GB/T 32918.2 §7).
    pub fn verify(&self, id: &[u8], message: &[&[u8]], signature: &Signature) -> Result<(), Error> {
        self.verify_digest(&self.digest(id, message)?, signature)
    }

    /// Checks a signature of `digest`, which is SM3(Z_A || message) already.
    pub fn verify_digest(&self, digest: &[u8; 32], signature: &Signature) -> Result<(), Error> {
        signature.check(digest, |s, t| group::sum_vartime(s, t, &self.point))
    }

    /// What a signature is made over: SM3(Z_A || message).
    ///
    /// # Errors
    /// [`Error::Length`] when `id` is longer than 8191 bytes.
    pub fn digest(&self, id: &[u8], message: &[&[u8]]) -> Result<[u8; 32], Error> {
        let mut hash = Sm3::new();
        hash.update(&self.identity(id)?);
        for part in message {
            hash.update(part);
        }
        Ok(hash.finalize())
    }

    /// Z_A of GB/T 32918.2 §5.5: the hash of identifier, curve and key.
    pub(super) fn identity(&self, id: &[u8]) -> Result<[u8; 32], Error> {
        let bits = id
            .len()
            .checked_mul(8)
            .and_then(|bits| u16::try_from(bits).ok())
            .ok_or(Error::Length)?;
        let mut hash = Sm3::new();
        hash.update(&bits.to_be_bytes());
        hash.update(id);
        hash.update(&CURVE);
        hash.update(&self.encoded[1..]);
        Ok(hash.finalize())
    }

    pub(super) fn from_point(point: Point) -> Self {
        let (x, y) = point.coordinates();
        let mut encoded = [4; 65];
        encoded[1..33].copy_from_slice(&x);
        encoded[33..].copy_from_slice(&y);
        Self { point, encoded }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.encoded == other.encoded
    }
}

impl Eq for PublicKey {}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PublicKey(")?;
        self.encoded.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// a, b, x_G and y_G of the curve (GB/T 32918.5 §2), as Z_A takes them.
const CURVE: [u8; 128] = {
    let parts: [u128; 8] = [
        0xFFFF_FFFE_FFFF_FFFF_FFFF_FFFF_FFFF_FFFF,
        0xFFFF_FFFF_0000_0000_FFFF_FFFF_FFFF_FFFC,
        0x28E9_FA9E_9D9F_5E34_4D5A_9E4B_CF65_09A7,
        0xF397_89F5_15AB_8F92_DDBC_BD41_4D94_0E93,
        0x32C4_AE2C_1F19_8119_5F99_0446_6A39_C994,
        0x8FE3_0BBF_F266_0BE1_715A_4589_334C_74C7,
        0xBC37_36A2_F4F6_779C_59BD_CEE3_6B69_2153,
        0xD0A9_877C_C62A_4740_02DF_32E5_2139_F0A0,
    ];
    let mut out = [0; 128];
    let mut i = 0;
    while i < out.len() {
        out[i] = parts[i / 16].to_be_bytes()[i % 16];
        i += 1;
    }
    out
};
