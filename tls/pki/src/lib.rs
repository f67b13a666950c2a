//! Makes certificates for demos and tests: standard and SM, with SPIFFE identities.
//!
//! ```
//! use palanquin_pki::Algorithm;
//! use palanquin_pki::Authority;
//! use palanquin_pki::Leaf;
//!
//! # fn main() -> Result<(), palanquin_pki::Error> {
//! let root = Authority::root(Algorithm::P256, "test root")?;
//! let server = root.issue(&Leaf::server("a.example").dns("a.example"))?;
//! assert!(server.chain_pem().starts_with("-----BEGIN CERTIFICATE-----"));
//! # Ok(())
//! # }
//! ```
//!
//! Everything about a [`Leaf`] can be wrong on purpose (validity, usages, names), and [`Issued`] can break its signature, because a
//! verifier is only tested by what it must refuse. What cannot be made here: RSA keys, requests, and anything a real authority
//! needs, such as a record of what it issued. This is no software to run an authority with.

mod asn1;
mod authority;
mod crl;
mod error;
mod extension;
mod issued;
mod key;
mod leaf;
mod name;
mod pem;
mod validity;

#[cfg(test)]
mod tests;

pub use authority::Authority;
pub use crl::Crl;
pub use error::Error;
pub use extension::ExtendedUsage;
pub use extension::San;
pub use extension::Usage;
pub use issued::DualPair;
pub use issued::Issued;
pub use key::Algorithm;
pub use key::Key;
pub use leaf::Leaf;
pub use validity::Validity;
