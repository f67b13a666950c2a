//! Statistics: one cell per worker and counter, summed when somebody looks.
//!
//! A [`Scope`] is the statistics of one thing (a cluster, a listener, a connection manager). It is made
//! when configuration is lowered and knows its Envoy names; its cells come into being on a worker when
//! that worker first counts, and go with the scope. A worker writes only its own cells, so counting is
//! a load and a store without contention; other threads (shard 0) add atomically.

mod histogram;
mod kinds;
mod registry;
mod scope;
pub mod tls;

pub use histogram::Histogram;
pub use histogram::Snapshot as HistogramSnapshot;
pub use kinds::Counter;
pub use kinds::Gauge;
pub use kinds::HistogramId;
pub use kinds::Kind;
pub use kinds::{
    cluster, cluster_certificate, cluster_manager, http, listener, listener_certificate,
    listener_manager, sds, server, tenant, tracing,
};
pub use registry::Registry;
pub use scope::Label;
pub use scope::Scope;

use std::cell::Cell;

thread_local! {
    /// Which shard this thread writes: 0 is shared by every thread that is no worker.
    static SHARD: Cell<usize> = const { Cell::new(0) };
}

/// Declares that this thread is worker `index` (from 0) and alone writes shard `index + 1`.
pub fn enter_worker(index: usize) {
    SHARD.set(index + 1);
}

/// The worker this thread is, if it is one.
pub fn current_worker() -> Option<usize> {
    SHARD.get().checked_sub(1)
}
