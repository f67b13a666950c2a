//! Route tables from RDS, and the connection managers that use them.

use std::collections::HashMap;
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
    tables: HashMap<Arc<str>, Entry>,
    bound: HashMap<u64, Arc<BoundRoutes>, FixedState>,
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
    /// Notes the tables that a listener needs, and binds those that are here.
    pub(super) fn require(
        &mut self,
        listener: &Listener,
        subscribe: &dyn Fn(&Arc<str>, Duration) -> Option<Subscription>,
    ) {
        for manager in managers(listener) {
            let Source::Rds { name, initial_fetch_timeout, .. } = &manager.routes else { continue };
            let entry = self.tables.entry(Arc::clone(name)).or_insert_with(|| Entry {
                table: None,
                settled: false,
                managers: Vec::new(),
                _subscription: subscribe(name, *initial_fetch_timeout),
            });
            entry.managers.push(Arc::downgrade(manager));
            if let Some(table) = &entry.table {
                self.bound.insert(manager.id, Arc::new(manager.filters.bind(table)));
            }
        }
    }

    /// A table came: every manager that asks for it gets it. False if none does.
    pub(super) fn put(&mut self, table: &Arc<RouteTable>) -> bool {
        let Some(entry) = self.tables.get_mut(&table.name) else { return false };
        entry.settled = true;
        let same = entry.table.as_ref().is_some_and(|before| before.digest == table.digest);
        if same {
            return true;
        }
        entry.table = Some(Arc::clone(table));
        for manager in entry.managers.iter().filter_map(Weak::upgrade) {
            self.bound.insert(manager.id, Arc::new(manager.filters.bind(table)));
        }
        true
    }

    /// Waiting for a table is over; its listeners answer 404 until it comes.
    pub(super) fn give_up_on(&mut self, name: &str) {
        if let Some(entry) = self.tables.get_mut(name) {
            entry.settled = true;
        }
    }

    /// Whether every table a listener needs came or will not come.
    pub(super) fn are_settled(&self, listener: &Listener) -> bool {
        managers(listener).all(|manager| match &manager.routes {
            Source::Inline(_) => true,
            Source::Rds { name, .. } => self.tables.get(name).is_some_and(|entry| entry.settled),
        })
    }

    /// Files that hold tables in place of a control plane.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let managers =
            self.tables.values().flat_map(|entry| entry.managers.iter().filter_map(Weak::upgrade));
        let mut files: Vec<_> = managers
            .filter_map(|manager| match &manager.routes {
                Source::Rds { path, .. } => path.clone(),
                Source::Inline(_) => None,
            })
            .collect();
        files.sort();
        files.dedup();
        files
    }

    /// Forgets managers that are gone, and the tables that nobody asks for any more.
    pub(super) fn prune(&mut self) {
        let mut living = Vec::new();
        self.tables.retain(|_, entry| {
            entry.managers.retain(|manager| manager.strong_count() > 0);
            living.extend(entry.managers.iter().filter_map(Weak::upgrade).map(|one| one.id));
            !entry.managers.is_empty()
        });
        self.bound.retain(|id, _| living.contains(id));
    }

    /// The bound tables by manager.
    pub(super) fn bound(&self) -> HashMap<u64, Arc<BoundRoutes>, FixedState> {
        self.bound.clone()
    }
}

fn managers(listener: &Listener) -> impl Iterator<Item = &Arc<ConnectionManager>> {
    listener.chains.iter().chain(&listener.default_chain).filter_map(|chain| {
        match &chain.network {
            NetworkFilter::Http(manager) => Some(manager),
            NetworkFilter::Close | NetworkFilter::Tcp(_) => None,
        }
    })
}
