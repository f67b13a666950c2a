//! What X.509 needs to know of SM2: signature verification for webpki, KeyUsage of leaves and the kind of a certificate's key.
//!
//! webpki checks paths, names and times; it takes [`SM2_SM3`] and its like as further algorithms. It does not look at the
//! KeyUsage of an end entity, on which the dual certificates of TLCP rest: [`key_usage`] reads it.

mod certificate;
mod recent;
mod verification;

#[cfg(test)]
mod tests;

pub use certificate::Certificate;
pub use certificate::KeyUsage;
pub use certificate::is_sm2;
pub use certificate::is_sm2_spki;
pub use certificate::key_usage;
pub use certificate::public_key;
pub use verification::ALL;
pub use verification::SM2_SM3;
pub use verification::SM2_SM3_NULL;
pub use verification::SM2_SM3_TLS13;

/// The contents of the AlgorithmIdentifier of an SM2 key: id-ecPublicKey with the curve 1.2.156.10197.1.301 (GM/T 0006).
pub const SM2_KEY: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55,
    0x01, 0x82, 0x2d,
];

/// The contents of the AlgorithmIdentifier of a signature SM2-with-SM3, 1.2.156.10197.1.501 (GM/T 0006), without parameters.
pub const SM2_SM3_SIGNATURE: &[u8] = &[0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x75];
