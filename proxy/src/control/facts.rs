//! What the admin endpoint shows of the control thread: kept up to date by it, read by others.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use palanquin_config::file::Secrets;
use palanquin_config::file::message_to_json;
use palanquin_config::ir::endpoint::Address;
use palanquin_config::ir::format::TimeFormat;
use palanquin_filters::tenant::TenantDirectory;
use palanquin_proto::envoy::config::bootstrap::v3::Bootstrap;
use palanquin_proto::envoy::extensions::transport_sockets::tls::v3::Secret;
use parking_lot::Mutex;
use prost::Message;
use prost::Name;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::certificates;
use super::status::Accepted;
use super::status::Kind;
use super::status::ResourceStatus;
use super::status::SecretState;
use super::status::Status;
use crate::admin::ClusterStatus;
use crate::admin::Facts;
use crate::admin::ListenerStatus;
use crate::snapshot::SnapshotCell;

/// How many tenants `/tenants` shows.
const TENANTS_SHOWN: usize = 100;

/// See the module.
#[derive(Debug)]
pub struct ControlFacts {
    published: Arc<SnapshotCell>,
    status: Arc<ResourceStatus>,
    tenants: TenantDirectory,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bootstrap: Vec<u8>,
    clusters: Vec<Vec<u8>>,
    listeners: Vec<Vec<u8>>,
    /// `static_secrets` of `SecretsConfigDump`.
    secrets: Vec<Value>,
    static_clusters: HashSet<String>,
    warnings: Vec<String>,
    loaded: Option<SystemTime>,
    serving: Vec<(Arc<str>, Address)>,
    warming: (Vec<Arc<str>>, Vec<Arc<str>>),
}

impl ControlFacts {
    /// Facts of a process that starts.
    pub fn new(
        published: Arc<SnapshotCell>,
        status: Arc<ResourceStatus>,
        tenants: TenantDirectory,
    ) -> Self {
        Self { published, status, tenants, state: Mutex::default() }
    }

    /// A bootstrap was applied.
    pub fn set_bootstrap(&self, bootstrap: &Bootstrap, warnings: Vec<String>) {
        let resources = bootstrap.static_resources.clone().unwrap_or_default();
        let mut state = self.state.lock();
        state.bootstrap = bootstrap.encode_to_vec();
        state.clusters = resources.clusters.iter().map(Message::encode_to_vec).collect();
        state.listeners = resources.listeners.iter().map(Message::encode_to_vec).collect();
        state.secrets = resources.secrets.iter().map(static_secret).collect();
        state.static_clusters = resources.clusters.into_iter().map(|one| one.name).collect();
        state.warnings = warnings;
        state.loaded = Some(SystemTime::now());
    }

    /// What serves now, and what waits for something.
    pub fn set_progress(
        &self,
        serving: Vec<(Arc<str>, Address)>,
        warming: (Vec<Arc<str>>, Vec<Arc<str>>),
    ) {
        let mut state = self.state.lock();
        state.serving = serving;
        state.warming = warming;
    }

    fn secrets(&self, fixed: &[Value]) -> Value {
        let all = self.status.secrets();
        let (active, warming): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.active.is_some());
        let list =
            |states: Vec<&SecretState>| -> Vec<_> { states.into_iter().map(secret).collect() };
        json!({
            "@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump",
            "static_secrets": fixed,
            "dynamic_active_secrets": list(active),
            "dynamic_warming_secrets": list(warming),
        })
    }

    /// `ClustersConfigDump` and `ListenersConfigDump`: what is static, and what is not.
    fn resources(&self, kind: Kind, fixed: &[Vec<u8>], loaded: &Value) -> Value {
        let (field, url) = (kind.noun(), kind.type_url());
        let one = |body: &[u8]| typed(url, body);
        let fixed: Vec<_> =
            fixed.iter().map(|body| json!({ field: one(body), "last_updated": loaded })).collect();
        let mut section = Map::new();
        section.insert("@type".to_owned(), kind.dump_type().into());
        section.insert(format!("static_{field}s"), fixed.into());
        let all = self.status.of(kind);
        if kind == Kind::Cluster {
            // Two lists, and a cluster is in both while a changed version of it warms.
            let list = |version: fn(&Status) -> Option<&Accepted>| -> Vec<_> {
                let one = |(name, status): &(Arc<str>, Status)| {
                    version(status).map(|accepted| dynamic(kind, name, status, Some(accepted)))
                };
                all.iter().filter_map(one).collect()
            };
            let mut active = list(|status| status.active.as_ref());
            let warming = list(|status| status.warming.as_ref());
            let refused =
                all.iter().filter(|(_, one)| one.active.is_none() && one.warming.is_none());
            active.extend(refused.map(|(name, status)| dynamic(kind, name, status, None)));
            section.insert("dynamic_active_clusters".to_owned(), active.into());
            section.insert("dynamic_warming_clusters".to_owned(), warming.into());
            return section.into();
        }
        let field = match kind {
            Kind::Endpoints => "dynamic_endpoint_configs",
            Kind::Cluster | Kind::Listener => "dynamic_listeners",
            Kind::Route => "dynamic_route_configs",
        };
        let dynamic: Vec<_> = all
            .iter()
            .map(|(name, status)| {
                dynamic(kind, name, status, status.active.as_ref().or(status.warming.as_ref()))
            })
            .collect();
        section.insert(field.to_owned(), dynamic.into());
        section.into()
    }
}

/// An entry of `static_secrets`.
fn static_secret(secret: &Secret) -> Value {
    let url = Secret::type_url();
    json!({ "name": secret.name, "secret": typed(&url, &secret.encode_to_vec()) })
}

/// An entry of the other lists of `SecretsConfigDump`.
fn secret(state: &SecretState) -> Value {
    let name = &*state.name;
    let mut entry = match &state.active {
        Some(active) => {
            let mut secret = active.secret.clone();
            if let Value::Object(fields) = &mut secret {
                fields.shift_insert(0, "@type".to_owned(), Secret::type_url().into());
            }
            json!({
                "name": name,
                "version_info": &*active.version,
                "last_updated": timestamp(active.time),
                "secret": secret,
            })
        }
        None => json!({
            "name": name,
            "version_info": "uninitialized",
            "last_updated": timestamp(state.since),
            "secret": { "@type": Secret::type_url(), "name": name },
        }),
    };
    if let Some(error) = &state.error {
        entry["error_state"] = json!({
            "last_update_attempt": timestamp(error.time),
            "details": error.message,
            "version_info": &*error.version,
        });
    }
    entry
}

/// One dynamic resource in a version, with its last error beside it.
fn dynamic(kind: Kind, name: &Arc<str>, status: &Status, shown: Option<&Accepted>) -> Value {
    let state = |accepted: &Accepted| {
        json!({
            "version_info": &*accepted.version,
            kind.noun(): typed(kind.type_url(), &accepted.body),
            "last_updated": timestamp(accepted.time),
        })
    };
    let mut entry = Map::new();
    if kind == Kind::Listener {
        let states = [("active_state", &status.active), ("warming_state", &status.warming)];
        for (field, accepted) in states {
            if let Some(accepted) = accepted {
                entry.insert(field.to_owned(), state(accepted));
            }
        }
    } else if let Some(Value::Object(fields)) = shown.map(state) {
        entry.extend(fields);
    }
    if kind == Kind::Listener || shown.is_none() {
        entry.insert("name".to_owned(), (**name).into());
    }
    if let Some(error) = &status.error {
        let error = json!({
            "last_update_attempt": timestamp(error.time),
            "details": error.message,
            "version_info": &*error.version,
        });
        entry.insert("error_state".to_owned(), error);
    }
    if !status.warnings.is_empty() {
        entry.insert("palanquin_warnings".to_owned(), status.warnings.clone().into());
    }
    entry.into()
}

fn typed(url: &str, body: &[u8]) -> Value {
    let mut value = message_to_json(url, body, Secrets::Redact);
    if let Value::Object(fields) = &mut value {
        fields.shift_insert(0, "@type".to_owned(), url.into());
    }
    value
}

fn names(names: &[Arc<str>]) -> Value {
    names.iter().map(|name| Value::from(&**name)).collect()
}

fn timestamp(time: SystemTime) -> Value {
    let mut text = Vec::new();
    TimeFormat::compile("").write(time, &mut text);
    String::from_utf8_lossy(&text).into()
}

impl Facts for Arc<ControlFacts> {
    fn clusters(&self) -> Vec<ClusterStatus> {
        let snapshot = self.published.load_full();
        let state = self.state.lock();
        let mut clusters: Vec<_> = snapshot
            .clusters
            .values()
            .map(|cluster| ClusterStatus {
                cluster: Arc::clone(cluster),
                added_via_api: !state.static_clusters.contains(&*cluster.config.name),
            })
            .collect();
        clusters.sort_by(|a, b| a.cluster.config.name.cmp(&b.cluster.config.name));
        clusters
    }

    fn listeners(&self) -> Vec<ListenerStatus> {
        let state = self.state.lock();
        let serving = state.serving.iter().cloned();
        serving.map(|(name, address)| ListenerStatus { name, address }).collect()
    }

    fn config_dump(&self) -> Vec<Value> {
        let state = self.state.lock();
        let loaded = state.loaded.map_or(Value::Null, timestamp);
        let mut bootstrap = json!({
            "@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump",
            "bootstrap": message_to_json(&Bootstrap::type_url(), &state.bootstrap, Secrets::Redact),
            "last_updated": loaded,
        });
        if !state.warnings.is_empty() {
            bootstrap["palanquin_warnings"] = state.warnings.clone().into();
        }
        let mut clusters = self.resources(Kind::Cluster, &state.clusters, &loaded);
        let mut listeners = self.resources(Kind::Listener, &state.listeners, &loaded);
        if !state.warming.0.is_empty() {
            clusters["palanquin_warming"] = names(&state.warming.0);
        }
        if !state.warming.1.is_empty() {
            listeners["palanquin_warming"] = names(&state.warming.1);
        }
        vec![
            bootstrap,
            clusters,
            listeners,
            self.resources(Kind::Route, &[], &loaded),
            self.resources(Kind::Endpoints, &[], &loaded),
            self.secrets(&state.secrets),
        ]
    }

    fn certificates(&self) -> Vec<Value> {
        certificates::of(&self.status.slots(), SystemTime::now())
    }

    fn first_ocsp_expiry(&self) -> Option<u64> {
        certificates::first_ocsp_expiry(&self.status.slots())
    }

    fn tenants(&self) -> Value {
        let tenants: Vec<_> = self
            .tenants
            .top(TENANTS_SHOWN)
            .into_iter()
            .map(|line| {
                json!({
                    "id": &*line.id,
                    "tier": &*line.tier,
                    "stat_prefix": &*line.stat_prefix,
                    "active": line.active,
                    "total": line.total,
                    "refused": line.refused,
                })
            })
            .collect();
        json!({ "tenants": tenants })
    }
}
