//! One consistent configuration, as the control thread publishes it.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::fast::FixedState;
use palanquin_config::ir::http::BoundRoutes;

use crate::upstream::Cluster;

/// What requests are served with. Made by `control::assemble`, never changed.
///
/// Endpoints are not here: they churn, so each [`Cluster`] holds its own, swapped in place.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Counts publications.
    pub version: u64,
    /// Active clusters by name. A cluster that warms is not among them.
    pub clusters: HashMap<Arc<str>, Arc<Cluster>, FixedState>,
    /// Routes from RDS, bound to the filters of a connection manager, by the manager's id.
    pub routes: HashMap<u64, Arc<BoundRoutes>, FixedState>,
}

/// The published snapshot.
#[derive(Debug, Default)]
pub struct SnapshotCell(ArcSwap<Snapshot>);

impl SnapshotCell {
    /// Replaces the snapshot; requests that begin from now on see it.
    pub fn publish(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }

    /// The snapshot of now.
    pub fn load_full(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Whether `snapshot` is still the published one: a load and a comparison.
    pub fn is_current(&self, snapshot: &Arc<Snapshot>) -> bool {
        // The guard only lives for the comparison: nothing is cloned.
        Arc::ptr_eq(&self.0.load(), snapshot)
    }
}
