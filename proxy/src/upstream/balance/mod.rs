//! Which host a request goes to. Pure decisions over an immutable [`HostSet`]; the only state is a
//! worker's own: where each rotation stands, and its random numbers.

use std::cell::RefCell;

use palanquin_config::ir::cluster::Balancer;

use super::host_set::HostSet;
use crate::worker::Rng;

mod edf;
pub(super) mod group;
mod least_request;
mod locality;
mod priority;
mod random;
mod round_robin;
pub(super) mod subset;
#[cfg(test)]
mod tests;

use edf::Edf;
use group::Choice;
use group::Group;
use group::Hosts;
use group::Source;
use subset::Selected;

pub(crate) use subset::Labels;

/// Picks hosts for one worker.
#[derive(Debug)]
pub(crate) struct LocalBalancer {
    policy: Balancer,
    cursors: RefCell<Vec<Cursor>>,
}

/// Where one rotation stands.
#[derive(Debug, Default)]
pub(super) enum Cursor {
    /// It has not begun.
    #[default]
    Fresh,
    /// At this place of equal hosts.
    At(usize),
    /// In a schedule by weight.
    Schedule(Box<Edf>),
}

/// The outcome of a pick: what to count, and the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Picked {
    /// Its place in the host set; `None`: no host can be used.
    pub(crate) host: Option<usize>,
    /// Unhealthy hosts were used too.
    pub(crate) panic: bool,
    /// How the subset was found.
    pub(crate) subset: SubsetUse,
}

/// How a subset was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SubsetUse {
    /// The fallback policy decided.
    Fallback,
    /// The cluster has none.
    #[default]
    None,
    /// The one asked for.
    Selected,
}

impl LocalBalancer {
    /// A balancer whose rotations begin at random places.
    pub(crate) fn new(policy: Balancer) -> Self {
        Self { policy, cursors: RefCell::default() }
    }

    /// Begins anew: call it when the host set changed.
    pub(crate) fn reset(&self) {
        self.cursors.borrow_mut().clear();
    }

    /// Picks a host of `set`, the one of the last [`Self::reset`].
    pub(crate) fn pick(&self, set: &HostSet, labels: &Labels<'_>, rng: &Rng) -> Picked {
        let (group, subset) = match set.subsets().map(|subsets| subsets.select(labels)) {
            None => (set.everyone(), SubsetUse::None),
            Some(Selected::Any) => (set.everyone(), SubsetUse::Fallback),
            Some(Selected::Fallback(group)) => (group, SubsetUse::Fallback),
            Some(Selected::Subset(group)) => (group, SubsetUse::Selected),
            Some(Selected::None) => return Picked::default(),
        };
        Picked { subset, ..self.pick_in(set, group, rng) }
    }

    fn pick_in(&self, set: &HostSet, group: &Group, rng: &Rng) -> Picked {
        let mut cursors = self.cursors.borrow_mut();
        if cursors.len() < set.cursors() {
            cursors.resize_with(set.cursors(), Cursor::default);
        }
        let (source, panic) = match group.choose(rng) {
            Choice::Panic(source) => (Some(source), true),
            Choice::Usable(Hosts::Flat(source)) => (Some(source), false),
            Choice::Usable(Hosts::ByLocality(localities)) => {
                let weight = |place: usize| localities.weights[place];
                let schedule =
                    cursors[localities.id as usize].begin(localities.weights.len(), weight, rng);
                (schedule.pick(weight).map(|place| &localities.sources[place]), false)
            }
        };
        let host = source.and_then(|source| {
            let cursor = &mut cursors[source.id as usize];
            match self.policy {
                Balancer::LeastRequest { choices } => {
                    let active = |host: usize| set.members()[host].host.stats.rq_active();
                    least_request::pick(source, choices, cursor, rng, active)
                }
                Balancer::Random => random::pick(source, rng),
                Balancer::RoundRobin => round_robin::pick(source, cursor, rng),
            }
        });
        Picked { host, panic, subset: SubsetUse::None }
    }
}

impl Cursor {
    fn schedule(&mut self, source: &Source, rng: &Rng) -> &mut Edf {
        self.begin(source.hosts.len(), |place| source.weight(place), rng)
    }

    /// The schedule of `items` with these weights, begun at a random place if it is new.
    fn begin(&mut self, items: usize, weight: impl Fn(usize) -> f64, rng: &Rng) -> &mut Edf {
        if !matches!(self, Self::Schedule(_)) {
            let mut schedule = Edf::new((0..items).map(&weight));
            for _ in 0..index_below(rng, items.min(MAX_SKIPPED)) {
                schedule.pick(&weight);
            }
            *self = Self::Schedule(Box::new(schedule));
        }
        match self {
            Self::Schedule(schedule) => schedule,
            Self::At(_) | Self::Fresh => unreachable!("made a schedule three lines up"),
        }
    }
}

/// A random place in a list of `len`; 0 when it is empty.
#[expect(clippy::cast_possible_truncation, reason = "it is below a `usize`")]
fn index_below(rng: &Rng, len: usize) -> usize {
    rng.below(len as u64) as usize
}

/// Turns skipped to begin at a random place: enough to spread workers, bounded for long lists.
const MAX_SKIPPED: usize = 128;
