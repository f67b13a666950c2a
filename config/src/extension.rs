//! Extensions: factories of HTTP filters, found by type URL, and the chains made of them.

use palanquin_filter_api::FilterChain;

/// The filters of a connection manager, from which the chain of each route is made.
#[derive(Debug, Default)]
pub struct ChainTemplate {
    chain: FilterChain,
}

impl ChainTemplate {
    /// The chain without overrides.
    pub fn default_chain(&self) -> &FilterChain {
        &self.chain
    }
}
