//! A short list that only grows: read without a lock, as every request does.

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;

/// The most entries; later keys share the last one.
const MAX_LEN: usize = 64;

/// Values by key, in order of their first use. Lookups walk the list, so it is for few keys (the clusters
/// of a tenant, the routes with a quota of their own). Nothing is removed: it lives as long as its owner.
pub(super) struct Chain<V> {
    head: OnceLock<Box<Node<V>>>,
}

struct Node<V> {
    key: Arc<str>,
    value: Arc<V>,
    next: OnceLock<Box<Self>>,
}

impl<V: Default> Chain<V> {
    pub(super) const fn new() -> Self {
        Self { head: OnceLock::new() }
    }

    /// The value of `key`, made on its first use. Threads that race for a key agree on one value: a place
    /// is filled once, and who loses it looks at what is there and goes on.
    pub(super) fn get(&self, key: &Arc<str>) -> &Arc<V> {
        let mut place = &self.head;
        let mut length = 1;
        loop {
            let node = place.get_or_init(|| {
                Box::new(Node {
                    key: Arc::clone(key),
                    value: Arc::default(),
                    next: OnceLock::new(),
                })
            });
            if *node.key == **key || length == MAX_LEN {
                return &node.value;
            }
            place = &node.next;
            length += 1;
        }
    }
}

impl<V> fmt::Debug for Chain<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").finish_non_exhaustive()
    }
}

impl<V> Drop for Chain<V> {
    /// Node by node: the drop of a nested box would recurse.
    fn drop(&mut self) {
        let mut next = self.head.take();
        while let Some(mut node) = next {
            next = node.next.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::{Chain, MAX_LEN};

    #[test]
    fn threads_that_race_for_keys_share_their_values() {
        let chain = Chain::<AtomicU32>::new();
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for key in ["a", "b", "c"] {
                        chain.get(&Arc::from(key)).fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        for key in ["a", "b", "c"] {
            assert_eq!(chain.get(&Arc::from(key)).load(Ordering::Relaxed), 4);
        }
    }

    #[test]
    fn keys_beyond_the_limit_share_the_last_value() {
        let chain = Chain::<AtomicU32>::new();
        for key in 0..MAX_LEN + 5 {
            chain.get(&Arc::from(key.to_string())).fetch_add(1, Ordering::Relaxed);
        }
        let last = chain.get(&Arc::from("never seen"));
        assert_eq!(last.load(Ordering::Relaxed), 6);
    }
}
