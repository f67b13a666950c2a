//! Hosts arranged for picking: by priority, health and locality. Made on the control thread when
//! endpoints change; read by all workers.

use palanquin_config::ir::endpoint::Health;
use palanquin_config::ir::endpoint::Locality;

use super::locality::Localities;
use super::locality::effective_weight;
use super::priority::Availability;
use super::priority::Census;
use super::priority::Load;
use crate::upstream::host_set::Member;
use crate::worker::Rng;

/// A cluster's hosts, or those of one subset.
#[derive(Debug)]
pub(crate) struct Group {
    load: Load,
    only: Option<(usize, Availability)>,
    levels: Box<[Level]>,
}

/// One priority.
#[derive(Debug)]
struct Level {
    all: Source,
    healthy: Hosts,
    degraded: Hosts,
}

/// The usable hosts of a priority.
#[derive(Debug)]
pub(crate) enum Hosts {
    /// By locality first.
    ByLocality(Localities),
    /// All alike.
    Flat(Source),
}

/// Hosts to pick from by their own weights.
#[derive(Debug)]
pub(crate) struct Source {
    /// Names it among a worker's cursors.
    pub(crate) id: u32,
    /// Places in the host set.
    pub(crate) hosts: Box<[u32]>,
    /// Their weights; `None` when all are equal.
    pub(crate) weights: Option<Box<[u32]>>,
}

impl Source {
    /// The weight of the host at `place` of the source.
    pub(crate) fn weight(&self, place: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| f64::from(weights[place]))
    }
}

/// Where a request goes within a group.
#[derive(Debug)]
pub(crate) enum Choice<'a> {
    /// Among the usable hosts of a priority.
    Usable(&'a Hosts),
    /// Among all hosts of a priority: it is in panic.
    Panic(&'a Source),
}

impl Group {
    /// Chooses a priority.
    pub(crate) fn choose(&self, rng: &Rng) -> Choice<'_> {
        let (place, availability) = self.only.unwrap_or_else(|| self.load.choose(percent(rng)));
        let level = &self.levels[place];
        if self.load.panic[place] {
            return Choice::Panic(&level.all);
        }
        Choice::Usable(match availability {
            Availability::Degraded => &level.degraded,
            Availability::Healthy => &level.healthy,
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is below 100")]
fn percent(rng: &Rng) -> u32 {
    rng.below(100) as u32
}

/// Builds the groups of one host set and numbers their sources.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    members: &'a [Member],
    localities: &'a [Locality],
    overprovisioning: u32,
    panic_threshold: f64,
    levels: usize,
    ids: u32,
}

impl<'a> Builder<'a> {
    /// A builder for the groups of `members`. `localities` is empty when their weights do not count.
    pub(crate) fn new(
        members: &'a [Member],
        localities: &'a [Locality],
        overprovisioning: u32,
        panic_threshold: f64,
    ) -> Self {
        let highest = members.iter().map(|member| member.endpoint.priority).max().unwrap_or(0);
        Self {
            members,
            localities,
            overprovisioning,
            panic_threshold,
            levels: highest as usize + 1,
            ids: 0,
        }
    }

    /// The group of the members at `places`.
    pub(crate) fn group(&mut self, places: &[u32]) -> Group {
        let mut by_level = vec![Vec::new(); self.levels];
        for place in places {
            by_level[self.member(*place).endpoint.priority as usize].push(*place);
        }
        let census: Vec<_> = by_level.iter().map(|level| self.census(level)).collect();
        let load = Load::spread(&census, self.overprovisioning, self.panic_threshold);
        let levels = by_level.iter().map(|level| self.level(level)).collect();
        Group { only: load.only(), load, levels }
    }

    /// How many cursors the groups need.
    pub(crate) fn cursors(&self) -> u32 {
        self.ids
    }

    fn member(&self, place: u32) -> &'a Member {
        &self.members[place as usize]
    }

    fn census(&self, places: &[u32]) -> Census {
        let count = |health| {
            let same = places.iter().filter(|place| self.member(**place).endpoint.health == health);
            u32::try_from(same.count()).unwrap_or(u32::MAX)
        };
        Census {
            total: u32::try_from(places.len()).unwrap_or(u32::MAX),
            healthy: count(Health::Healthy),
            degraded: count(Health::Degraded),
        }
    }

    fn level(&mut self, places: &[u32]) -> Level {
        Level {
            healthy: self.usable(places, Health::Healthy),
            degraded: self.usable(places, Health::Degraded),
            all: self.source(places.into()),
        }
    }

    fn usable(&mut self, places: &[u32], health: Health) -> Hosts {
        let usable: Vec<u32> = places
            .iter()
            .copied()
            .filter(|place| self.member(*place).endpoint.health == health)
            .collect();
        match self.by_locality(places, &usable) {
            Some(localities) => Hosts::ByLocality(localities),
            None => Hosts::Flat(self.source(usable.into())),
        }
    }

    /// `None` when no locality with a weight has a usable host.
    fn by_locality(&mut self, places: &[u32], usable: &[u32]) -> Option<Localities> {
        let mut weights = Vec::new();
        let mut sources = Vec::new();
        for (index, locality) in self.localities.iter().enumerate() {
            let here = |place: &&u32| usize::from(self.member(**place).endpoint.locality) == index;
            let total = places.iter().filter(here).count();
            let hosts: Vec<u32> = usable.iter().filter(here).copied().collect();
            let weight = locality.weight.unwrap_or(0);
            let weight = effective_weight(weight, hosts.len(), total, self.overprovisioning);
            if weight > 0.0 {
                weights.push(weight);
                sources.push(self.source(hosts.into()));
            }
        }
        let id = self.id();
        (!weights.is_empty()).then(|| Localities {
            id,
            weights: weights.into(),
            sources: sources.into(),
        })
    }

    fn source(&mut self, hosts: Box<[u32]>) -> Source {
        let mut weights = hosts.iter().map(|place| self.member(*place).endpoint.weight.max(1));
        let first = weights.next();
        let equal = weights.all(|weight| Some(weight) == first);
        let weights = (!equal).then(|| {
            hosts.iter().map(|place| self.member(*place).endpoint.weight.max(1)).collect()
        });
        Source { id: self.id(), hosts, weights }
    }

    fn id(&mut self) -> u32 {
        self.ids += 1;
        self.ids - 1
    }
}
