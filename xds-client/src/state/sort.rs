//! Sorts what a response carries: news, heartbeats, removals, the unwanted and the unreadable.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::known::Known;
use super::response::Entry;
use super::response::Response;
use super::subscription::Subscription;
use crate::error::ResourceError;
use crate::error::truncate;
use crate::resource::Protocol;
use crate::resource::ResourceType;

/// A response, taken apart.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// Wanted, with a body.
    pub(super) fresh: Vec<Entry>,
    /// Alive and unchanged.
    pub(super) heartbeats: Vec<Entry>,
    /// Known or asked for by name, and not there according to the server.
    pub(super) removed: Vec<Arc<str>>,
    /// Wanted and not usable.
    pub(super) invalid: Vec<ResourceError>,
    /// How many nobody asked for.
    pub(super) ignored: usize,
}

impl Sorted {
    /// Nothing but heartbeats: says nothing about any other resource, not even by absence.
    pub(super) fn is_heartbeat(&self) -> bool {
        !self.heartbeats.is_empty()
            && self.fresh.is_empty()
            && self.removed.is_empty()
            && self.invalid.is_empty()
    }
}

/// Takes `response` apart; an error refuses it as a whole, the text names the resource.
pub(super) fn sort(
    response: &mut Response,
    protocol: Protocol,
    resource_type: &ResourceType,
    subscription: &Subscription,
    known: &Known,
) -> Result<Sorted, String> {
    let mut names: HashSet<Arc<str>, RandomState> = HashSet::default();
    for entry in &response.resources {
        if !names.insert(entry.name.clone()) {
            let name = &entry.name;
            return Err(truncate(format!(
                "duplicate name {name} found among added/updated resources"
            )));
        }
    }
    let mut sorted = Sorted::default();
    let has_unnamed = response.invalid.iter().any(|unreadable| !unreadable.is_named);
    for unreadable in std::mem::take(&mut response.invalid) {
        let name = &unreadable.error.name;
        let is_wanted =
            if unreadable.is_named { subscription.wants(name) } else { !subscription.is_empty() };
        names.insert(name.clone());
        if is_wanted {
            sorted.invalid.push(unreadable.error);
        } else {
            sorted.ignored += 1;
        }
    }
    for entry in std::mem::take(&mut response.resources) {
        if !subscription.wants(&entry.name) {
            sorted.ignored += 1;
        } else if known.is_heartbeat(&entry) {
            sorted.heartbeats.push(entry);
        } else if entry.body.is_none() {
            let problem = "the resource has no body and is no heartbeat of the version held";
            sorted.invalid.push(ResourceError::new(entry.name, problem));
        } else {
            sorted.fresh.push(entry);
        }
    }
    match protocol {
        Protocol::Delta => {
            let mut removed: HashSet<Arc<str>, RandomState> = HashSet::default();
            for name in std::mem::take(&mut response.removed) {
                if names.contains(&name) || !removed.insert(name.clone()) {
                    return Err(truncate(format!(
                        "duplicate name {name} found in the union of added+removed resources"
                    )));
                }
                if known.contains(&name) || subscription.names_explicitly(&name) {
                    sorted.removed.push(name);
                }
            }
        }
        // An unreadable resource without a name may be any of the absent ones: then none is removed.
        Protocol::Sotw if resource_type.is_full_state_in_sotw() && !has_unnamed => {
            if !sorted.is_heartbeat() {
                let absent = |name: &&Arc<str>| !names.contains(*name);
                sorted.removed.extend(known.names().filter(absent).cloned());
                let unseen = subscription.unresolved().filter(|name| !known.contains(name));
                sorted.removed.extend(unseen.filter(absent).cloned());
            }
        }
        Protocol::Sotw => {}
    }
    sorted.removed.sort_unstable();
    Ok(sorted)
}
