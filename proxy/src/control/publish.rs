//! Lets what has become ready serve, and publishes it.

use std::sync::Arc;

use palanquin_config::ir::bootstrap::ResourceSource;
use palanquin_config::ir::cluster::Cluster;
use palanquin_config::ir::http::Routes;
use palanquin_config::ir::listener::Listener;
use palanquin_config::ir::route::RouteTable;
use palanquin_config::lower::Environment;

use super::Control;
use super::Origin;
use super::clusters::Put;
use super::routes::managers;
use super::status::Kind;
use super::xds::ControlPlane;
use crate::snapshot::Snapshot;
use crate::worker::Command;

impl Control {
    /// Clusters first, then routes in one snapshot with them, then listeners: nothing serves before what it
    /// needs does. Returns the listeners that cannot serve: (name, why).
    pub(super) fn settle(&mut self) -> Vec<(Arc<str>, String)> {
        self.feed_named_files();
        let secrets = &self.secrets;
        self.clusters.promote(&|cluster| secrets.are_settled(cluster.dialer().slots()));
        self.start_listeners();
        self.routes.prune();
        self.publish();
        // At the start nothing is served before the first clusters are ready, as in Envoy. Whatever comes
        // later waits only for its own routes.
        self.is_ready |= self.clusters.warming().is_empty()
            && self.plane.as_ref().is_none_or(ControlPlane::has_clusters);
        let (is_ready, routes, secrets) = (self.is_ready, &self.routes, &self.secrets);
        let failures = self.listeners.promote(&|listener| {
            is_ready
                && routes.are_settled(&listener.config)
                && secrets.are_settled(listener.slots())
        });
        for (name, error) in &failures {
            tracing::error!(listener = %name, %error, "listener cannot serve");
            self.status.fail(Kind::Listener, name, error);
        }
        let (clusters, listeners) = (&self.clusters, &self.listeners);
        self.status.settle(|kind, name| match kind {
            Kind::Cluster => clusters.warming().contains(name),
            Kind::Listener => listeners.is_warming(name),
            Kind::Endpoints | Kind::Route => false,
        });
        self.secrets.prune();
        self.secrets.show();
        failures
    }

    /// Asks for listeners once the first clusters are warm: their routes would name them.
    fn start_listeners(&mut self) {
        if let ResourceSource::Ads { initial_fetch_timeout } = self.listeners_from
            && self.clusters.warming().is_empty()
            && let Some(plane) = &mut self.plane
            && plane.has_clusters()
        {
            plane.subscribe_listeners(initial_fetch_timeout);
        }
    }

    fn publish(&mut self) {
        let (clusters, routes) = (self.clusters.take_changed(), self.routes.take_changed());
        if !clusters && !routes {
            return;
        }
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
        let secrets = &mut self.secrets;
        let environment = Environment { filters: &self.filters, stats: &self.stats };
        let subscribe =
            |name: &Arc<str>, limit| plane.map(|plane: &ControlPlane| plane.endpoints(name, limit));
        self.clusters.put(config, origin, &subscribe, &mut |cluster| {
            let slots = cluster.dialer().slots();
            secrets
                .attach(environment, slots, &|secret| plane.map(|plane| plane.secret(secret)))?;
            Ok(secrets.are_settled(cluster.dialer().slots()))
        })
    }

    pub(super) fn put_listener(
        &mut self,
        config: Arc<Listener>,
        origin: Origin,
    ) -> Result<Put, String> {
        for manager in managers(&config) {
            if let Routes::Inline(routes) = &manager.routes {
                self.check_clusters(&routes.table)?;
            }
        }
        let plane = self.plane.as_ref();
        let secrets = &mut self.secrets;
        let environment = Environment { filters: &self.filters, stats: &self.stats };
        let put = self.listeners.put(Arc::clone(&config), origin, &mut |listener| {
            let slots = listener.slots();
            secrets.attach(environment, slots, &|secret| plane.map(|plane| plane.secret(secret)))
        })?;
        if put == Put::Changed {
            self.routes.require(&config, &|name, limit| {
                plane.map(|plane: &ControlPlane| plane.routes(name, limit))
            });
        }
        Ok(put)
    }

    /// `validate_clusters`: every cluster that the table names must be there, warm or not.
    pub(super) fn check_clusters(&self, table: &RouteTable) -> Result<(), String> {
        if !table.validate_clusters {
            return Ok(());
        }
        match table.clusters.iter().find(|name| self.clusters.get(name).is_none()) {
            Some(missing) => Err(format!(
                "route configuration {:?}: unknown cluster {missing:?} (validate_clusters)",
                table.name
            )),
            None => Ok(()),
        }
    }
}
