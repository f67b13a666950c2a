//! The clusters that exist: active, or warming until their endpoints are known.

use std::collections::HashMap;
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
    Eds { service_name: Arc<str>, _subscription: Option<Subscription> },
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Self::Dns(task) = self {
            task.abort();
        }
    }
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
        Self { entries: HashMap::new(), registry, stats, warmed }
    }

    /// Adds or changes a cluster. `subscribe` asks the control plane for endpoints by name.
    ///
    /// # Errors
    /// Its TLS settings cannot be used. What was there stays.
    pub(super) fn put(
        &mut self,
        config: Arc<Config>,
        origin: Origin,
        subscribe: &dyn Fn(&Arc<str>, Duration) -> Option<Subscription>,
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
        self.stats.inc(if active.is_some() { stat::CLUSTER_MODIFIED } else { stat::CLUSTER_ADDED });
        let feed = match &config.discovery {
            Discovery::Static(_) => Feed::None,
            Discovery::Dns(_) => Feed::Dns(dns::start(Arc::clone(&cluster))),
            Discovery::Eds { service_name, initial_fetch_timeout, .. } => Feed::Eds {
                service_name: Arc::clone(service_name),
                _subscription: subscribe(service_name, *initial_fetch_timeout),
            },
        };
        if let Some(previous) = previous
            && let (Feed::Eds { service_name: before, .. }, Feed::Eds { service_name: now, .. }) =
                (&previous.feed, &feed)
            && before == now
            && active.as_ref().is_some_and(|active| active.is_warm())
        {
            // The endpoints that are known were taken over; no control plane need send them again.
            cluster.set_warm();
        }
        let entry = if cluster.is_warm() {
            Entry { origin, active: Some(cluster), warming: None, feed }
        } else {
            self.wake_when_warm(&cluster);
            Entry { origin, active, warming: Some(cluster), feed }
        };
        self.entries.insert(Arc::clone(&config.name), entry);
        Ok(Put::Changed)
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
            self.entries.remove(name);
            self.stats.inc(stat::CLUSTER_REMOVED);
        }
        dynamic
    }

    /// Removes every cluster of `origin` that is not in `keep`.
    pub(super) fn retain(&mut self, origin: Origin, keep: &dyn Fn(&str) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|name, entry| entry.origin != origin || keep(name));
        self.stats.add(stat::CLUSTER_REMOVED, (before - self.entries.len()) as u64);
    }

    /// Gives endpoints to every cluster that takes them by this name. True if there is one.
    pub(super) fn set_endpoints(&self, service_name: &str, endpoints: &Arc<EndpointSet>) -> bool {
        let mut used = false;
        for entry in self.entries.values() {
            let Feed::Eds { service_name: own, .. } = &entry.feed else { continue };
            if **own != *service_name {
                continue;
            }
            used = true;
            for cluster in entry.active.iter().chain(&entry.warming) {
                cluster.update_endpoints(Arc::clone(endpoints));
            }
        }
        used
    }

    /// Waiting for the endpoints of this name is over.
    pub(super) fn give_up_on(&self, service_name: &str) {
        for entry in self.entries.values() {
            if let Feed::Eds { service_name: own, .. } = &entry.feed
                && **own == *service_name
                && let Some(cluster) = &entry.warming
            {
                cluster.set_warm();
            }
        }
    }

    /// Lets warm clusters serve. True if there were any.
    pub(super) fn promote(&mut self) -> bool {
        let mut promoted = false;
        for entry in self.entries.values_mut() {
            if entry.warming.as_ref().is_some_and(|cluster| cluster.is_warm()) {
                entry.active = entry.warming.take();
                promoted = true;
            }
        }
        let warming = self.entries.values().filter(|entry| entry.warming.is_some()).count();
        let active = self.entries.values().filter(|entry| entry.active.is_some()).count();
        self.stats.set(stat::WARMING_CLUSTERS, warming as u64);
        self.stats.set(stat::ACTIVE_CLUSTERS, active as u64);
        promoted
    }

    /// Files that hold endpoints in place of a control plane.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let clusters =
            self.entries.values().flat_map(|entry| entry.active.iter().chain(&entry.warming));
        let mut files: Vec<_> = clusters
            .filter_map(|cluster| match &cluster.config.discovery {
                Discovery::Eds { path, .. } => path.clone(),
                _ => None,
            })
            .collect();
        files.sort();
        files.dedup();
        files
    }

    /// Names of clusters whose endpoints are not known yet.
    pub(super) fn warming(&self) -> Vec<Arc<str>> {
        let warming = self.entries.iter().filter(|(_, entry)| entry.warming.is_some());
        let mut names: Vec<_> = warming.map(|(name, _)| Arc::clone(name)).collect();
        names.sort();
        names
    }

    /// What requests may use.
    pub(super) fn active(&self) -> HashMap<Arc<str>, Arc<Cluster>, FixedState> {
        self.entries
            .iter()
            .filter_map(|(name, entry)| Some((Arc::clone(name), Arc::clone(entry.active.as_ref()?))))
            .collect()
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
