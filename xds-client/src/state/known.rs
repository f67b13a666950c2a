//! The resources of one type that the owner was told of, and what it accepted of them.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::response::Entry;
use crate::resource::Change;

/// By name: versions and hashes, never the bytes; the owner keeps what it made of them.
#[derive(Debug, Default)]
pub(super) struct Known {
    resources: HashMap<Arc<str>, Held, RandomState>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Held {
    /// The delivery that brought the name first; verdicts on older ones are void for it.
    since: u64,
    /// The version delivered last, accepted or not: a heartbeat repeats it.
    delivered: Arc<str>,
    /// The version and the hash accepted last.
    accepted: Option<(Arc<str>, u64)>,
}

impl Known {
    pub(super) fn hash(&self, body: &[u8]) -> u64 {
        self.hasher.hash_one(body)
    }

    /// Notes that delivery number `delivery` carries the resource, and compares it.
    pub(super) fn deliver(&mut self, entry: &Entry, hash: u64, delivery: u64) -> Change {
        let held = self.resources.entry(entry.name.clone()).or_insert_with(|| Held {
            since: delivery,
            delivered: entry.version.clone(),
            accepted: None,
        });
        held.delivered = entry.version.clone();
        match held.accepted {
            Some((_, accepted)) if accepted == hash => Change::Unchanged,
            _ => Change::Changed,
        }
    }

    /// Notes that the owner accepted the resource of delivery number `delivery`.
    pub(super) fn accept(&mut self, name: &str, version: Arc<str>, hash: u64, delivery: u64) {
        if let Some(held) = self.resources.get_mut(name)
            && held.since <= delivery
        {
            held.accepted = Some((version, hash));
        }
    }

    /// True if the owner knew of it.
    pub(super) fn forget(&mut self, name: &str) -> bool {
        self.resources.remove(name).is_some()
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.resources.retain(|name, _| keep(name));
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.resources.contains_key(name)
    }

    /// A resource without a body in the version already delivered.
    pub(super) fn is_heartbeat(&self, entry: &Entry) -> bool {
        entry.body.is_none()
            && self.resources.get(&entry.name).is_some_and(|held| held.delivered == entry.version)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.resources.keys()
    }

    /// `initial_resource_versions`: what the owner accepted, by name.
    pub(super) fn accepted_versions(&self) -> BTreeMap<String, String> {
        self.resources
            .iter()
            .filter_map(|(name, held)| {
                let (version, _) = held.accepted.as_ref()?;
                Some((name.to_string(), version.to_string()))
            })
            .collect()
    }
}
