//! SM2 (GB/T 32918-2016, GM/T 0003-2012): signatures, encryption and key agreement on the curve sm2p256v1.
//!
//! | part | clause | where |
//! |---|---|---|
//! | signature with SM3 and a signer's identifier | GB/T 32918.2 | [`PrivateKey::sign`], [`PublicKey::verify`] |
//! | key exchange | GB/T 32918.3 | [`exchange`] |
//! | public key encryption, DER of GM/T 0009, order C1 C3 C2 | GB/T 32918.4 | [`PublicKey::encrypt`], [`PrivateKey::decrypt`] |
//! | plain ECDH, the x coordinate | RFC 8998 §3.2.2 | [`PrivateKey::agree`] |
//!
//! Whatever touches a secret takes the same time for every value of it, but for a few values that a uniform secret takes with a
//! probability of 2^-250; verification, whose inputs are all public, does not. `benches/timing` looks for differences.
//! Points come in uncompressed form only, as RFC 8998 and TLCP have them, and are always checked against the curve.
//! A key that verifies again and again is worth a [`PreparedKey`]. There is no `unsafe` here.

pub mod exchange;

mod encryption;
mod group;
mod prepared_key;
mod private_key;
mod public_key;
mod random;
mod signature;

#[cfg(test)]
mod tests;

pub use prepared_key::PreparedKey;
pub use private_key::PrivateKey;
pub use public_key::PublicKey;
pub use signature::Signature;

pub(crate) use random::fill as fill_random;

#[cfg(test)]
use encryption::Ciphertext;

/// The signer's identifier that certificates, TLCP and everything without an agreement of its own use (GB/T 35276, GM/T 0009 §10).
pub const DEFAULT_ID: &[u8] = b"1234567812345678";

/// The signer's identifier of a TLS 1.3 CertificateVerify (RFC 8998 §3.2.1).
pub const TLS13_ID: &[u8] = b"TLSv1.3+GM+Cipher+Suite";

/// Why an operation of SM2 failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A private key is not in 1..n-1.
    #[error("the SM2 private key is not between 1 and n-2")]
    PrivateKey,
    /// A public key or share is not an uncompressed point of the curve.
    #[error("the SM2 point is not an uncompressed point of the curve")]
    Point,
    /// A signature is not the DER, or not in the range, of one.
    #[error("the SM2 signature is malformed")]
    SignatureEncoding,
    /// A signature does not fit message, identifier and key.
    #[error("the SM2 signature does not verify")]
    Signature,
    /// A ciphertext is not the DER of one.
    #[error("the SM2 ciphertext is malformed")]
    CiphertextEncoding,
    /// A ciphertext was not made for this key, or was changed.
    #[error("the SM2 ciphertext does not decrypt")]
    Ciphertext,
    /// A key agreement yields the point at infinity: the peer's values are not honest ones.
    #[error("the SM2 key agreement yields no key")]
    Agreement,
    /// An identifier is longer than 8191 bytes, or a message or key to derive is empty or too long.
    #[error("an input of SM2 is too long or empty")]
    Length,
    /// The system gave no randomness.
    #[error("the system gave no randomness")]
    Random,
}
