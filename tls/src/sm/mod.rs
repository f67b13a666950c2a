//! The national suites (国密) beside standard TLS in one context.
//!
//! A context may hold certificates of both worlds; [`kind`] tells them apart by key and KeyUsage, and [`pairs`]
//! puts an SM certificate for signing together with its companion for encryption, which TLCP needs. A listener
//! then keeps two configurations of rustls that share nothing but settings: the standard one, and one of
//! RFC 8998 ([`server`]). [`choice`] takes one of them per ClientHello, before rustls sees it. So a handshake
//! never mixes a suite of one world with a group, certificate or signature of the other, and a ticket of one
//! never opens in the other.
//!
//! Identities, SAN matchers, revocation lists and pins are the same code for both: the verifier of
//! `crate::verify` with the SM algorithms in place of the standard ones.

pub(crate) mod choice;
pub(crate) mod client;
pub(crate) mod error;
pub(crate) mod keys;
pub(crate) mod kind;
pub(crate) mod pairs;
pub(crate) mod params;
pub(crate) mod server;
