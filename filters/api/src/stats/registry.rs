//! All scopes that live, for whoever shows them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Weak;

use parking_lot::Mutex;

use super::Kind;
use super::Label;
use super::Scope;

/// Makes scopes and finds them again. Touched by configuration and scrapes only, never by a request.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    shards: usize,
    scopes: Mutex<Scopes>,
}

/// By family and prefix.
type Scopes = HashMap<(&'static str, Arc<str>), Weak<Scope>>;

impl Registry {
    /// A registry for `workers` worker threads.
    pub fn new(workers: usize) -> Self {
        Self(Arc::new(Inner { shards: workers + 1, scopes: Mutex::default() }))
    }

    /// The scope of that kind and prefix: the one that lives, or a new one. So two connection managers
    /// with one `stat_prefix` count together, as in Envoy, and a changed cluster keeps its counters.
    pub fn scope(&self, kind: &'static Kind, prefix: &str, labels: Vec<Label>) -> Arc<Scope> {
        let mut scopes = self.0.scopes.lock();
        let key = (kind.family, Arc::from(prefix));
        if let Some(scope) = scopes.get(&key).and_then(Weak::upgrade) {
            return scope;
        }
        let scope = Arc::new(Scope::new(kind, prefix, labels, self.0.shards));
        scopes.insert(key, Arc::downgrade(&scope));
        scope
    }

    /// Every scope that lives, sorted by its names.
    pub fn scopes(&self) -> Vec<Arc<Scope>> {
        let mut scopes = self.0.scopes.lock();
        scopes.retain(|_, scope| scope.strong_count() > 0);
        let mut living: Vec<_> = scopes.values().filter_map(Weak::upgrade).collect();
        living.sort_by(|a, b| a.prefix().cmp(b.prefix()));
        living
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("shards", &self.0.shards).finish_non_exhaustive()
    }
}
