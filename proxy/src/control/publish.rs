//! Lets what has become ready serve, and publishes it.

use std::sync::Arc;

use palanquin_config::ir::bootstrap::ResourceSource;
use palanquin_config::ir::cluster::Cluster;
use palanquin_config::ir::listener::Listener;

use super::Control;
use super::Origin;
use super::clusters::Put;
use super::status::Kind;
use super::xds::ControlPlane;
use crate::snapshot::Snapshot;
use crate::worker::Command;

impl Control {
    /// Clusters first, then routes in one snapshot with them, then listeners: nothing serves before what it
    /// needs does.
    pub(super) fn settle(&mut self) {
        self.clusters.promote();
        self.start_listeners();
        self.routes.prune();
        self.publish();
        let routes = &self.routes;
        let clusters_ready = self.clusters.warming().is_empty();
        let failures = self.listeners.promote(&|listener: &Listener| {
            // At the start nothing is served before every static cluster is ready, as in Envoy.
            (clusters_ready || self.version > 1) && routes.are_settled(listener)
        });
        for (name, error) in failures {
            tracing::error!(listener = %name, %error, "listener cannot serve");
            self.status.reject(Kind::Listener, &name, "", &error);
        }
    }

    /// Asks for listeners once the first clusters are warm: their routes would name them.
    fn start_listeners(&mut self) {
        if self.listeners_from == ResourceSource::Ads
            && self.clusters.warming().is_empty()
            && let Some(plane) = &mut self.plane
            && plane.has_clusters()
        {
            plane.subscribe_listeners();
        }
    }

    fn publish(&mut self) {
        self.version += 1;
        self.published.publish(Snapshot {
            version: self.version,
            clusters: self.clusters.active(),
            routes: self.routes.bound(),
        });
        for worker in &*self.workers {
            worker.tell(Command::Refresh);
        }
    }

    pub(super) fn put_cluster(
        &mut self,
        config: Arc<Cluster>,
        origin: Origin,
    ) -> Result<Put, String> {
        let plane = self.plane.as_ref();
        self.clusters.put(config, origin, &|name, limit| {
            plane.map(|plane: &ControlPlane| plane.endpoints(name, limit))
        })
    }

    pub(super) fn put_listener(
        &mut self,
        config: Arc<Listener>,
        origin: Origin,
    ) -> Result<Put, String> {
        let put = self.listeners.put(Arc::clone(&config), origin)?;
        if put == Put::Changed {
            let plane = self.plane.as_ref();
            self.routes.require(&config, &|name, limit| {
                plane.map(|plane: &ControlPlane| plane.routes(name, limit))
            });
        }
        Ok(put)
    }
}
