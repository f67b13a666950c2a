//! A worker: one thread, one event loop, and everything a request on it may touch.

mod clock;
mod rng;
mod snapshot;
mod spawn;

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

pub use clock::WallClock;
pub use rng::Rng;
pub use snapshot::LocalRoutes;
pub use snapshot::WorkerSnapshot;
pub(crate) use spawn::Command;
pub use spawn::WorkerHandle;
pub(crate) use spawn::local_runtime;
use tokio::sync::watch;

use crate::snapshot::SnapshotCell;

/// What a worker owns. Never leaves its thread.
pub struct Worker {
    /// Its number, from 0.
    pub id: usize,
    /// The time of day.
    pub clock: WallClock,
    /// Random numbers.
    pub rng: Rng,
    /// Its part of telemetry: spans and log lines on their way out.
    pub telemetry: crate::telemetry::WorkerTelemetry,
    published: Arc<SnapshotCell>,
    pinned: RefCell<Rc<WorkerSnapshot>>,
    connections: Cell<usize>,
    next_connection: Cell<u64>,
    idle: tokio::sync::Notify,
    ends: watch::Sender<bool>,
}

impl Worker {
    /// A worker that serves what `published` holds.
    pub fn new(
        id: usize,
        published: Arc<SnapshotCell>,
        telemetry: crate::telemetry::WorkerTelemetry,
    ) -> Rc<Self> {
        let pinned = Rc::new(WorkerSnapshot::new(published.load_full(), None));
        Rc::new(Self {
            id,
            clock: WallClock::default(),
            rng: Rng::from_system(),
            telemetry,
            published,
            pinned: RefCell::new(pinned),
            connections: Cell::new(0),
            // The low 48 bits count; two workers never give one id.
            next_connection: Cell::new((id as u64) << 48),
            idle: tokio::sync::Notify::new(),
            ends: watch::Sender::new(false),
        })
    }

    /// The configuration of now. A request asks once and keeps the answer.
    pub fn snapshot(&self) -> Rc<WorkerSnapshot> {
        let mut pinned = self.pinned.borrow_mut();
        if !self.published.is_current(pinned.shared()) {
            *pinned = Rc::new(WorkerSnapshot::new(self.published.load_full(), Some(&**pinned)));
        }
        Rc::clone(&pinned)
    }

    /// Counts a connection while the guard lives.
    pub fn connection(self: &Rc<Self>) -> ConnectionGuard {
        self.connections.set(self.connections.get() + 1);
        let id = self.next_connection.get();
        self.next_connection.set(id + 1);
        ConnectionGuard { worker: Rc::clone(self), id }
    }

    /// Connections that live.
    pub fn connections(&self) -> usize {
        self.connections.get()
    }

    /// Says that the worker ends: idle connections are not waited for.
    pub(super) fn end(&self) {
        self.ends.send_replace(true);
    }

    /// Waits until the worker ends.
    pub async fn ending(&self) {
        // The sender is ours: it cannot go away meanwhile.
        drop(self.ends.subscribe().wait_for(|ends| *ends).await);
    }

    /// Waits until no connection is left.
    pub async fn drained(&self) {
        while self.connections.get() > 0 {
            self.idle.notified().await;
        }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("id", &self.id).finish_non_exhaustive()
    }
}

/// One connection, counted.
#[derive(Debug)]
pub struct ConnectionGuard {
    worker: Rc<Worker>,
    /// Unique in the process.
    pub id: u64,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let left = self.worker.connections.get() - 1;
        self.worker.connections.set(left);
        if left == 0 {
            self.worker.idle.notify_waiters();
        }
    }
}
