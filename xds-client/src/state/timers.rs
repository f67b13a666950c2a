//! Deadlines by key: set, moved, cancelled, and taken when due.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

/// At most one deadline per key, ordered by time.
#[derive(Debug)]
pub(super) struct Timers<K> {
    by_key: HashMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K: Clone + Hash + Ord> Timers<K> {
    pub(super) fn new() -> Self {
        Self { by_key: HashMap::new(), by_time: BTreeSet::new() }
    }

    /// Sets the deadline of `key`, in place of any earlier one.
    pub(super) fn set(&mut self, key: K, deadline: Instant) {
        if let Some(previous) = self.by_key.insert(key.clone(), deadline) {
            self.by_time.remove(&(previous, key.clone()));
        }
        self.by_time.insert((deadline, key));
    }

    pub(super) fn cancel(&mut self, key: &K) {
        if let Some(deadline) = self.by_key.remove(key) {
            self.by_time.remove(&(deadline, key.clone()));
        }
    }

    /// Takes the earliest key whose deadline is not after `now`.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<K> {
        if self.next_deadline()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.by_time.first().map(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moved_deadline_fires_once_and_a_cancelled_one_never() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::new();
        timers.set("moved", after(1));
        timers.set("moved", after(3));
        timers.set("cancelled", after(2));
        timers.cancel(&"cancelled");

        assert_eq!(timers.take_due(after(2)), None);
        assert_eq!(timers.take_due(after(3)), Some("moved"));
        assert_eq!(timers.take_due(after(9)), None);
        assert_eq!(timers.next_deadline(), None);
    }
}
