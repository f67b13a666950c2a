//! One secret: what is known of it, and who uses it.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Weak;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use palanquin_config::file::Secrets as Redaction;
use palanquin_config::file::message_to_json;
use palanquin_config::ir::Digest;
use palanquin_config::ir::tls::Secret;
use palanquin_config::ir::tls::SecretFiles;
use palanquin_config::ir::tls::SecretId;
use palanquin_config::ir::tls::SecretService;
use palanquin_filter_api::stats::Counter;
use palanquin_filter_api::stats::Registry;
use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::sds as stat;
use palanquin_xds_client::Subscription;

use super::super::status::Rejected;
use super::super::status::SecretState;
use super::super::status::SecretVersion;
use super::super::xds::Refusal;
use super::stream::SecretStream;
use crate::tls_cell::Slot;

/// See the module.
pub(super) struct Entry {
    /// The secret that serves.
    pub(super) secret: Option<Secret>,
    /// A newer one that cannot serve before the other one of its pair is as new.
    pub(super) half: Option<Secret>,
    /// Its digest, unless nothing came since the configuration was read.
    pub(super) digest: Option<Digest>,
    /// It came, or it is known that it will not.
    pub(super) is_settled: bool,
    /// The contexts that are made with it.
    pub(super) slots: Vec<Weak<dyn Slot>>,
    /// What brings it; ends with it.
    pub(super) feed: Feed,
    /// What was rejected last.
    pub(super) refusal: Refusal,
    shown: Option<SecretVersion>,
    error: Option<Rejected>,
    since: SystemTime,
    /// What was warned about last: a file is looked at more often than it changes.
    warned: Option<String>,
    /// `sds.<name>.*`
    stats: Option<Arc<Scope>>,
}

/// What brings a secret.
#[derive(Debug)]
pub(super) enum Feed {
    /// Nothing but files, or nothing.
    None,
    /// The ADS stream.
    Ads(#[expect(dead_code, reason = "dropped, it unsubscribes")] Subscription),
    /// A stream of its own.
    Stream(#[expect(dead_code, reason = "dropped, it ends the stream")] SecretStream),
}

impl Entry {
    pub(super) fn new(id: &SecretId, registry: &Registry) -> Self {
        let stats = match id {
            SecretId::Named(secret) if secret.service != SecretService::Static => {
                let labels = vec![("envoy_xds_resource_name", Arc::clone(&secret.name))];
                Some(registry.scope(&stat::KIND, &format!("sds.{}", secret.name), labels))
            }
            SecretId::Named(_) | SecretId::Files(_) => None,
        };
        Self {
            secret: None,
            half: None,
            digest: None,
            is_settled: false,
            slots: Vec::new(),
            feed: Feed::None,
            refusal: Refusal::default(),
            shown: None,
            error: None,
            since: SystemTime::now(),
            warned: None,
            stats,
        }
    }

    pub(super) fn count(&self, counter: Counter) {
        if let Some(stats) = &self.stats {
            stats.inc(counter);
        }
    }

    /// What became of a version that came.
    pub(super) fn answered(
        &mut self,
        version: &Arc<str>,
        body: &Bytes,
        result: &Result<(), String>,
    ) {
        self.count(stat::UPDATE_ATTEMPT);
        match result {
            Ok(()) => {
                let secret = message_to_json(SECRET, body, Redaction::Redact);
                let time = SystemTime::now();
                self.shown = Some(SecretVersion { version: Arc::clone(version), time, secret });
                self.succeeded(version);
            }
            Err(message) => {
                self.count(stat::UPDATE_REJECTED);
                self.error = Some(Rejected {
                    version: Arc::clone(version),
                    message: message.clone(),
                    time: SystemTime::now(),
                });
            }
        }
    }

    /// A version came that is what we have.
    pub(super) fn touched(&mut self, version: &Arc<str>) {
        self.count(stat::UPDATE_ATTEMPT);
        if let Some(shown) = &mut self.shown {
            shown.version = Arc::clone(version);
        }
        self.succeeded(version);
    }

    fn succeeded(&mut self, version: &Arc<str>) {
        self.error = None;
        self.count(stat::UPDATE_SUCCESS);
        if let Some(stats) = &self.stats {
            let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            stats.set(stat::UPDATE_TIME, u64::try_from(time.as_millis()).unwrap_or_default());
            stats.set(stat::VERSION, Digest::of(version.as_bytes()).0);
        }
    }

    /// What became of files that were read again.
    pub(super) fn reread(&mut self, id: &SecretId, result: Result<(), String>) {
        match result {
            Ok(()) => {
                if self.warned.take().is_some() {
                    tracing::info!(secret = %id, "the files can be used again");
                }
                self.error = None;
            }
            Err(error) => {
                self.count(stat::KEY_ROTATION_FAILED);
                if self.warned.as_ref() != Some(&error) {
                    tracing::warn!(
                        secret = %id, %error, "the files cannot be used; the last good ones serve"
                    );
                }
                self.warned = Some(error);
            }
        }
    }

    /// Every file whose change matters.
    pub(super) fn files(&self, id: &SecretId) -> Vec<PathBuf> {
        let mut files: Vec<_> = service_file(id).into_iter().map(Path::to_owned).collect();
        files.extend(self.named_files(id).iter().flat_map(|named| named.paths.clone()));
        files
    }

    /// Whether the secret itself says that its bytes are in this file.
    pub(super) fn reads(&self, id: &SecretId, path: &Path) -> bool {
        self.named_files(id).is_some_and(|named| named.paths.iter().any(|one| one == path))
    }

    /// The files that the present secret names.
    pub(super) fn named_files(&self, id: &SecretId) -> Option<Arc<SecretFiles>> {
        match (&self.secret, id) {
            (_, SecretId::Files(files)) => Some(Arc::clone(files)),
            (Some(secret), SecretId::Named(_)) => secret.files().cloned(),
            (None, SecretId::Named(_)) => None,
        }
    }

    /// What `/config_dump` shows of it.
    pub(super) fn state(&self, name: &Arc<str>) -> SecretState {
        SecretState {
            name: Arc::clone(name),
            active: self.shown.clone(),
            error: self.error.clone(),
            since: self.since,
        }
    }
}

/// The file that stands in for a service.
pub(super) fn service_file(id: &SecretId) -> Option<&Path> {
    match id {
        SecretId::Named(secret) => match &secret.service {
            SecretService::File(path) => Some(path),
            SecretService::Ads | SecretService::Static | SecretService::Stream(_) => None,
        },
        SecretId::Files(_) => None,
    }
}

/// The type of a secret.
const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
