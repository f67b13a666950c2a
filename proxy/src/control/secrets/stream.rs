//! Secrets that come on a stream of their own (`StreamSecrets`, `DeltaSecrets`): one for each, as in Envoy.
//! Agents of SPIRE and Istio serve them so, behind a Unix socket.

use std::sync::Arc;

use palanquin_config::ir::bootstrap::Ads;
use palanquin_config::ir::tls::SecretId;
use palanquin_config::ir::tls::SecretRef;
use palanquin_config::lower::Environment;
use palanquin_filter_api::stats::sds as stat;
use palanquin_proto::envoy::config::core::v3::Node;
use palanquin_xds_client::Absence;
use palanquin_xds_client::Change;
use palanquin_xds_client::Event;
use palanquin_xds_client::ResourceError;
use palanquin_xds_client::ResourceType;
use palanquin_xds_client::Subscription;
use palanquin_xds_client::Update;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::super::xds;
use super::super::xds::Service;
use super::Secrets;
use crate::snapshot::SnapshotCell;

/// Something came on the stream of a secret.
#[derive(Debug)]
pub(in crate::control) struct SecretEvent(pub(super) SecretRef, pub(super) Event);

/// Where all events come together. Unbounded with a natural bound: a stream has one unanswered update at most.
pub(super) struct Events {
    sender: mpsc::UnboundedSender<SecretEvent>,
    receiver: mpsc::UnboundedReceiver<SecretEvent>,
}

/// A stream; ends when it is dropped.
#[derive(Debug)]
pub(super) struct SecretStream {
    forward: AbortHandle,
    _subscription: Subscription,
}

impl Drop for SecretStream {
    fn drop(&mut self) {
        self.forward.abort();
    }
}

impl Events {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { sender, receiver }
    }

    /// The next event. Cancel safe.
    pub(super) async fn next(&mut self) -> SecretEvent {
        match self.receiver.recv().await {
            Some(event) => event,
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }

    /// Starts a secret's stream.
    ///
    /// # Errors
    /// The stream's metadata cannot be sent.
    pub(super) fn start(
        &self,
        source: &Arc<Ads>,
        secret: &SecretRef,
        node: &Node,
        published: &Arc<SnapshotCell>,
    ) -> Result<SecretStream, String> {
        let (handle, mut events) = xds::connect(source, Service::Secrets, node, published)?;
        let limit = xds::within(secret.initial_fetch_timeout);
        let name = Arc::clone(&secret.name);
        let subscription = handle.subscribe_within(&ResourceType::secret(), name, limit);
        let (sender, secret) = (self.sender.clone(), secret.clone());
        let forward = tokio::task::spawn_local(async move {
            while let Some(event) = events.next().await {
                if sender.send(SecretEvent(secret.clone(), event)).is_err() {
                    return;
                }
            }
        });
        Ok(SecretStream { forward: forward.abort_handle(), _subscription: subscription })
    }
}

impl Secrets {
    /// Something came on a secret's own stream.
    pub(super) fn on_stream(&mut self, environment: Environment<'_>, id: &SecretId, event: Event) {
        match event {
            Event::Connected => tracing::debug!(secret = %id, "the service of secrets answers"),
            Event::Disconnected { error } => {
                tracing::warn!(secret = %id, %error, "no connection to the service of secrets");
                if let Some(entry) = self.entries.get(id) {
                    entry.count(stat::UPDATE_ATTEMPT);
                    entry.count(stat::UPDATE_FAILURE);
                }
            }
            Event::Rejected { version, message, .. } => {
                tracing::warn!(secret = %id, %version, %message, "xDS response rejected");
                if let Some(entry) = self.entries.get(id) {
                    entry.count(stat::UPDATE_ATTEMPT);
                    entry.count(stat::UPDATE_REJECTED);
                }
                self.give_up(id, false);
            }
            Event::Absent { reason, .. } => {
                tracing::warn!(secret = %id, ?reason, "the secret is absent");
                self.give_up(id, reason == Absence::TimedOut);
            }
            Event::Update(update) => self.on_update(environment, id, update),
        }
    }

    fn on_update(&mut self, environment: Environment<'_>, id: &SecretId, update: Update) {
        let Update { version, resources, removed, invalid, token, .. } = update;
        let mut errors = invalid;
        for resource in &resources {
            if resource.change == Change::Unchanged {
                self.touch(id, &resource.version);
                continue;
            }
            if let Err(message) = self.arrive(environment, id, &resource.version, &resource.body) {
                tracing::warn!(secret = %id, %message, "secret rejected; the last good one serves");
                errors.push(ResourceError::new(Arc::clone(&resource.name), message));
            }
        }
        if !removed.is_empty() || !errors.is_empty() {
            // What is taken away goes on serving; what never was will not come.
            self.give_up(id, false);
        }
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.refusal.answer(&version, token, errors);
    }
}
