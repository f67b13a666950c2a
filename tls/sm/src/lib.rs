//! The Chinese national algorithms (国密): SM2, SM3 and SM4, and what belongs to their keys and certificates.
//!
//! The software is not a certified cryptographic module; [`key_ops`] is the seam to put one behind it.

pub mod key_ops;
pub mod keys;
pub mod sm2;
pub mod sm3;
pub mod sm4;
#[cfg(target_arch = "x86_64")]
mod vector;
pub mod x509;

mod asn1;
