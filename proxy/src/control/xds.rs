//! The control plane: its updates are lowered and put in, and answered with ACK or NACK.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use palanquin_config::diagnostic::FieldPath;
use palanquin_config::diagnostic::Problems;
use palanquin_config::ir::bootstrap::Ads;
use palanquin_config::ir::tls::SecretRef;
use palanquin_config::lower::Environment;
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
use palanquin_xds_client::Token;
use palanquin_xds_client::Update;
use palanquin_xds_client::WILDCARD;
use palanquin_xds_client::XdsClient;
use palanquin_xds_client::XdsEvents;
use palanquin_xds_client::XdsHandle;

use super::Control;
use super::Origin;
use super::secrets::is_about_secrets;
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
    /// What was rejected last of each type, until something of it is accepted.
    refusals: HashMap<Kind, Refusal>,
    /// The same of secrets.
    refused_secrets: Refusal,
}

/// A rejected version. Some control planes answer a rejection with the same version at once, and would go on
/// for ever as fast as both can: the answer to a version that was rejected before takes longer each time.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    version: Arc<str>,
    pause: Duration,
}

impl Refusal {
    /// Accepts an update without errors, rejects another.
    pub(super) fn answer(&mut self, version: &Arc<str>, token: Token, errors: Vec<ResourceError>) {
        if errors.is_empty() {
            *self = Self::default();
            return token.accept();
        }
        let pause = self.next(version);
        if pause.is_zero() {
            return token.reject(errors);
        }
        tokio::task::spawn_local(async move {
            tokio::time::sleep(pause).await;
            token.reject(errors);
        });
    }

    /// How long to wait with the rejection of `version`.
    fn next(&mut self, version: &Arc<str>) -> Duration {
        self.pause = if self.version == *version {
            (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE)
        } else {
            Duration::ZERO
        };
        self.version = Arc::clone(version);
        self.pause
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// A repaired version may be held back for as long.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

struct Types {
    cluster: ResourceType,
    endpoint: ResourceType,
    listener: ResourceType,
    route: ResourceType,
    secret: ResourceType,
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
        let (handle, events) = connect(ads, Service::Aggregated, node, published)?;
        let types = Types {
            cluster: ResourceType::cluster(),
            endpoint: ResourceType::endpoint(),
            listener: ResourceType::listener(),
            route: ResourceType::route(),
            secret: ResourceType::secret(),
        };
        Ok(Self {
            handle,
            events,
            types,
            clusters: None,
            listeners: None,
            has_clusters: true,
            has_listeners: false,
            refusals: HashMap::new(),
            refused_secrets: Refusal::default(),
        })
    }

    /// The next event. Cancel safe.
    pub(super) async fn next(&mut self) -> PlaneEvent {
        match self.events.next().await {
            Some(event) => event,
            // The client's task only ends with us.
            None => std::future::pending().await,
        }
    }

    /// Asks for every cluster; after `limit` it is known that none come (zero: never).
    pub(super) fn subscribe_clusters(&mut self, limit: Duration) {
        if self.clusters.is_none() {
            self.has_clusters = false;
            let all = self.handle.subscribe_within(&self.types.cluster, WILDCARD, within(limit));
            self.clusters = Some(all);
        }
    }

    /// Asks for every listener, within `limit` likewise.
    pub(super) fn subscribe_listeners(&mut self, limit: Duration) {
        if self.listeners.is_none() {
            let all = self.handle.subscribe_within(&self.types.listener, WILDCARD, within(limit));
            self.listeners = Some(all);
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

    /// Asks for a secret.
    pub(super) fn secret(&self, secret: &SecretRef) -> Subscription {
        let limit = within(secret.initial_fetch_timeout);
        self.handle.subscribe_within(&self.types.secret, Arc::clone(&secret.name), limit)
    }

    /// Asks for a route table.
    pub(super) fn routes(&self, name: &Arc<str>, limit: Duration) -> Subscription {
        self.handle.subscribe_within(&self.types.route, Arc::clone(name), within(limit))
    }
}

/// A service that resources come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Service {
    /// ADS.
    Aggregated,
    /// SDS.
    Secrets,
}

/// Starts the task of a stream. The service's own cluster is looked up before each connection.
///
/// # Errors
/// The stream's metadata cannot be sent.
pub(super) fn connect(
    source: &Ads,
    service: Service,
    node: &Node,
    published: &Arc<SnapshotCell>,
) -> Result<(XdsHandle, XdsEvents), String> {
    let protocol = if source.delta { Protocol::Delta } else { Protocol::Sotw };
    let mut config = Config::new(node.clone(), protocol);
    if matches!(service, Service::Secrets) {
        config = config.for_secrets();
    }
    config.node_on_first_message_only = source.node_on_first_message_only;
    for (key, value) in &source.metadata {
        let key = key.parse::<tonic::metadata::AsciiMetadataKey>();
        let (Ok(key), Ok(value)) = (key, value.parse()) else {
            return Err("initial_metadata holds what gRPC cannot send".to_owned());
        };
        config.metadata.append(key, value);
    }
    let names = source.clusters.clone();
    let authority = Arc::clone(&source.authority);
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
    Ok((handle, events))
}

/// A limit in time where zero means none.
pub(super) fn within(limit: Duration) -> Option<Duration> {
    (!limit.is_zero()).then_some(limit)
}

impl Control {
    pub(super) fn on_event(&mut self, event: PlaneEvent) {
        if is_about_secrets(&event) {
            return self.on_secrets(event);
        }
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

    fn on_secrets(&mut self, mut event: PlaneEvent) {
        let environment = Environment { filters: &self.filters, stats: &self.stats };
        let errors = self.secrets.on_ads(environment, &mut event);
        self.settle();
        if let (Event::Update(update), Some(plane)) = (event, &mut self.plane) {
            plane.refused_secrets.answer(&update.version, update.token, errors);
        }
    }

    fn on_update(&mut self, update: Update) {
        let Update { type_url, version, resources, removed, invalid, token } = update;
        let Some(kind) = Kind::of(&type_url) else { return };
        let mut errors = invalid;
        // As in Envoy: a new listener may take the place of one that goes, a cluster goes after those that
        // come.
        let (before, after) =
            if kind == Kind::Listener { (&removed[..], &[][..]) } else { (&[][..], &removed[..]) };
        for name in before {
            self.remove(kind, name);
        }
        for resource in &resources {
            let Resource { name, version, body, change } = resource;
            if *change == Change::Unchanged {
                self.status.touch(kind, name, version);
                continue;
            }
            if let Err(message) = self.put(kind, None, name, version, body) {
                errors.push(ResourceError::new(Arc::clone(name), message));
            }
        }
        for name in after {
            self.remove(kind, name);
        }
        match kind {
            Kind::Cluster => self.first_clusters_came(),
            Kind::Listener => self.first_listeners_came(),
            Kind::Endpoints | Kind::Route => {}
        }
        // The answer says what became of it: a listener may be fine and its address not.
        let failures = self.settle().into_iter().filter(|_| kind == Kind::Listener);
        errors.extend(failures.map(|(name, error)| ResourceError::new(name, error)));
        match kind {
            Kind::Cluster => self.clusters.count_update(!errors.is_empty()),
            Kind::Listener => self.listeners.count_update(!errors.is_empty()),
            Kind::Endpoints | Kind::Route => {}
        }
        tracing::debug!(%type_url, %version, rejected = errors.len(), "xDS update");
        let Some(plane) = &mut self.plane else { return };
        plane.refusals.entry(kind).or_default().answer(&version, token, errors);
    }

    /// Lowers a resource of the control plane, or of a file, and puts it in.
    ///
    /// # Errors
    /// What cannot be used, with field paths; it is noted in the status, and nothing waits for it.
    pub(super) fn put(
        &mut self,
        kind: Kind,
        path: Option<&Path>,
        name: &Arc<str>,
        version: &Arc<str>,
        body: &Bytes,
    ) -> Result<(), String> {
        match self.lower_and_put(kind, path, name, body) {
            Ok(warnings) => {
                self.status.accept(kind, name, version, body.clone());
                self.status.warn(kind, name, &warnings);
                Ok(())
            }
            Err(message) => {
                if self.status.reject(kind, name, version, &message) {
                    tracing::warn!(
                        resource = %name, %message, "resource rejected; the last good one serves"
                    );
                }
                self.stop_waiting_for(kind, name);
                Err(message)
            }
        }
    }

    fn lower_and_put(
        &mut self,
        kind: Kind,
        path: Option<&Path>,
        name: &Arc<str>,
        body: &[u8],
    ) -> Result<Problems, String> {
        let origin = if path.is_some() { Origin::File } else { Origin::Xds };
        let text = |rejected: Rejected| rejected.problems.summary();
        let mut problems = Problems::new();
        unsupported(kind.type_url(), body, &mut FieldPath::new(), &mut problems);
        if problems.has_errors() {
            return Err(problems.summary());
        }
        let environment = self.environment();
        let warnings = match kind {
            Kind::Cluster => {
                let lowered = lower_cluster(environment, body).map_err(text)?;
                let put = self.put_cluster(Arc::new(lowered.value), origin);
                put?;
                lowered.warnings
            }
            Kind::Endpoints => {
                let lowered = lower_cluster_load_assignment(environment, body).map_err(text)?;
                self.clusters.set_endpoints(path, name, &Arc::new(lowered.value));
                lowered.warnings
            }
            Kind::Listener => {
                let lowered = lower_listener(environment, body).map_err(text)?;
                let put = self.put_listener(Arc::new(lowered.value), origin);
                put?;
                lowered.warnings
            }
            Kind::Route => {
                let lowered = lower_route_configuration(environment, body).map_err(text)?;
                self.check_clusters(&lowered.value)?;
                self.routes.put(path, &Arc::new(lowered.value));
                lowered.warnings
            }
        };
        problems.append(warnings);
        Ok(problems)
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
    fn stop_waiting_for(&mut self, kind: Kind, name: &Arc<str>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_that_comes_again_is_answered_late() {
        let (one, two) = (Arc::from("1"), Arc::from("2"));
        let mut refusal = Refusal::default();
        assert_eq!(refusal.next(&one), Duration::ZERO);
        assert_eq!(refusal.next(&one), FIRST_PAUSE);
        assert_eq!(refusal.next(&one), FIRST_PAUSE * 2);
        for _ in 0..10 {
            refusal.next(&one);
        }
        assert_eq!(refusal.next(&one), LONGEST_PAUSE);
        assert_eq!(refusal.next(&two), Duration::ZERO);
    }
}
