//! Secrets: who wants them, where they come from, and the contexts that are made of them.
//!
//! ```text
//!  ADS, a stream of its own, files ──► Secrets::put ──► every TLS context that names it: made, then swapped
//! ```
//!
//! `put.rs` is where a secret takes effect. A secret is accepted only if every context that can be made with it was made: otherwise nothing changes,
//! the last good one serves, and whoever sent it is told. A secret that is taken away stays in use.

mod ads;
mod entry;
mod file;
mod put;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use palanquin_config::diagnostic::FieldPath;
use palanquin_config::diagnostic::Problem;
use palanquin_config::diagnostic::Problems;
use palanquin_config::ir::bootstrap::StaticSecret;
use palanquin_config::ir::tls::Secret;
use palanquin_config::ir::tls::SecretId;
use palanquin_config::ir::tls::SecretKind;
use palanquin_config::ir::tls::SecretRef;
use palanquin_config::ir::tls::SecretService;
use palanquin_config::lower::Environment;
use palanquin_config::lower::Lowered;
use palanquin_config::lower::Rejected;
use palanquin_config::lower::lower_secret;
use palanquin_config::lower::reread_secret;
use palanquin_config::support::unsupported;
use palanquin_filter_api::stats::Registry;
use palanquin_filter_api::stats::sds as stat;
use palanquin_proto::envoy::config::core::v3::Node;
use palanquin_proto::envoy::extensions::transport_sockets::tls::v3::Secret as Message;
use palanquin_xds_client::Subscription;
use prost::Name;

pub(super) use self::ads::is_about_secrets;
pub(super) use self::stream::SecretEvent;

use self::entry::Entry;
use self::entry::Feed;
use self::entry::service_file;
use self::stream::Events;
use super::status::ResourceStatus;
use crate::snapshot::SnapshotCell;
use crate::tls_cell::Slot;

/// All secrets that may come or change.
pub(super) struct Secrets {
    entries: HashMap<SecretId, Entry>,
    statics: HashMap<Arc<str>, Secret>,
    /// Clusters that a service of secrets may be reached by: static, and not of type EDS.
    services: HashSet<Arc<str>>,
    node: Node,
    registry: Registry,
    published: Arc<SnapshotCell>,
    status: Arc<ResourceStatus>,
    events: Events,
    /// Whether [`Self::show`] has anything new to tell.
    is_changed: bool,
}

/// Asks the ADS stream for a secret; `None`: there is none.
pub(super) type Subscribe<'a> = &'a dyn Fn(&SecretRef) -> Option<Subscription>;

impl Secrets {
    pub(super) fn new(
        registry: Registry,
        published: Arc<SnapshotCell>,
        status: Arc<ResourceStatus>,
    ) -> Self {
        Self {
            entries: HashMap::new(),
            statics: HashMap::new(),
            services: HashSet::new(),
            node: Node::default(),
            registry,
            published,
            status,
            events: Events::new(),
            is_changed: false,
        }
    }

    /// A bootstrap says who we are, which secrets are static, and which clusters may be asked for others.
    /// Contexts that use a static secret change with it.
    ///
    /// # Errors
    /// Static secrets that cannot be used where they are: (name, why). What served goes on.
    pub(super) fn set_static(
        &mut self,
        node: &Node,
        secrets: &[StaticSecret],
        services: HashSet<Arc<str>>,
    ) -> Vec<(Arc<str>, String)> {
        self.node = node.clone();
        self.services = services;
        let mut errors = Vec::new();
        self.statics =
            secrets.iter().map(|one| (Arc::clone(&one.name), one.secret.clone())).collect();
        for StaticSecret { name, secret } in secrets {
            let id = SecretId::Named(SecretRef::from(&**name));
            if self.entries.contains_key(&id)
                && let Err(error) = self.put(&id, secret.clone())
            {
                errors.push((Arc::clone(name), error));
            }
        }
        errors
    }

    /// Takes charge of contexts: their secrets are asked for, and put in as far as they are here. Each is to
    /// serve only when [`Self::are_settled`].
    ///
    /// # Errors
    /// A secret that does not exist, or a context that cannot be made. Nothing of it is to serve then.
    pub(super) fn attach(
        &mut self,
        environment: Environment<'_>,
        slots: impl Iterator<Item = Arc<dyn Slot>>,
        subscribe: Subscribe<'_>,
    ) -> Result<(), String> {
        for slot in slots {
            self.status.add_slot(&slot);
            for (id, _) in slot.secrets() {
                let is_new = !self.entries.contains_key(id);
                self.want(id, &slot, subscribe)?;
                if is_new && let Some(path) = service_file(id) {
                    self.read_service(environment, path);
                }
            }
            // Files may have changed since they were read with the configuration, for others.
            let has_newer = |(id, _): &(SecretId, SecretKind)| {
                matches!(id, SecretId::Files(_)) && self.find(id).is_some()
            };
            if slot.is_present() && !slot.secrets().iter().any(has_newer) {
                continue;
            }
            if let Some(swap) = Arc::clone(&slot).prepare(&|id| self.find(id))? {
                swap();
            }
        }
        Ok(())
    }

    fn find(&self, id: &SecretId) -> Option<Secret> {
        self.entries.get(id)?.secret.clone()
    }

    /// A context wants a secret.
    fn want(
        &mut self,
        id: &SecretId,
        slot: &Arc<dyn Slot>,
        subscribe: Subscribe<'_>,
    ) -> Result<(), String> {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.slots.push(Arc::downgrade(slot));
            return Ok(());
        }
        let mut entry = Entry::new(id, &self.registry);
        entry.slots.push(Arc::downgrade(slot));
        match id {
            SecretId::Files(_) => entry.is_settled = true,
            SecretId::Named(secret) => match &secret.service {
                SecretService::Static => {
                    let known = self.statics.get(&secret.name).cloned();
                    let missing = || format!("Unknown static secret: {:?}", secret.name);
                    let known = known.ok_or_else(missing)?;
                    entry.digest = Some(known.digest());
                    entry.secret = Some(known);
                    entry.is_settled = true;
                }
                SecretService::Ads => {
                    if let Some(subscription) = subscribe(secret) {
                        entry.feed = Feed::Ads(subscription);
                    } else {
                        tracing::warn!(secret = %id, "there is no ads_config: the secret will not come");
                        entry.is_settled = true;
                    }
                }
                // Read at once, by whoever asks.
                SecretService::File(_) => {}
                SecretService::Stream(source) => {
                    for name in &source.clusters {
                        if !self.services.contains(name) {
                            return Err(format!(
                                "the cluster of a service of secrets must be static and not of type EDS: \
                                 {name:?} is not"
                            ));
                        }
                    }
                    let stream = self.events.start(source, secret, &self.node, &self.published)?;
                    entry.feed = Feed::Stream(stream);
                }
            },
        }
        if service_file(id).is_none() {
            entry.count(stat::UPDATE_ATTEMPT);
        }
        self.entries.insert(id.clone(), entry);
        self.is_changed = true;
        Ok(())
    }

    /// A service or a file sent a secret.
    ///
    /// # Errors
    /// It cannot be used, with field paths and without a byte of a key.
    fn arrive(
        &mut self,
        environment: Environment<'_>,
        id: &SecretId,
        version: &Arc<str>,
        body: &Bytes,
    ) -> Result<(), String> {
        let result = read(environment, body).and_then(|lowered| {
            for warning in lowered.warnings.warnings() {
                let Problem { path, message, .. } = warning;
                tracing::warn!(secret = %id, %path, %message, "configuration has no effect");
            }
            self.put(id, lowered.value)
        });
        let Some(entry) = self.entries.get_mut(id) else { return Ok(()) };
        entry.is_settled = true;
        self.is_changed = true;
        entry.answered(version, body, &result);
        result
    }

    fn touch(&mut self, id: &SecretId, version: &Arc<str>) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.touched(version);
            self.is_changed = true;
        }
    }

    fn give_up(&mut self, id: &SecretId, is_timeout: bool) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        if is_timeout {
            entry.count(stat::INIT_FETCH_TIMEOUT);
            entry.count(stat::UPDATE_ATTEMPT);
        }
        entry.is_settled = true;
        self.is_changed = true;
    }

    /// Whether every secret of these contexts came, or waiting for it is over.
    pub(super) fn are_settled(&self, mut slots: impl Iterator<Item = Arc<dyn Slot>>) -> bool {
        let is_settled = |id: &SecretId| self.entries.get(id).is_none_or(|entry| entry.is_settled);
        slots.all(|slot| slot.secrets().iter().all(|(id, _)| is_settled(id)))
    }

    /// What happens next on a secret's own stream. Cancel safe.
    pub(super) async fn next(&mut self) -> SecretEvent {
        self.events.next().await
    }

    /// Something came on a secret's own stream.
    pub(super) fn on_event(&mut self, environment: Environment<'_>, event: SecretEvent) {
        let SecretEvent(secret, event) = event;
        self.on_stream(environment, &SecretId::Named(secret), event);
    }

    /// Files that are to be watched.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            self.entries.iter().flat_map(|(id, entry)| entry.files(id)).collect();
        files.sort();
        files.dedup();
        files
    }

    /// A watched file changed.
    pub(super) fn on_file_changed(&mut self, environment: Environment<'_>, path: &Path) {
        self.read_service(environment, path);
        let named = |entry: &Entry, id: &SecretId| entry.reads(id, path);
        let ids: Vec<_> = self
            .entries
            .iter()
            .filter(|(id, entry)| named(entry, id))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            self.reread(environment, &id);
        }
    }

    /// Reads the files of one secret again. Half of a new pair is not a pair: the last good one serves until
    /// the other half is here.
    fn reread(&mut self, environment: Environment<'_>, id: &SecretId) {
        let Some(files) = self.entries.get(id).and_then(|entry| entry.named_files(id)) else {
            return;
        };
        let text = |rejected: Rejected| rejected.problems.summary();
        let result = reread_secret(environment, &files)
            .map_err(text)
            .and_then(|lowered| self.put(id, lowered.value));
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.reread(id, result);
        self.is_changed = true;
    }

    /// Forgets secrets that nothing uses any more: they are asked for no longer.
    pub(super) fn prune(&mut self) {
        let before = self.entries.len();
        self.entries.retain(|_, entry| {
            entry.slots.retain(|slot| slot.strong_count() > 0);
            !entry.slots.is_empty()
        });
        self.is_changed |= self.entries.len() != before;
    }

    /// Tells what `/config_dump` shows.
    pub(super) fn show(&mut self) {
        if !std::mem::take(&mut self.is_changed) {
            return;
        }
        let mut all: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(id, entry)| match id {
                SecretId::Named(secret) if secret.service != SecretService::Static => {
                    Some(entry.state(&secret.name))
                }
                SecretId::Named(_) | SecretId::Files(_) => None,
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        self.status.set_secrets(all);
    }
}

/// Reads a secret as it came.
///
/// # Errors
/// It cannot be used, with field paths and without a byte of a key.
fn read(environment: Environment<'_>, body: &[u8]) -> Result<Lowered<Secret>, String> {
    let mut problems = Problems::new();
    unsupported(&Message::type_url(), body, &mut FieldPath::new(), &mut problems);
    if problems.has_errors() {
        return Err(problems.summary());
    }
    let mut lowered =
        lower_secret(environment, body).map_err(|rejected| rejected.problems.summary())?;
    lowered.warnings.append(problems);
    Ok(lowered)
}
