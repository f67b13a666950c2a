//! Route tables from RDS, and the connection managers that use them.

use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use foldhash::fast::FixedState;
use palanquin_config::ir::http::BoundRoutes;
use palanquin_config::ir::http::ConnectionManager;
use palanquin_config::ir::http::Routes as Source;
use palanquin_config::ir::listener::Listener;
use palanquin_config::ir::listener::NetworkFilter;
use palanquin_config::ir::route::RouteTable;
use palanquin_xds_client::Subscription;

/// All tables that some connection manager asks for.
#[derive(Default)]
pub(super) struct Routes {
    tables: HashMap<TableKey, Entry>,
    bound: HashMap<u64, Arc<BoundRoutes>, FixedState>,
    /// Whether `bound` is other than at the last [`Self::take_changed`].
    is_changed: bool,
}

/// Where a table comes from: a file, or the control plane, and its name there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TableKey {
    path: Option<PathBuf>,
    name: Arc<str>,
}

struct Entry {
    table: Option<Arc<RouteTable>>,
    /// The table came, or it is known that it will not.
    settled: bool,
    /// Every generation that still has connections keeps its manager alive.
    managers: Vec<Weak<ConnectionManager>>,
    _subscription: Option<Subscription>,
}

impl Routes {
    /// Notes the tables that a listener needs, and binds those that are here. `subscribe` asks the control
    /// plane for a table by name; `None`: there is no control plane.
    pub(super) fn require(
        &mut self,
        listener: &Listener,
        subscribe: &dyn Fn(&Arc<str>, Duration) -> Option<Subscription>,
    ) {
        for manager in managers(listener) {
            let Source::Rds { name, initial_fetch_timeout, path } = &manager.routes else {
                continue;
            };
            let key = TableKey { path: path.clone(), name: Arc::clone(name) };
            let entry = self.tables.entry(key).or_insert_with(|| {
                let subscription = match path {
                    Some(_) => None,
                    None => subscribe(name, *initial_fetch_timeout),
                };
                Entry {
                    table: None,
                    // Without a control plane nothing will come.
                    settled: path.is_none() && subscription.is_none(),
                    managers: Vec::new(),
                    _subscription: subscription,
                }
            });
            entry.managers.push(Arc::downgrade(manager));
            if let Some(table) = &entry.table {
                self.bound.insert(manager.id, Arc::new(manager.filters.bind(table)));
                self.is_changed = true;
            }
        }
    }

    /// A table came: every manager that asks for it gets it.
    pub(super) fn put(&mut self, path: Option<&Path>, table: &Arc<RouteTable>) {
        let key = TableKey { path: path.map(Path::to_owned), name: Arc::clone(&table.name) };
        let Some(entry) = self.tables.get_mut(&key) else { return };
        entry.settled = true;
        if entry.table.as_ref().is_some_and(|before| before.digest == table.digest) {
            return;
        }
        entry.table = Some(Arc::clone(table));
        self.is_changed = true;
        for manager in entry.managers.iter().filter_map(Weak::upgrade) {
            self.bound.insert(manager.id, Arc::new(manager.filters.bind(table)));
        }
    }

    /// Waiting for a table of the control plane is over; its listeners answer 404 until it comes.
    pub(super) fn give_up_on(&mut self, name: &Arc<str>) {
        let key = TableKey { path: None, name: Arc::clone(name) };
        if let Some(entry) = self.tables.get_mut(&key) {
            entry.settled = true;
        }
    }

    /// Waiting for the tables that a file should hold is over.
    pub(super) fn give_up_on_file(&mut self, path: &Path) {
        for (key, entry) in &mut self.tables {
            entry.settled |= key.path.as_deref() == Some(path);
        }
    }

    /// Whether every table a listener needs came or will not come.
    pub(super) fn are_settled(&self, listener: &Listener) -> bool {
        managers(listener).all(|manager| match &manager.routes {
            Source::Inline(_) => true,
            Source::Rds { name, path, .. } => {
                let key = TableKey { path: path.clone(), name: Arc::clone(name) };
                self.tables.get(&key).is_some_and(|entry| entry.settled)
            }
        })
    }

    /// Files that hold tables in place of a control plane.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = self.tables.keys().filter_map(|key| key.path.clone()).collect();
        files.sort();
        files.dedup();
        files
    }

    /// Forgets managers that are gone, and the tables that nobody asks for any more.
    pub(super) fn prune(&mut self) {
        let mut gone = false;
        self.tables.retain(|_, entry| {
            let before = entry.managers.len();
            entry.managers.retain(|manager| manager.strong_count() > 0);
            gone |= entry.managers.len() != before;
            !entry.managers.is_empty()
        });
        if gone {
            let managers = self.tables.values().flat_map(|entry| &entry.managers);
            let living: HashSet<_> = managers.filter_map(|one| Some(one.upgrade()?.id)).collect();
            self.bound.retain(|id, _| living.contains(id));
            self.is_changed = true;
        }
    }

    /// Whether [`Self::bound`] is other than when this was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// The bound tables by manager.
    pub(super) fn bound(&self) -> HashMap<u64, Arc<BoundRoutes>, FixedState> {
        self.bound.clone()
    }
}

/// Every connection manager of a listener.
pub(super) fn managers(listener: &Listener) -> impl Iterator<Item = &Arc<ConnectionManager>> {
    listener.chains.iter().chain(&listener.default_chain).filter_map(|chain| match &chain.network {
        NetworkFilter::Http(manager) => Some(manager),
        NetworkFilter::Close | NetworkFilter::Tcp(_) => None,
    })
}
