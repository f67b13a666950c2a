//! What the owner wants of one type, and what the server does not know about it yet.
//!
//! The wildcard is the name `*`, as on the wire. Names are counted: only the first reference
//! subscribes and only the last one unsubscribes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::resource::WILDCARD;

/// The names wanted, in a stable order.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    names: BTreeMap<Arc<str>, Interest>,
    changes: Changes,
}

#[derive(Debug)]
struct Interest {
    references: usize,
    /// The server said something about the name, or the time for it is over.
    resolved: bool,
}

/// The difference between what is wanted and what was last written to the stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Wanted, and the server does not know.
    pub(super) added: BTreeSet<Arc<str>>,
    /// Given up and wanted again before the server was told: it must send the resource anew.
    pub(super) lapsed: BTreeSet<Arc<str>>,
    /// No longer wanted, and the server does not know.
    pub(super) gone: BTreeSet<Arc<str>>,
    /// Wanted all along, to be asked for once more.
    pub(super) again: BTreeSet<Arc<str>>,
}

impl Subscription {
    /// Adds a reference; true if it is the first one to `name`.
    pub(super) fn subscribe(&mut self, name: &Arc<str>) -> bool {
        if let Some(interest) = self.names.get_mut(name) {
            interest.references += 1;
            return false;
        }
        self.names.insert(name.clone(), Interest { references: 1, resolved: false });
        if self.changes.gone.remove(name) {
            self.changes.lapsed.insert(name.clone());
        } else {
            self.changes.added.insert(name.clone());
        }
        true
    }

    /// Drops a reference; true if it was the last one to `name`.
    pub(super) fn unsubscribe(&mut self, name: &Arc<str>) -> bool {
        let Some(interest) = self.names.get_mut(name) else { return false };
        interest.references -= 1;
        if interest.references > 0 {
            return false;
        }
        self.names.remove(name);
        self.changes.again.remove(name);
        self.changes.lapsed.remove(name);
        if !self.changes.added.remove(name) {
            self.changes.gone.insert(name.clone());
        }
        true
    }

    /// Marks a wanted name to be asked for once more; false if it is not wanted.
    pub(super) fn ask_again(&mut self, name: &Arc<str>) -> bool {
        let wanted = self.names.contains_key(name);
        if wanted {
            self.changes.again.insert(name.clone());
        }
        wanted
    }

    /// Notes that the fate of `name` is known; true if it was not before.
    pub(super) fn resolve(&mut self, name: &str) -> bool {
        self.names
            .get_mut(name)
            .is_some_and(|interest| !std::mem::replace(&mut interest.resolved, true))
    }

    /// Takes what the server is about to be told.
    pub(super) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn is_wildcard(&self) -> bool {
        self.names.contains_key(WILDCARD)
    }

    /// Only the wildcard: can be written the old way, as an empty first request.
    pub(super) fn is_wildcard_only(&self) -> bool {
        self.names.len() == 1 && self.is_wildcard()
    }

    /// Whether the name itself was asked for.
    pub(super) fn names_explicitly(&self, name: &str) -> bool {
        name != WILDCARD && self.names.contains_key(name)
    }

    /// Whether a resource of this name is wanted, by name or by wildcard.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.is_wildcard() || self.names_explicitly(name)
    }

    /// Names asked for explicitly that nothing is known about yet.
    pub(super) fn unresolved(&self) -> impl Iterator<Item = &Arc<str>> {
        let unresolved = |(name, interest): (_, &Interest)| (!interest.resolved).then_some(name);
        self.names.iter().filter_map(unresolved).filter(|name: &&Arc<str>| ***name != *WILDCARD)
    }

    /// All names in order, the wildcard among them.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.names.keys()
    }
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn only_the_first_and_the_last_reference_count() {
        let mut subscription = Subscription::default();
        assert!(subscription.subscribe(&name("a")));
        assert!(!subscription.subscribe(&name("a")));
        assert!(!subscription.unsubscribe(&name("a")));
        assert!(subscription.unsubscribe(&name("a")));
        assert!(!subscription.unsubscribe(&name("a")));
    }

    #[test]
    fn a_name_that_comes_and_goes_between_requests_changes_nothing() {
        let mut subscription = Subscription::default();
        subscription.subscribe(&name("a"));
        subscription.unsubscribe(&name("a"));
        assert!(subscription.changes().is_empty());
    }

    #[test]
    fn a_name_that_goes_and_comes_back_has_lapsed() {
        let mut subscription = Subscription::default();
        subscription.subscribe(&name("a"));
        subscription.take_changes();
        subscription.unsubscribe(&name("a"));
        subscription.subscribe(&name("a"));
        let changes = subscription.take_changes();
        assert_eq!(changes.lapsed, BTreeSet::from([name("a")]));
        assert!(changes.gone.is_empty() && changes.added.is_empty());
    }

    #[test]
    fn a_lapsed_name_that_goes_again_is_gone() {
        let mut subscription = Subscription::default();
        subscription.subscribe(&name("a"));
        subscription.take_changes();
        subscription.unsubscribe(&name("a"));
        subscription.subscribe(&name("a"));
        subscription.unsubscribe(&name("a"));
        assert_eq!(subscription.take_changes().gone, BTreeSet::from([name("a")]));
    }
}
