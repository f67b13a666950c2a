//! The control plane: its updates are lowered and put in, and answered with ACK or NACK.

use std::sync::Arc;
use std::time::Duration;

use palanquin_config::diagnostic::FieldPath;
use palanquin_config::diagnostic::Problems;
use palanquin_config::ir::bootstrap::Ads;
use palanquin_config::lower::Rejected;
use palanquin_config::lower::lower_cluster;
use palanquin_config::lower::lower_cluster_load_assignment;
use palanquin_config::lower::lower_listener;
use palanquin_config::lower::lower_route_configuration;
use palanquin_config::support::unsupported;
use palanquin_proto::envoy::config::core::v3::Node;
use palanquin_xds_client::Absence;
use palanquin_xds_client::Change;
use palanquin_xds_client::Config;
use palanquin_xds_client::Event;
use palanquin_xds_client::Protocol;
use palanquin_xds_client::Resource;
use palanquin_xds_client::ResourceError;
use palanquin_xds_client::ResourceType;
use palanquin_xds_client::Subscription;
use palanquin_xds_client::Update;
use palanquin_xds_client::WILDCARD;
use palanquin_xds_client::XdsClient;
use palanquin_xds_client::XdsEvents;
use palanquin_xds_client::XdsHandle;

use super::Control;
use super::Origin;
use super::status::Kind;
use crate::snapshot::SnapshotCell;
use crate::upstream::connector;

/// The stream to the control plane and what is asked for on it.
pub(super) struct ControlPlane {
    handle: XdsHandle,
    events: XdsEvents,
    types: Types,
    clusters: Option<Subscription>,
    listeners: Option<Subscription>,
    /// The first clusters came, or will not come.
    has_clusters: bool,
    /// The first listeners came, or will not come.
    has_listeners: bool,
}

struct Types {
    cluster: ResourceType,
    endpoint: ResourceType,
    listener: ResourceType,
    route: ResourceType,
}

/// What wakes the control thread.
pub(super) type PlaneEvent = Event;

impl ControlPlane {
    /// Starts the stream's task. The control plane's own cluster is looked up before each connection.
    ///
    /// # Errors
    /// The stream's metadata cannot be sent.
    pub(super) fn start(
        ads: &Ads,
        node: &Node,
        published: &Arc<SnapshotCell>,
    ) -> Result<Self, String> {
        let protocol = if ads.delta { Protocol::Delta } else { Protocol::Sotw };
        let mut config = Config::new(node.clone(), protocol);
        config.node_on_first_message_only = ads.node_on_first_message_only;
        for (key, value) in &ads.metadata {
            let key = key.parse::<tonic::metadata::AsciiMetadataKey>();
            let (Ok(key), Ok(value)) = (key, value.parse()) else {
                return Err("initial_metadata holds what gRPC cannot send".to_owned());
            };
            config.metadata.append(key, value);
        }
        let names = ads.clusters.clone();
        let authority = Arc::clone(&ads.authority);
        let published = Arc::clone(published);
        let mut next = 0;
        let (handle, events, task) = XdsClient::new(config, move || {
            // Several servers take turns.
            let name = names.get(next % names.len().max(1)).cloned();
            next += 1;
            let channel = name.map(|name| {
                let published = Arc::clone(&published);
                let lookup = move || published.load_full().clusters.get(&name).cloned();
                connector::channel(Arc::new(lookup), &authority)
            });
            async move { channel.ok_or("no cluster is configured") }
        });
        tokio::task::spawn_local(task);
        let types = Types {
            cluster: ResourceType::cluster(),
            endpoint: ResourceType::endpoint(),
            listener: ResourceType::listener(),
            route: ResourceType::route(),
        };
        Ok(Self { handle, events, types, clusters: None, listeners: None, has_clusters: true, has_listeners: false })
    }

    /// The next event. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<PlaneEvent> {
        self.events.next().await
    }

    /// Asks for every cluster.
    pub(super) fn subscribe_clusters(&mut self) {
        if self.clusters.is_none() {
            self.has_clusters = false;
            self.clusters = Some(self.handle.subscribe_all(&self.types.cluster));
        }
    }

    /// Asks for every listener.
    pub(super) fn subscribe_listeners(&mut self) {
        if self.listeners.is_none() {
            self.listeners = Some(self.handle.subscribe_all(&self.types.listener));
        }
    }

    /// Whether the first clusters came (or none are asked for).
    pub(super) fn has_clusters(&self) -> bool {
        self.has_clusters
    }

    /// Whether the first listeners came.
    pub(super) fn has_listeners(&self) -> bool {
        self.has_listeners
    }

    /// Asks for the endpoints of a service; after `limit` it is known that none come (zero: never).
    pub(super) fn endpoints(&self, name: &Arc<str>, limit: Duration) -> Subscription {
        self.handle.subscribe_within(&self.types.endpoint, Arc::clone(name), within(limit))
    }

    /// Asks for a route table.
    pub(super) fn routes(&self, name: &Arc<str>, limit: Duration) -> Subscription {
        self.handle.subscribe_within(&self.types.route, Arc::clone(name), within(limit))
    }
}

fn within(limit: Duration) -> Option<Duration> {
    (!limit.is_zero()).then_some(limit)
}

impl Control {
    pub(super) fn on_event(&mut self, event: PlaneEvent) {
        match event {
            Event::Connected => {
                tracing::info!("connected to the control plane");
                self.status.set_connected(true);
            }
            Event::Disconnected { error } => {
                tracing::warn!(%error, "no connection to the control plane; serving goes on");
                self.status.set_connected(false);
            }
            Event::Rejected { type_url, version, names, message } => {
                tracing::warn!(%type_url, %version, %message, "xDS response rejected");
                let Some(kind) = Kind::of(&type_url) else { return };
                for name in names {
                    self.status.reject(kind, &name, &version, &message);
                    self.stop_waiting_for(kind, &name);
                }
            }
            Event::Absent { type_url, names, reason } => self.on_absent(&type_url, &names, reason),
            Event::Update(update) => self.on_update(update),
        }
    }

    fn on_update(&mut self, update: Update) {
        let Update { type_url, version, resources, removed, invalid, token } = update;
        let Some(kind) = Kind::of(&type_url) else { return };
        let mut errors = invalid;
        for resource in &resources {
            if resource.change == Change::Unchanged {
                self.status.touch(kind, &resource.name, &resource.version);
                continue;
            }
            match self.put(kind, resource) {
                Ok(()) => self.status.accept(
                    kind,
                    &resource.name,
                    &resource.version,
                    resource.body.clone(),
                ),
                Err(message) => {
                    tracing::warn!(
                        resource = %resource.name, %message, "xDS resource rejected"
                    );
                    self.status.reject(kind, &resource.name, &resource.version, &message);
                    self.stop_waiting_for(kind, &resource.name);
                    errors.push(ResourceError::new(Arc::clone(&resource.name), message));
                }
            }
        }
        for name in &removed {
            self.remove(kind, name);
        }
        match kind {
            Kind::Cluster => {
                self.clusters.count_update(!errors.is_empty());
                self.first_clusters_came();
            }
            Kind::Listener => {
                self.listeners.count_update(!errors.is_empty());
                self.first_listeners_came();
            }
            Kind::Endpoints | Kind::Route => {}
        }
        tracing::debug!(%type_url, %version, rejected = errors.len(), "xDS update");
        if errors.is_empty() { token.accept() } else { token.reject(errors) }
    }

    fn put(&mut self, kind: Kind, resource: &Resource) -> Result<(), String> {
        let body = &resource.body;
        let text = |rejected: Rejected| rejected.problems.summary();
        let mut problems = Problems::new();
        unsupported(kind.type_url(), body, &mut FieldPath::new(), &mut problems);
        if problems.has_errors() {
            return Err(problems.summary());
        }
        let warnings = match kind {
            Kind::Cluster => {
                let lowered = lower_cluster(self.environment(), body).map_err(text)?;
                self.put_cluster(Arc::new(lowered.value), Origin::Xds)?;
                lowered.warnings
            }
            Kind::Endpoints => {
                let lowered =
                    lower_cluster_load_assignment(self.environment(), body).map_err(text)?;
                self.clusters.set_endpoints(&resource.name, &Arc::new(lowered.value));
                lowered.warnings
            }
            Kind::Listener => {
                let lowered = lower_listener(self.environment(), body).map_err(text)?;
                self.put_listener(Arc::new(lowered.value), Origin::Xds)?;
                lowered.warnings
            }
            Kind::Route => {
                let lowered = lower_route_configuration(self.environment(), body).map_err(text)?;
                self.routes.put(&Arc::new(lowered.value));
                lowered.warnings
            }
        };
        problems.append(warnings);
        self.status.warn(kind, &resource.name, &problems);
        Ok(())
    }

    fn remove(&mut self, kind: Kind, name: &Arc<str>) {
        match kind {
            Kind::Cluster => drop(self.clusters.remove(name)),
            Kind::Listener => drop(self.listeners.remove(name)),
            // It does not exist: whoever waits for it has waited long enough.
            Kind::Endpoints => self.clusters.give_up_on(name),
            Kind::Route => self.routes.give_up_on(name),
        }
        self.status.remove(kind, name);
    }

    fn on_absent(&mut self, type_url: &str, names: &[Arc<str>], reason: Absence) {
        let Some(kind) = Kind::of(type_url) else { return };
        for name in names {
            tracing::warn!(%type_url, resource = %name, ?reason, "xDS resource is absent");
            match (kind, reason) {
                (Kind::Cluster, Absence::TimedOut) if **name == *WILDCARD => {
                    self.first_clusters_came();
                }
                (Kind::Listener, Absence::TimedOut) => self.first_listeners_came(),
                _ => self.remove(kind, name),
            }
        }
    }

    /// A rejected answer is an answer: nothing warms for it any longer, as in Envoy.
    fn stop_waiting_for(&mut self, kind: Kind, name: &str) {
        match kind {
            Kind::Endpoints => self.clusters.give_up_on(name),
            Kind::Route => self.routes.give_up_on(name),
            Kind::Cluster => self.first_clusters_came(),
            Kind::Listener => self.first_listeners_came(),
        }
    }

    fn first_listeners_came(&mut self) {
        if let Some(plane) = &mut self.plane {
            plane.has_listeners = true;
        }
    }

    fn first_clusters_came(&mut self) {
        if let Some(plane) = &mut self.plane {
            plane.has_clusters = true;
        }
    }
}
