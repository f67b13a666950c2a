//! Least request: the less busy of a few random hosts, or, with unequal weights, turns by weight divided
//! by active requests. Envoy's `LeastRequestLoadBalancer` with `active_request_bias` 1.

use super::Cursor;
use super::group::Source;
use super::index_below;
use crate::worker::Rng;

/// A host of `source`; `active` tells a host's requests in flight over all workers.
pub(crate) fn pick(
    source: &Source,
    choices: u32,
    cursor: &mut Cursor,
    rng: &Rng,
    active: impl Fn(usize) -> u64,
) -> Option<usize> {
    if source.weights.is_some() {
        #[expect(clippy::cast_precision_loss, reason = "active requests are far below 2^52")]
        let weight = |place: usize| {
            source.weight(place) / (active(source.hosts[place] as usize) as f64 + 1.0)
        };
        let schedule = cursor.schedule(source, rng);
        let place = schedule.pick(weight)?;
        return Some(source.hosts[place] as usize);
    }
    let sample =
        || source.hosts.get(index_below(rng, source.hosts.len())).map(|host| *host as usize);
    let mut best = sample()?;
    if source.hosts.len() == 1 {
        return Some(best);
    }
    let mut best_active = active(best);
    for _ in 1..choices {
        let other = sample()?;
        let other_active = active(other);
        if other_active < best_active {
            (best, best_active) = (other, other_active);
        }
    }
    Some(best)
}
