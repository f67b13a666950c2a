//! Random: any host, whatever its weight, as Envoy's `RandomLoadBalancer`.

use super::group::Source;
use super::index_below;
use crate::worker::Rng;

/// A host of `source`.
pub(crate) fn pick(source: &Source, rng: &Rng) -> Option<usize> {
    source.hosts.get(index_below(rng, source.hosts.len())).map(|host| *host as usize)
}
