//! The configuration as one worker pins it: the shared snapshot and the worker's side of its clusters.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::FixedState;
use palanquin_config::ir::http::BoundRoutes;
use palanquin_config::ir::http::ConnectionManager;
use palanquin_config::ir::http::Routes;
use palanquin_filter_api::Upstreams;

use crate::snapshot::Snapshot;
use crate::upstream::LocalCluster;

/// Routes as requests of one worker share them: a matched route keeps them alive without touching a count
/// that other workers touch.
pub type LocalRoutes = Rc<Arc<BoundRoutes>>;

/// Made when a worker first sees a snapshot. Clusters that did not change keep their pools.
#[derive(Debug)]
pub struct WorkerSnapshot {
    shared: Arc<Snapshot>,
    clusters: RefCell<HashMap<Arc<str>, Rc<LocalCluster>, FixedState>>,
    routes: RefCell<HashMap<u64, LocalRoutes, FixedState>>,
}

impl WorkerSnapshot {
    pub(super) fn new(shared: Arc<Snapshot>, previous: Option<&Self>) -> Self {
        let mut clusters = HashMap::default();
        if let Some(previous) = previous {
            for (name, local) in &*previous.clusters.borrow() {
                let same =
                    shared.clusters.get(name).is_some_and(|c| Arc::ptr_eq(c, local.shared()));
                if same {
                    clusters.insert(Arc::clone(name), Rc::clone(local));
                }
            }
        }
        Self { shared, clusters: RefCell::new(clusters), routes: RefCell::default() }
    }

    /// The snapshot itself.
    pub fn shared(&self) -> &Arc<Snapshot> {
        &self.shared
    }

    /// This worker's side of a cluster, made on first use.
    pub fn cluster(&self, name: &str) -> Option<Rc<LocalCluster>> {
        if let Some(local) = self.clusters.borrow().get(name) {
            return Some(Rc::clone(local));
        }
        let (name, cluster) = self.shared.clusters.get_key_value(name)?;
        let local = LocalCluster::new(Arc::clone(cluster));
        self.clusters.borrow_mut().insert(Arc::clone(name), Rc::clone(&local));
        Some(local)
    }

    /// The routes of a connection manager; `None` while they have not arrived.
    pub fn routes(&self, manager: &ConnectionManager) -> Option<LocalRoutes> {
        if let Some(routes) = self.routes.borrow().get(&manager.id) {
            return Some(Rc::clone(routes));
        }
        let routes = match &manager.routes {
            Routes::Inline(routes) => Arc::clone(routes),
            Routes::Rds { .. } => Arc::clone(self.shared.routes.get(&manager.id)?),
        };
        let routes = Rc::new(routes);
        self.routes.borrow_mut().insert(manager.id, Rc::clone(&routes));
        Some(routes)
    }
}

impl Upstreams for WorkerSnapshot {
    fn find(&self, cluster: &str) -> Option<Arc<str>> {
        self.shared.clusters.get_key_value(cluster).map(|(name, _)| Arc::clone(name))
    }
}
