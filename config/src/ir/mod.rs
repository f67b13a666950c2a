//! The validated configuration: what the data path reads.
//!
//! A value of these types is valid: regexes are compiled, names resolved, defaults filled in. They are made
//! by [`crate::lower`] only, shared by all workers in `Arc`s, and never change.

pub mod access_log;
pub mod bootstrap;
pub mod cluster;
pub mod endpoint;
pub mod format;
pub mod header_mutation;
pub mod http;
pub mod listener;
pub mod matcher;
pub mod private_key;
pub mod retry;
pub mod route;
pub mod secret;
pub mod sm;
pub mod tls;
pub mod tracing;

/// `core.v3.RoutingPriority`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Priority {
    /// Ordinary requests.
    #[default]
    Default,
    /// Requests with thresholds of their own.
    High,
}

/// A 64-bit digest of a resource's bytes: equal digests mean that nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Digest(pub u64);

impl Digest {
    /// The digest of a message as it came.
    pub fn of(bytes: &[u8]) -> Self {
        use std::hash::BuildHasher;
        Self(foldhash::quality::FixedState::default().hash_one(bytes))
    }
}
