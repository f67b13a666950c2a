//! Resources from files (`path_config_source`): read, lowered and put in like a control plane's.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use palanquin_config::file::load_discovery;
use palanquin_config::lower::lower_cluster;
use palanquin_config::lower::lower_cluster_load_assignment;
use palanquin_config::lower::lower_listener;
use palanquin_config::lower::lower_route_configuration;
use palanquin_proto::envoy::config::endpoint::v3::ClusterLoadAssignment;
use prost::Message;

use super::Control;
use super::Origin;
use super::status::Kind;

impl Control {
    /// Reads every file that the bootstrap names in place of a control plane, and those that the resources
    /// themselves name. What cannot be used is told; what was there goes on serving.
    pub(super) fn feed_all(&mut self) {
        for (kind, path) in self.files.clone() {
            self.feed_or_tell(kind, &path);
        }
        // Listeners and clusters that came by now may name files of their own.
        let mut named: Vec<_> =
            self.clusters.files().into_iter().map(|path| (Kind::Endpoints, path)).collect();
        named.extend(self.routes.files().into_iter().map(|path| (Kind::Route, path)));
        for (kind, path) in named {
            self.feed_or_tell(kind, &path);
        }
    }

    /// A watched file changed.
    pub fn on_file_changed(&mut self, path: &Path) {
        let mut kinds: Vec<_> =
            self.files.iter().filter(|(_, file)| file == path).map(|(kind, _)| *kind).collect();
        if self.clusters.files().iter().any(|file| file == path) {
            kinds.push(Kind::Endpoints);
        }
        if self.routes.files().iter().any(|file| file == path) {
            kinds.push(Kind::Route);
        }
        for kind in kinds {
            self.feed_or_tell(kind, path);
        }
        self.settle();
    }

    /// Every file whose change matters.
    pub fn watched_files(&self) -> Vec<PathBuf> {
        let named = self.files.iter().map(|(_, path)| path.clone());
        named.chain(self.clusters.files()).chain(self.routes.files()).collect()
    }

    fn feed_or_tell(&mut self, kind: Kind, path: &Path) {
        if let Err(error) = self.feed(kind, path) {
            tracing::error!(%error, "the file cannot be used; the last good one serves");
        }
    }

    /// Puts in what the file holds; of the same kind, what it held before and no longer does goes.
    ///
    /// # Errors
    /// The file cannot be read or says what cannot be used; then nothing of it changes.
    fn feed(&mut self, kind: Kind, path: &Path) -> Result<(), String> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
        let loaded = load_discovery(&name, &text).map_err(|report| report.to_string())?;
        let environment = self.environment();
        let rejected =
            |rejected: palanquin_config::lower::Rejected| format!("{name}: {rejected}");
        let bodies = loaded.message.resources.iter().map(|any| &any.value[..]);
        match kind {
            Kind::Cluster => {
                let clusters = bodies
                    .map(|body| Ok(Arc::new(lower_cluster(environment, body).map_err(rejected)?.value)))
                    .collect::<Result<Vec<_>, String>>()?;
                for cluster in &clusters {
                    self.put_cluster(Arc::clone(cluster), Origin::File)?;
                }
                let keep = |name: &str| clusters.iter().any(|one| *one.name == *name);
                self.clusters.retain(Origin::File, &keep);
            }
            Kind::Listener => {
                let listeners = bodies
                    .map(|body| Ok(Arc::new(lower_listener(environment, body).map_err(rejected)?.value)))
                    .collect::<Result<Vec<_>, String>>()?;
                for listener in &listeners {
                    self.put_listener(Arc::clone(listener), Origin::File)?;
                }
                let keep = |name: &str| listeners.iter().any(|one| *one.name == *name);
                self.listeners.retain(Origin::File, &keep);
            }
            Kind::Endpoints => {
                for any in &loaded.message.resources {
                    let lowered = lower_cluster_load_assignment(environment, &any.value)
                        .map_err(rejected)?;
                    let named = ClusterLoadAssignment::decode(&any.value[..]);
                    let service = named.map(|named| named.cluster_name).unwrap_or_default();
                    self.clusters.set_endpoints(&service, &Arc::new(lowered.value));
                }
            }
            Kind::Route => {
                let tables = bodies
                    .map(|body| {
                        let lowered = lower_route_configuration(environment, body);
                        Ok(Arc::new(lowered.map_err(rejected)?.value))
                    })
                    .collect::<Result<Vec<_>, String>>()?;
                for table in &tables {
                    self.routes.put(table);
                }
            }
        }
        Ok(())
    }
}
