//! The clusters that exist: active, or warming until their endpoints and secrets are known.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use palanquin_config::ir::cluster::Cluster as Config;
use palanquin_config::ir::cluster::Discovery;
use palanquin_config::ir::endpoint::EndpointSet;
use palanquin_filter_api::stats::Registry;
use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::cluster_manager as stat;
use palanquin_xds_client::Subscription;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Origin;
use crate::upstream::Cluster;
use crate::upstream::dns;

/// All clusters of the process.
pub(super) struct Clusters {
    entries: HashMap<Arc<str>, Entry>,
    warming: BTreeSet<Arc<str>>,
    services: HashMap<ServiceKey, Service>,
    /// Whether what requests may use is other than at the last [`Self::take_changed`].
    is_changed: bool,
    registry: Registry,
    stats: Arc<Scope>,
    /// Woken when a cluster may have become warm.
    warmed: Rc<Notify>,
}

struct Entry {
    origin: Origin,
    active: Option<Arc<Cluster>>,
    warming: Option<Arc<Cluster>>,
    feed: Feed,
}

/// What brings a cluster's endpoints; ends with it.
enum Feed {
    None,
    Dns(AbortHandle),
    Eds(ServiceKey),
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Self::Dns(task) = self {
            task.abort();
        }
    }
}

/// Where endpoints come from: a file, or the control plane, and the name they have there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ServiceKey {
    path: Option<PathBuf>,
    name: Arc<str>,
}

/// Endpoints that one or more clusters use. The control plane sends them once, however many do.
struct Service {
    clusters: HashSet<Arc<str>>,
    endpoints: Option<Arc<EndpointSet>>,
    /// The endpoints came, or it is known that they will not.
    is_settled: bool,
    _subscription: Option<Subscription>,
}

/// What became of a cluster that was put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// It is new or other than before.
    Changed,
    /// It stays as it was.
    Unchanged,
}

impl Clusters {
    pub(super) fn new(registry: Registry, warmed: Rc<Notify>) -> Self {
        let stats = registry.scope(&stat::KIND, "cluster_manager", Vec::new());
        Self {
            entries: HashMap::new(),
            warming: BTreeSet::new(),
            services: HashMap::new(),
            is_changed: false,
            registry,
            stats,
            warmed,
        }
    }

    /// Adds or changes a cluster. `subscribe` asks the control plane for endpoints by name; `None`: there is
    /// no control plane. `attach` sees to its secrets, and tells whether they are here.
    ///
    /// # Errors
    /// Its TLS settings cannot be used. What was there stays.
    pub(super) fn put(
        &mut self,
        config: Arc<Config>,
        origin: Origin,
        subscribe: &dyn Fn(&Arc<str>, Duration) -> Option<Subscription>,
        attach: &mut dyn FnMut(&Cluster) -> Result<bool, String>,
    ) -> Result<Put, String> {
        let previous = self.entries.get(&config.name);
        if let Some(previous) = previous {
            // As in Envoy: what the bootstrap says is not changed by an API.
            if previous.origin == Origin::Static && origin != Origin::Static {
                return Ok(Put::Unchanged);
            }
            let newest = previous.warming.as_ref().or(previous.active.as_ref());
            if newest.is_some_and(|newest| newest.config.digest == config.digest) {
                return Ok(Put::Unchanged);
            }
        }
        let active = previous.and_then(|previous| previous.active.clone());
        let cluster = Cluster::new(Arc::clone(&config), &self.registry, active.as_deref())
            .map_err(|error| error.to_string())?;
        let has_secrets = attach(&cluster)?;
        self.stats.inc(if active.is_some() { stat::CLUSTER_MODIFIED } else { stat::CLUSTER_ADDED });
        let feed = match &config.discovery {
            Discovery::Static(_) => Feed::None,
            Discovery::Dns(_) => Feed::Dns(dns::start(Arc::clone(&cluster))),
            Discovery::Eds { service_name, path, initial_fetch_timeout } => {
                let key = ServiceKey { path: path.clone(), name: Arc::clone(service_name) };
                let service = self.services.entry(key.clone()).or_insert_with(|| {
                    let subscription = match path {
                        Some(_) => None,
                        None => subscribe(service_name, *initial_fetch_timeout),
                    };
                    Service {
                        clusters: HashSet::new(),
                        endpoints: None,
                        // Without a control plane nothing will come.
                        is_settled: path.is_none() && subscription.is_none(),
                        _subscription: subscription,
                    }
                });
                service.clusters.insert(Arc::clone(&config.name));
                if let Some(known) = &service.endpoints {
                    cluster.update_endpoints(Arc::clone(known));
                } else if service.is_settled {
                    cluster.set_warm();
                }
                Feed::Eds(key)
            }
        };
        let name = Arc::clone(&config.name);
        let entry = if cluster.is_warm() && has_secrets {
            self.is_changed = true;
            self.warming.remove(&name);
            Entry { origin, active: Some(cluster), warming: None, feed }
        } else {
            self.wake_when_warm(&cluster);
            self.warming.insert(Arc::clone(&name));
            Entry { origin, active, warming: Some(cluster), feed }
        };
        let is_new_feed = |before: &Entry, now: &Entry| match (&before.feed, &now.feed) {
            (Feed::Eds(before), Feed::Eds(now)) => before != now,
            _ => true,
        };
        let is_other = self.entries.get(&name).is_some_and(|before| is_new_feed(before, &entry));
        if let Some(before) = self.entries.insert(Arc::clone(&name), entry)
            && is_other
        {
            self.leave(&name, &before.feed);
        }
        Ok(Put::Changed)
    }

    /// A cluster no longer takes endpoints from there; endpoints that none takes are asked for no longer.
    fn leave(&mut self, cluster: &str, feed: &Feed) {
        if let Feed::Eds(key) = feed
            && let Some(service) = self.services.get_mut(key)
        {
            service.clusters.remove(cluster);
            if service.clusters.is_empty() {
                self.services.remove(key);
            }
        }
    }

    fn wake_when_warm(&self, cluster: &Arc<Cluster>) {
        let (cluster, warmed) = (Arc::clone(cluster), Rc::clone(&self.warmed));
        tokio::task::spawn_local(async move {
            cluster.warmed().await;
            warmed.notify_one();
        });
    }

    /// Removes a cluster that an API brought. True if there was one.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let dynamic = self.entries.get(name).is_some_and(|entry| entry.origin != Origin::Static);
        if dynamic {
            self.drop_entry(name);
        }
        dynamic
    }

    /// Removes every cluster of `origin` that is not in `keep`. Returns their names.
    pub(super) fn retain(&mut self, origin: Origin, keep: &dyn Fn(&str) -> bool) -> Vec<Arc<str>> {
        let gone: Vec<_> = self
            .entries
            .iter()
            .filter(|(name, entry)| entry.origin == origin && !keep(name))
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for name in &gone {
            self.drop_entry(name);
        }
        gone
    }

    fn drop_entry(&mut self, name: &str) {
        if let Some(entry) = self.entries.remove(name) {
            self.leave(name, &entry.feed);
            self.warming.remove(name);
            self.is_changed = true;
            self.stats.inc(stat::CLUSTER_REMOVED);
        }
    }

    /// Gives endpoints to every cluster that takes them from there by this name.
    pub(super) fn set_endpoints(
        &mut self,
        path: Option<&Path>,
        name: &Arc<str>,
        endpoints: &Arc<EndpointSet>,
    ) {
        let key = ServiceKey { path: path.map(Path::to_owned), name: Arc::clone(name) };
        let Some(service) = self.services.get_mut(&key) else { return };
        service.endpoints = Some(Arc::clone(endpoints));
        service.is_settled = true;
        for entry in service.clusters.iter().filter_map(|cluster| self.entries.get(cluster)) {
            for cluster in entry.active.iter().chain(&entry.warming) {
                cluster.update_endpoints(Arc::clone(endpoints));
            }
        }
    }

    /// Waiting for the control plane's endpoints of this name is over.
    pub(super) fn give_up_on(&mut self, name: &Arc<str>) {
        self.give_up(&ServiceKey { path: None, name: Arc::clone(name) });
    }

    /// Waiting for the endpoints that a file should hold is over.
    pub(super) fn give_up_on_file(&mut self, path: &Path) {
        let of_file = |key: &&ServiceKey| key.path.as_deref() == Some(path);
        let keys: Vec<_> = self.services.keys().filter(of_file).cloned().collect();
        for key in keys {
            self.give_up(&key);
        }
    }

    fn give_up(&mut self, key: &ServiceKey) {
        let Some(service) = self.services.get_mut(key) else { return };
        service.is_settled = true;
        for entry in service.clusters.iter().filter_map(|cluster| self.entries.get(cluster)) {
            if let Some(cluster) = &entry.warming {
                cluster.set_warm();
            }
        }
    }

    /// Lets warm clusters serve.
    pub(super) fn promote(&mut self, has_secrets: &dyn Fn(&Cluster) -> bool) {
        let entries = &mut self.entries;
        let before = self.warming.len();
        self.warming.retain(|name| {
            let Some(entry) = entries.get_mut(name) else { return false };
            let warm = entry.warming.take_if(|cluster| cluster.is_warm() && has_secrets(cluster));
            if warm.is_some() {
                entry.active = warm;
            }
            entry.warming.is_some()
        });
        self.is_changed |= self.warming.len() != before;
        self.stats.set(stat::WARMING_CLUSTERS, self.warming.len() as u64);
    }

    /// Whether [`Self::active`] is other than when this was asked last.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// Files that hold endpoints in place of a control plane.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = self.services.keys().filter_map(|key| key.path.clone()).collect();
        files.sort();
        files.dedup();
        files
    }

    /// Names of clusters whose endpoints are not known yet.
    pub(super) fn warming(&self) -> &BTreeSet<Arc<str>> {
        &self.warming
    }

    /// What requests may use.
    pub(super) fn active(&self) -> HashMap<Arc<str>, Arc<Cluster>, FixedState> {
        let active: HashMap<_, _, _> = self
            .entries
            .iter()
            .filter_map(|(name, entry)| {
                Some((Arc::clone(name), Arc::clone(entry.active.as_ref()?)))
            })
            .collect();
        self.stats.set(stat::ACTIVE_CLUSTERS, active.len() as u64);
        active
    }

    /// A cluster, warm or not.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Cluster>> {
        let entry = self.entries.get(name)?;
        entry.active.as_ref().or(entry.warming.as_ref())
    }

    /// Counts a finished update of all clusters from a control plane.
    pub(super) fn count_update(&self, rejected: bool) {
        self.stats.inc(stat::CDS_UPDATE_ATTEMPT);
        self.stats.inc(if rejected { stat::CDS_UPDATE_REJECTED } else { stat::CDS_UPDATE_SUCCESS });
    }
}

#[cfg(test)]
mod tests {
    use palanquin_config::extension::Registry as Filters;
    use palanquin_config::file::load_discovery;
    use palanquin_config::lower::Environment;
    use palanquin_config::lower::lower_cluster;
    use palanquin_config::lower::lower_cluster_load_assignment;

    use super::*;

    const FILE: &str = "/nowhere";

    fn resource(text: &str) -> Vec<u8> {
        let loaded = load_discovery("test", &format!("resources: [{text}]")).unwrap();
        loaded.message.resources.into_iter().next().unwrap().value
    }

    /// A cluster; without `service` a static and empty one.
    fn cluster(name: &str, service: Option<&str>) -> Arc<Config> {
        let discovery = service.map_or_else(String::new, |service| {
            format!(
                ", type: EDS, eds_cluster_config: {{ service_name: {service}, \
                 eds_config: {{ path_config_source: {{ path: {FILE} }} }} }}"
            )
        });
        let text = format!(
            "{{ \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: {name}{discovery} }}"
        );
        let (filters, stats) = (Filters::new(), Registry::new(1));
        let environment = Environment { filters: &filters, stats: &stats };
        Arc::new(lower_cluster(environment, &resource(&text)).unwrap().value)
    }

    fn endpoints() -> Arc<EndpointSet> {
        let text = "{ \"@type\": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment, \
            cluster_name: service, endpoints: [{ lb_endpoints: [{ endpoint: { address: \
            { socket_address: { address: 127.0.0.1, port_value: 1 } } } }] }] }";
        let (filters, stats) = (Filters::new(), Registry::new(1));
        let environment = Environment { filters: &filters, stats: &stats };
        Arc::new(lower_cluster_load_assignment(environment, &resource(text)).unwrap().value)
    }

    fn put(clusters: &mut Clusters, config: Arc<Config>) {
        assert_eq!(
            clusters.put(config, Origin::File, &|_, _| None, &mut |_| Ok(true)),
            Ok(Put::Changed)
        );
    }

    async fn with_clusters(test: impl FnOnce(&mut Clusters)) {
        let all = async { test(&mut Clusters::new(Registry::new(1), Rc::new(Notify::new()))) };
        tokio::task::LocalSet::new().run_until(all).await;
    }

    #[tokio::test]
    async fn endpoints_are_kept_for_every_cluster_of_a_service() {
        with_clusters(|clusters| {
            put(clusters, cluster("one", Some("service")));
            assert!(clusters.warming().contains("one"));
            assert!(clusters.active().is_empty());

            clusters.set_endpoints(Some(Path::new(FILE)), &"service".into(), &endpoints());
            clusters.promote(&|_| true);
            assert!(clusters.warming().is_empty());

            put(clusters, cluster("two", Some("service")));
            assert!(clusters.warming().is_empty());
            assert_eq!(clusters.get("two").unwrap().hosts().members().len(), 1);

            assert!(clusters.remove("one") && clusters.remove("two"));
            assert!(clusters.files().is_empty());
        })
        .await;
    }

    #[tokio::test]
    async fn a_changed_cluster_serves_on_until_its_successor_is_warm() {
        with_clusters(|clusters| {
            put(clusters, cluster("one", None));
            assert!(clusters.take_changed());
            put(clusters, cluster("one", Some("service")));
            clusters.promote(&|_| true);
            assert!(clusters.active().contains_key("one"));
            assert!(!clusters.take_changed());

            clusters.give_up_on_file(Path::new(FILE));
            clusters.promote(&|_| true);
            assert!(clusters.warming().is_empty());
            assert!(clusters.take_changed());
        })
        .await;
    }
}
