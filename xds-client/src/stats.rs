//! Counters that the owner may read at any time, from any thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

/// The statistics of one client: Envoy's `control_plane.*` and, per type, `*.update_*`.
///
/// Written by the client's task only; every value is independent, so relaxed loads do.
#[derive(Debug, Default)]
pub struct Stats {
    connected: AtomicBool,
    rate_limited: AtomicU64,
    identifier: Mutex<Arc<str>>,
    types: Mutex<BTreeMap<Arc<str>, Arc<TypeStats>>>,
}

impl Stats {
    /// Whether the control plane has answered on the current stream (`connected_state`).
    pub fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// How often a request had to wait for the rate limit (`rate_limit_enforced`).
    pub fn rate_limited(&self) -> u64 {
        self.rate_limited.load(Relaxed)
    }

    /// What the control plane calls itself (`identifier`), empty if it never said.
    pub fn control_plane(&self) -> Arc<str> {
        self.identifier.lock().clone()
    }

    /// The counters of one type, made when the type is first subscribed to.
    pub fn of(&self, type_url: &str) -> Option<Arc<TypeStats>> {
        self.types.lock().get(type_url).cloned()
    }

    pub(crate) fn register(&self, type_url: &Arc<str>) -> Arc<TypeStats> {
        self.types.lock().entry(type_url.clone()).or_default().clone()
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Relaxed);
    }

    pub(crate) fn count_rate_limited(&self) {
        self.rate_limited.fetch_add(1, Relaxed);
    }

    pub(crate) fn set_control_plane(&self, identifier: &str) {
        let mut current = self.identifier.lock();
        if **current != *identifier {
            *current = identifier.into();
        }
    }
}

/// The counters of one resource type.
#[derive(Debug, Default)]
pub struct TypeStats {
    attempts: AtomicU64,
    successes: AtomicU64,
    rejections: AtomicU64,
    failures: AtomicU64,
    fetch_timeouts: AtomicU64,
    unanswered: AtomicU64,
    ignored: AtomicU64,
    version: Mutex<Arc<str>>,
}

impl TypeStats {
    /// `update_attempt`: one for the start, one for each outcome below, as Envoy counts.
    pub fn attempts(&self) -> u64 {
        self.attempts.load(Relaxed)
    }

    /// `update_success`: updates accepted as a whole.
    pub fn successes(&self) -> u64 {
        self.successes.load(Relaxed)
    }

    /// `update_rejected`: updates answered with a NACK.
    pub fn rejections(&self) -> u64 {
        self.rejections.load(Relaxed)
    }

    /// `update_failure`: streams that broke or could not be made.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// `init_fetch_timeout`: names that nothing came for in time.
    pub fn fetch_timeouts(&self) -> u64 {
        self.fetch_timeouts.load(Relaxed)
    }

    /// Gauge: updates in the owner's hands, to be answered.
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Relaxed)
    }

    /// Resources that arrived although nobody asked for them.
    pub fn ignored(&self) -> u64 {
        self.ignored.load(Relaxed)
    }

    /// `version_text`: the version accepted last, empty before.
    pub fn version(&self) -> Arc<str> {
        self.version.lock().clone()
    }

    pub(crate) fn started(&self) {
        self.attempts.fetch_add(1, Relaxed);
    }

    pub(crate) fn accepted(&self, version: &Arc<str>) {
        self.attempts.fetch_add(1, Relaxed);
        self.successes.fetch_add(1, Relaxed);
        *self.version.lock() = version.clone();
    }

    pub(crate) fn rejected(&self) {
        self.attempts.fetch_add(1, Relaxed);
        self.rejections.fetch_add(1, Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.attempts.fetch_add(1, Relaxed);
        self.failures.fetch_add(1, Relaxed);
    }

    pub(crate) fn timed_out(&self) {
        self.attempts.fetch_add(1, Relaxed);
        self.fetch_timeouts.fetch_add(1, Relaxed);
    }

    pub(crate) fn set_unanswered(&self, unanswered: usize) {
        self.unanswered.store(unanswered as u64, Relaxed);
    }

    pub(crate) fn count_ignored(&self, resources: usize) {
        self.ignored.fetch_add(resources as u64, Relaxed);
    }
}
