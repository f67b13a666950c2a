//! What is known of every dynamic resource: the last accepted version, and the last error beside it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Weak;
use std::time::SystemTime;

use bytes::Bytes;
use palanquin_config::diagnostic::Problems;
use parking_lot::Mutex;

use crate::tls_cell::Slot;

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
    /// The version that serves, its bytes, and when it came.
    pub active: Option<Accepted>,
    /// A newer accepted version that waits for what it needs.
    pub warming: Option<Accepted>,
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

/// What is known of a secret. No byte of a key is in it.
#[derive(Debug, Clone)]
pub struct SecretState {
    /// Its name.
    pub name: Arc<str>,
    /// The version that serves; `None`: none came.
    pub active: Option<SecretVersion>,
    /// The last rejected version and why; `None` after an accepted one.
    pub error: Option<Rejected>,
    /// Since when it is asked for.
    pub since: SystemTime,
}

/// An accepted version of a secret.
#[derive(Debug, Clone)]
pub struct SecretVersion {
    /// Its version.
    pub version: Arc<str>,
    /// When it came.
    pub time: SystemTime,
    /// The message as JSON, redacted.
    pub secret: serde_json::Value,
}

#[derive(Debug, Default)]
struct Resources {
    all: BTreeMap<(Kind, Arc<str>), Status>,
    /// Which of them have a version that warms.
    warming: BTreeSet<(Kind, Arc<str>)>,
}

/// All dynamic resources by type and name. Written by the control thread, read by the admin.
#[derive(Debug, Default)]
pub struct ResourceStatus {
    resources: Mutex<Resources>,
    secrets: Mutex<Vec<SecretState>>,
    /// Every TLS context that serves or may soon.
    slots: Mutex<Vec<Weak<dyn Slot>>>,
    connected: std::sync::atomic::AtomicBool,
}

impl ResourceStatus {
    /// A version was accepted; the last error is forgotten. It warms until [`Self::settle`] finds otherwise.
    pub fn accept(&self, kind: Kind, name: &Arc<str>, version: &Arc<str>, body: Bytes) {
        let accepted = Accepted { version: Arc::clone(version), body, time: SystemTime::now() };
        let key = (kind, Arc::clone(name));
        let mut resources = self.resources.lock();
        let status = resources.all.entry(key.clone()).or_default();
        status.warming = Some(accepted);
        status.error = None;
        resources.warming.insert(key);
    }

    /// What does not warm serves.
    pub fn settle(&self, is_warming: impl Fn(Kind, &str) -> bool) {
        let mut resources = self.resources.lock();
        let Resources { all, warming } = &mut *resources;
        warming.retain(|key| {
            if is_warming(key.0, &key.1) {
                return true;
            }
            if let Some(status) = all.get_mut(key)
                && let Some(warm) = status.warming.take()
            {
                status.active = Some(warm);
            }
            false
        });
    }

    /// A version came whose bytes are those of the accepted one.
    pub fn touch(&self, kind: Kind, name: &Arc<str>, version: &Arc<str>) {
        let mut resources = self.resources.lock();
        if let Some(status) = resources.all.get_mut(&(kind, Arc::clone(name)))
            && let Some(accepted) = status.warming.as_mut().or(status.active.as_mut())
        {
            accepted.version = Arc::clone(version);
            status.error = None;
        }
    }

    /// A version was rejected; the accepted one goes on serving. True if that is news: some control planes
    /// send a rejected version again at once.
    pub fn reject(&self, kind: Kind, name: &Arc<str>, version: &str, message: &str) -> bool {
        let error = Rejected {
            version: Arc::from(version),
            message: message.to_owned(),
            time: SystemTime::now(),
        };
        let mut resources = self.resources.lock();
        let status = resources.all.entry((kind, Arc::clone(name))).or_default();
        let before = status.error.replace(error);
        before.is_none_or(|before| *before.version != *version || before.message != message)
    }

    /// An accepted version turned out to be unusable; the one that serves goes on.
    pub fn fail(&self, kind: Kind, name: &Arc<str>, message: &str) {
        let key = (kind, Arc::clone(name));
        let mut resources = self.resources.lock();
        resources.warming.remove(&key);
        // What comes from the bootstrap is not among them.
        if let Some(status) = resources.all.get_mut(&key) {
            let version =
                status.warming.take().map_or_else(|| Arc::from(""), |failed| failed.version);
            let message = message.to_owned();
            status.error = Some(Rejected { version, message, time: SystemTime::now() });
        }
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
        self.resources.lock().all.entry((kind, Arc::clone(name))).or_default().warnings = texts;
    }

    /// A resource is gone.
    pub fn remove(&self, kind: Kind, name: &Arc<str>) {
        let key = (kind, Arc::clone(name));
        let mut resources = self.resources.lock();
        resources.all.remove(&key);
        resources.warming.remove(&key);
    }

    /// Whether the control plane can be reached.
    pub fn set_connected(&self, connected: bool) {
        self.connected.store(connected, std::sync::atomic::Ordering::Relaxed);
    }

    /// As [`Self::set_connected`] said last.
    pub fn is_connected(&self) -> bool {
        self.connected.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Replaces what is known of secrets, sorted by name.
    pub fn set_secrets(&self, secrets: Vec<SecretState>) {
        *self.secrets.lock() = secrets;
    }

    /// As [`Self::set_secrets`] said last.
    pub fn secrets(&self) -> Vec<SecretState> {
        self.secrets.lock().clone()
    }

    /// There is one more TLS context.
    pub fn add_slot(&self, slot: &Arc<dyn Slot>) {
        let mut slots = self.slots.lock();
        // Not each time: there may be one for each of many clusters.
        if slots.len() == slots.capacity() {
            slots.retain(|slot| slot.strong_count() > 0);
        }
        slots.push(Arc::downgrade(slot));
    }

    /// The TLS contexts that are.
    pub fn slots(&self) -> Vec<Arc<dyn Slot>> {
        self.slots.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Every resource of a type.
    pub fn of(&self, kind: Kind) -> Vec<(Arc<str>, Status)> {
        self.resources
            .lock()
            .all
            .iter()
            .filter(|((one, _), _)| *one == kind)
            .map(|((_, name), status)| (Arc::clone(name), status.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_warms_is_shown_beside_the_one_that_serves() {
        let status = ResourceStatus::default();
        let (name, one, two) = (Arc::from("c"), Arc::from("1"), Arc::from("2"));
        status.accept(Kind::Cluster, &name, &one, Bytes::from_static(b"1"));
        status.settle(|_, _| false);
        status.accept(Kind::Cluster, &name, &two, Bytes::from_static(b"2"));
        status.settle(|kind, name| kind == Kind::Cluster && name == "c");
        let version =
            |accepted: &Option<Accepted>| accepted.as_ref().map(|one| one.version.clone());

        let (_, warms) = status.of(Kind::Cluster).remove(0);
        assert_eq!(version(&warms.active).as_deref(), Some("1"));
        assert_eq!(version(&warms.warming).as_deref(), Some("2"));

        status.settle(|_, _| false);
        let (_, serves) = status.of(Kind::Cluster).remove(0);
        assert_eq!(version(&serves.active).as_deref(), Some("2"));
        assert!(serves.warming.is_none());
    }

    #[test]
    fn a_rejection_is_news_once() {
        let status = ResourceStatus::default();
        let name = Arc::from("c");
        assert!(status.reject(Kind::Cluster, &name, "1", "no"));
        assert!(!status.reject(Kind::Cluster, &name, "1", "no"));
        assert!(status.reject(Kind::Cluster, &name, "2", "no"));
    }
}
