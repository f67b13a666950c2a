//! Round robin: one after the other, by weight.

use super::Cursor;
use super::group::Source;
use super::index_below;
use crate::worker::Rng;

/// The next host of `source`. A worker begins at a random place, so that workers do not all begin with
/// the same host.
pub(crate) fn pick(source: &Source, cursor: &mut Cursor, rng: &Rng) -> Option<usize> {
    if source.weights.is_none() {
        let hosts = source.hosts.len();
        let next = match cursor {
            Cursor::At(next) => *next % hosts.max(1),
            _ => index_below(rng, hosts),
        };
        *cursor = Cursor::At(next + 1);
        return Some(*source.hosts.get(next)? as usize);
    }
    let schedule = cursor.schedule(source, rng);
    let place = schedule.pick(|place| source.weight(place))?;
    Some(source.hosts[place] as usize)
}
