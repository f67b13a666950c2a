//! What is known of every dynamic resource: the last accepted version, and the last error beside it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use palanquin_config::diagnostic::Problems;
use parking_lot::Mutex;

/// A type of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// CDS.
    Cluster,
    /// EDS.
    Endpoints,
    /// LDS.
    Listener,
    /// RDS.
    Route,
}

impl Kind {
    /// The kind of a type URL.
    pub fn of(type_url: &str) -> Option<Self> {
        [Self::Cluster, Self::Endpoints, Self::Listener, Self::Route]
            .into_iter()
            .find(|kind| kind.type_url() == type_url)
    }

    /// What Envoy calls one of them in `/config_dump`.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Endpoints => "endpoint_config",
            Self::Listener => "listener",
            Self::Route => "route_config",
        }
    }

    /// The type of their section in `/config_dump`.
    pub(super) fn dump_type(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
            Self::Endpoints => "type.googleapis.com/envoy.admin.v3.EndpointsConfigDump",
            Self::Listener => "type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
            Self::Route => "type.googleapis.com/envoy.admin.v3.RoutesConfigDump",
        }
    }

    /// The type of the resource's message.
    pub fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        }
    }
}

/// One resource's state.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The accepted version, its bytes, and when it came; `None` when none was ever accepted.
    pub accepted: Option<Accepted>,
    /// The last rejected version and why; `None` after an accepted one.
    pub error: Option<Rejected>,
    /// What the accepted version says that has no effect.
    pub warnings: Vec<String>,
}

/// An accepted version.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Its version.
    pub version: Arc<str>,
    /// The resource as it came.
    pub body: Bytes,
    /// When.
    pub time: SystemTime,
}

/// A rejected version.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// Its version.
    pub version: Arc<str>,
    /// Why.
    pub message: String,
    /// When.
    pub time: SystemTime,
}

/// All dynamic resources by type and name. Written by the control thread, read by the admin.
#[derive(Debug, Default)]
pub struct ResourceStatus {
    resources: Mutex<BTreeMap<(Kind, Arc<str>), Status>>,
    connected: std::sync::atomic::AtomicBool,
}

impl ResourceStatus {
    /// A version was accepted; the last error is forgotten.
    pub fn accept(&self, kind: Kind, name: &Arc<str>, version: &Arc<str>, body: Bytes) {
        let accepted =
            Accepted { version: Arc::clone(version), body, time: SystemTime::now() };
        let mut resources = self.resources.lock();
        let status = resources.entry((kind, Arc::clone(name))).or_default();
        status.accepted = Some(accepted);
        status.error = None;
    }

    /// A version came whose bytes are those of the accepted one.
    pub fn touch(&self, kind: Kind, name: &Arc<str>, version: &Arc<str>) {
        let mut resources = self.resources.lock();
        if let Some(status) = resources.get_mut(&(kind, Arc::clone(name)))
            && let Some(accepted) = &mut status.accepted
        {
            accepted.version = Arc::clone(version);
            status.error = None;
        }
    }

    /// A version was rejected; the accepted one goes on serving.
    pub fn reject(&self, kind: Kind, name: &Arc<str>, version: &str, message: &str) {
        let error = Rejected {
            version: Arc::from(version),
            message: message.to_owned(),
            time: SystemTime::now(),
        };
        self.resources.lock().entry((kind, Arc::clone(name))).or_default().error = Some(error);
    }

    /// What an accepted version says that has no effect.
    pub fn warn(&self, kind: Kind, name: &Arc<str>, warnings: &Problems) {
        let texts: Vec<_> = warnings
            .iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect();
        for warning in &texts {
            tracing::warn!(resource = %name, %warning, "configuration has no effect");
        }
        self.resources.lock().entry((kind, Arc::clone(name))).or_default().warnings = texts;
    }

    /// A resource is gone.
    pub fn remove(&self, kind: Kind, name: &Arc<str>) {
        self.resources.lock().remove(&(kind, Arc::clone(name)));
    }

    /// Whether the control plane can be reached.
    pub fn set_connected(&self, connected: bool) {
        self.connected.store(connected, std::sync::atomic::Ordering::Relaxed);
    }

    /// As [`Self::set_connected`] said last.
    pub fn is_connected(&self) -> bool {
        self.connected.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Every resource of a type.
    pub fn of(&self, kind: Kind) -> Vec<(Arc<str>, Status)> {
        self.resources
            .lock()
            .iter()
            .filter(|((one, _), _)| *one == kind)
            .map(|((_, name), status)| (Arc::clone(name), status.clone()))
            .collect()
    }
}
