//! The control thread: turns resources into what workers serve with.
//!
//! ```text
//!  bootstrap, files, control plane ──► clusters, routes, listeners ──► publish ──► workers
//! ```
//!
//! Everything here runs on one thread, one event after the other, so no update meets another half-way.
//! After each event [`Control::settle`] lets what has become ready serve, and publishes once.

mod certificates;
mod clusters;
pub mod facts;
mod feed;
mod listeners;
mod publish;
mod routes;
mod secrets;
pub mod status;
mod xds;

use std::collections::HashSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use palanquin_config::extension::Registry as Filters;
use palanquin_config::ir::bootstrap::Bootstrap;
use palanquin_config::ir::bootstrap::ResourceSource;
use palanquin_config::ir::cluster::Cluster;
use palanquin_config::ir::cluster::Discovery;
use palanquin_config::ir::listener::Listener;
use palanquin_config::ir::tracing::Direction;
use palanquin_config::lower::Environment;
use palanquin_filter_api::stats;
use tokio::sync::Notify;

use self::clusters::Clusters;
use self::listeners::Listeners;
use self::routes::Routes;
use self::secrets::Secrets;
use self::status::Kind;
use self::status::ResourceStatus;
use self::xds::ControlPlane;
use crate::snapshot::SnapshotCell;
use crate::worker::WorkerHandle;

/// Where a resource comes from; a resource is only changed by where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// The bootstrap.
    Static,
    /// A control plane.
    Xds,
    /// A file named by a `path_config_source`.
    File,
}

/// Which listeners are to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those whose `traffic_direction` is `INBOUND`.
    Inbound,
}

impl Which {
    fn includes(self, listener: &Listener) -> bool {
        self == Self::All || listener.direction == Some(Direction::Inbound)
    }
}

/// The state of the control thread.
pub struct Control {
    filters: Filters,
    stats: stats::Registry,
    clusters: Clusters,
    listeners: Listeners,
    routes: Routes,
    secrets: Secrets,
    plane: Option<ControlPlane>,
    listeners_from: ResourceSource,
    /// Files that stand in for a control plane.
    files: Vec<(Kind, PathBuf)>,
    /// Files that clusters and listeners name, as of the last [`Self::settle`].
    named_files: Vec<(Kind, PathBuf)>,
    /// The first clusters are there: listeners may serve.
    is_ready: bool,
    published: Arc<SnapshotCell>,
    version: u64,
    workers: Rc<[WorkerHandle]>,
    status: Arc<ResourceStatus>,
    warmed: Rc<Notify>,
}

impl Control {
    /// A control thread that serves nothing yet. Idle connections of what was replaced or removed are closed
    /// after `drain_time`.
    pub fn new(
        filters: Filters,
        stats: stats::Registry,
        published: Arc<SnapshotCell>,
        workers: Rc<[WorkerHandle]>,
        status: Arc<ResourceStatus>,
        drain_time: Duration,
    ) -> Self {
        let warmed = Rc::new(Notify::new());
        Self {
            clusters: Clusters::new(stats.clone(), Rc::clone(&warmed)),
            listeners: Listeners::new(stats.clone(), Rc::clone(&workers), drain_time),
            routes: Routes::default(),
            secrets: Secrets::new(stats.clone(), Arc::clone(&published), Arc::clone(&status)),
            plane: None,
            listeners_from: ResourceSource::None,
            files: Vec::new(),
            named_files: Vec::new(),
            is_ready: false,
            filters,
            stats,
            published,
            version: 0,
            workers,
            status,
            warmed,
        }
    }

    /// Puts the bootstrap's resources in; those of an earlier bootstrap that it no longer has go.
    ///
    /// # Errors
    /// Every resource that cannot be used: (name, why). The others are in.
    pub fn apply(&mut self, bootstrap: &Bootstrap) -> Result<(), Vec<(Arc<str>, String)>> {
        let mut errors = Vec::new();
        if self.plane.is_none()
            && let Some(ads) = &bootstrap.dynamic.ads
        {
            match ControlPlane::start(ads, &bootstrap.node, &self.published) {
                Ok(plane) => self.plane = Some(plane),
                Err(error) => errors.push((Arc::from("dynamic_resources.ads_config"), error)),
            }
        }
        let not_eds = |cluster: &&Arc<Cluster>| !matches!(cluster.discovery, Discovery::Eds { .. });
        let services = bootstrap.clusters.iter().filter(not_eds);
        let services = services.map(|cluster| Arc::clone(&cluster.name)).collect();
        errors.extend(self.secrets.set_static(&bootstrap.node, &bootstrap.secrets, services));
        for cluster in &bootstrap.clusters {
            if let Err(error) = self.put_cluster(Arc::clone(cluster), Origin::Static) {
                errors.push((Arc::clone(&cluster.name), error));
            }
        }
        let names: HashSet<_> =
            bootstrap.clusters.iter().map(|one| Arc::clone(&one.name)).collect();
        self.clusters.retain(Origin::Static, &|name| names.contains(name));
        // A listener that is new may take the place of one that goes.
        let names: HashSet<_> =
            bootstrap.listeners.iter().map(|one| Arc::clone(&one.name)).collect();
        self.listeners.retain(Origin::Static, &|name| names.contains(name));
        for listener in &bootstrap.listeners {
            if let Err(error) = self.put_listener(Arc::clone(listener), Origin::Static) {
                errors.push((Arc::clone(&listener.name), error));
            }
        }
        self.listeners_from = bootstrap.dynamic.lds.clone();
        if let Some(plane) = &mut self.plane
            && let ResourceSource::Ads { initial_fetch_timeout } = bootstrap.dynamic.cds
        {
            plane.subscribe_clusters(initial_fetch_timeout);
        }
        self.files =
            [(Kind::Cluster, &bootstrap.dynamic.cds), (Kind::Listener, &bootstrap.dynamic.lds)]
                .into_iter()
                .filter_map(|(kind, source)| match source {
                    ResourceSource::Path(path) => Some((kind, path.clone())),
                    ResourceSource::None | ResourceSource::Ads { .. } => None,
                })
                .collect();
        self.feed_all();
        errors.extend(self.settle());
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Waits for what happens by itself and acts on it. Cancel safe between two events.
    pub async fn step(&mut self) {
        let plane = self.plane.as_mut();
        let of_plane = async {
            match plane {
                Some(plane) => plane.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = of_plane => self.on_event(event),
            event = self.secrets.next() => {
                let environment = Environment { filters: &self.filters, stats: &self.stats };
                self.secrets.on_event(environment, event);
            }
            () = self.warmed.notified() => {}
        }
        self.settle();
    }

    /// A cluster by name, for the clients of the control thread.
    pub fn cluster(&self, name: &str) -> Option<Arc<crate::upstream::Cluster>> {
        self.clusters.get(name).cloned()
    }

    /// Whether everything that was asked for at the start is here, or known not to come.
    pub fn is_initialized(&self) -> bool {
        let asked = matches!(self.listeners_from, ResourceSource::Ads { .. });
        self.clusters.warming().is_empty()
            && self.listeners.warming().is_empty()
            && (!asked || self.plane.as_ref().is_some_and(ControlPlane::has_listeners))
    }

    /// What is not ready yet: clusters, then listeners.
    pub fn warming(&self) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
        (self.clusters.warming().iter().cloned().collect(), self.listeners.warming())
    }

    /// The listeners that serve, by name and address.
    pub fn serving(&self) -> Vec<(Arc<str>, palanquin_config::ir::endpoint::Address)> {
        self.listeners.serving()
    }

    /// Stops accepting; connections end after their present request.
    pub fn stop_listeners(&mut self, which: Which) {
        self.listeners.stop_where(&|listener| which.includes(listener));
    }

    /// Connections end after their present or next request; new ones are accepted.
    pub fn drain_listeners(&mut self, which: Which) {
        self.listeners.drain_where(&|listener| which.includes(listener));
    }

    fn environment(&self) -> Environment<'_> {
        Environment { filters: &self.filters, stats: &self.stats }
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("version", &self.version).finish_non_exhaustive()
    }
}
