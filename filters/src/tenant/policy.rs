//! What applies to a tenant: its own policy over its tier's.

use std::sync::Arc;

use super::quota::Quota;
use super::routing::Routing;

/// The finished policy of a tenant.
#[derive(Debug)]
pub(super) struct Policy {
    /// The tier; `*` when none is named.
    pub(super) tier: Arc<str>,
    pub(super) state: State,
    pub(super) routing: Option<Routing>,
    pub(super) quota: Quota,
    pub(super) breaker: Breaker,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tier: Arc::from("*"),
            state: State::Active,
            routing: None,
            quota: Quota::default(),
            breaker: Breaker::default(),
        }
    }
}

/// `palanquin.tenant.v1.State`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum State {
    #[default]
    Active,
    /// Only GET, HEAD and OPTIONS.
    ReadOnly,
    /// Nothing.
    Suspended,
}

/// `palanquin.tenant.v1.Breaker`, counted for each of a tenant's clusters.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Breaker {
    pub(super) max_requests: Option<u32>,
}
