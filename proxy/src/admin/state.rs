//! What the admin endpoint knows, and what it can ask for.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use std::time::Instant;

use palanquin_filter_api::stats::Registry;
use serde_json::Value;
use tokio::sync::mpsc;

use super::ListenerStatus;
use crate::telemetry::access_log::LogWriter;
use crate::upstream::Cluster;

/// Everything the admin endpoint needs. The control thread makes it once.
pub struct AdminState {
    /// All statistics.
    pub stats: Registry,
    /// The thread that writes access logs.
    pub logs: LogWriter,
    /// Whether we are ready; shared with whoever changes it.
    pub health: Arc<Health>,
    /// Configuration and endpoints as they are at the moment.
    pub facts: Box<dyn Facts>,
    /// Takes what the control thread has to do. A full queue answers 503.
    pub commands: mpsc::Sender<Command>,
    /// When the process began.
    pub started: Instant,
    /// `version` of `/server_info`.
    pub version: String,
    /// `command_line_options` of `/server_info`.
    pub options: Value,
    /// `node` of `/server_info`.
    pub node: Value,
}

/// What is asked anew for each request.
pub trait Facts: Send + Sync + 'static {
    /// Active clusters, sorted by name.
    fn clusters(&self) -> Vec<ClusterStatus>;

    /// Active listeners, sorted by name.
    fn listeners(&self) -> Vec<ListenerStatus>;

    /// The sections of `/config_dump`, each an object with its `@type`, as JSON of Envoy's
    /// `admin.v3` messages; resources that were refused carry their `error_state`. Secrets are redacted
    /// by the admin endpoint.
    fn config_dump(&self) -> Vec<Value>;

    /// `certificates` of `/certs`.
    fn certificates(&self) -> Vec<Value>;

    /// When the first OCSP response that is stapled expires, in seconds since the Unix epoch; `None`: there is none.
    fn first_ocsp_expiry(&self) -> Option<u64> {
        None
    }

    /// What `/tenants` shows: any JSON.
    fn tenants(&self) -> Value;
}

/// A cluster, and where it came from.
#[derive(Debug, Clone)]
pub struct ClusterStatus {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// It came from a control plane or a watched file.
    pub added_via_api: bool,
}

/// What the control thread is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `POST /drain_listeners`
    DrainListeners {
        /// Keep accepting while the drain period lasts.
        graceful: bool,
        /// Only listeners whose traffic is inbound.
        inbound_only: bool,
        /// Drain connections, keep the listeners.
        skip_exit: bool,
    },
    /// `POST /logging?level=`: one of trace, debug, info, warn, error, off.
    LogLevel(&'static str),
    /// `POST /quitquitquit`
    Quit,
}

/// What the server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ServerState {
    /// Reading its configuration.
    PreInitializing = 0,
    /// Waiting for resources.
    Initializing = 1,
    /// Serving.
    Live = 2,
    /// On its way out, or told to look so.
    Draining = 3,
}

/// The server's state. Stores and loads are relaxed: nothing else depends on it.
#[derive(Debug, Default)]
pub struct Health {
    state: AtomicU8,
    failed: AtomicBool,
}

impl Health {
    /// Sets the state.
    pub fn set(&self, state: ServerState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// The state; draining while health checks are to fail.
    pub fn state(&self) -> ServerState {
        match self.state.load(Ordering::Relaxed) {
            2 if self.failed.load(Ordering::Relaxed) => ServerState::Draining,
            0 => ServerState::PreInitializing,
            1 => ServerState::Initializing,
            2 => ServerState::Live,
            _ => ServerState::Draining,
        }
    }

    /// Lets health checks fail, or pass again.
    pub fn fail(&self, failed: bool) {
        self.failed.store(failed, Ordering::Relaxed);
    }
}

impl ServerState {
    /// Envoy's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::PreInitializing => "PRE_INITIALIZING",
            Self::Initializing => "INITIALIZING",
            Self::Live => "LIVE",
            Self::Draining => "DRAINING",
        }
    }
}

impl std::fmt::Debug for AdminState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminState").field("health", &self.health).finish_non_exhaustive()
    }
}
