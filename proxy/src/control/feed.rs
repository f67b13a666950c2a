//! Resources from files (`path_config_source`): read, lowered and put in like a control plane's.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use palanquin_config::file::load_discovery;
use palanquin_config::lower::Environment;
use palanquin_xds_client::peek_name;

use super::Control;
use super::Origin;
use super::status::Kind;

impl Control {
    /// Reads the files that the bootstrap names in place of a control plane.
    pub(super) fn feed_all(&mut self) {
        for (kind, path) in self.files.clone() {
            self.feed(kind, &path);
        }
    }

    /// Reads the files that clusters and listeners name, each once; later only when it changes.
    pub(super) fn feed_named_files(&mut self) {
        let endpoints = self.clusters.files().into_iter().map(|path| (Kind::Endpoints, path));
        let routes = self.routes.files().into_iter().map(|path| (Kind::Route, path));
        let named: Vec<_> = endpoints.chain(routes).collect();
        if named == self.named_files {
            return;
        }
        let before = std::mem::replace(&mut self.named_files, named.clone());
        for (kind, path) in named.iter().filter(|named| !before.contains(named)) {
            self.feed(*kind, path);
        }
    }

    /// A watched file changed.
    pub fn on_file_changed(&mut self, path: &Path) {
        let all = self.files.iter().chain(&self.named_files);
        let kinds: Vec<_> = all.filter(|(_, file)| file == path).map(|(kind, _)| *kind).collect();
        for kind in kinds {
            self.feed(kind, path);
        }
        let environment = Environment { filters: &self.filters, stats: &self.stats };
        self.secrets.on_file_changed(environment, path);
        self.settle();
    }

    /// Every file whose change matters.
    pub fn watched_files(&self) -> Vec<PathBuf> {
        let resources = self.files.iter().chain(&self.named_files).map(|(_, path)| path.clone());
        resources.chain(self.secrets.files()).collect()
    }

    /// Puts in what the file holds; listeners and clusters that it held before and no longer does go. What
    /// cannot be used is told, and what was there in its place goes on serving.
    fn feed(&mut self, kind: Kind, path: &Path) {
        let name = path.display().to_string();
        let loaded = std::fs::read_to_string(path)
            .map_err(|error| error.to_string())
            .and_then(|text| load_discovery(&name, &text).map_err(|report| report.to_string()));
        let response = match loaded {
            Ok(loaded) => loaded.message,
            Err(error) => {
                tracing::error!(
                    file = %name, %error, "the file cannot be used; the last good one serves"
                );
                return self.give_up_on_file(kind, path);
            }
        };
        let version: Arc<str> = response.version_info.into();
        let resources: Vec<(Arc<str>, Bytes)> = response
            .resources
            .into_iter()
            .map(|any| (peek_name(&any.value).unwrap_or_default().into(), any.value.into()))
            .collect();
        let is_kept = |name: &str| resources.iter().any(|(kept, _)| **kept == *name);
        let gone = match kind {
            // A new listener may take the place of one that goes.
            Kind::Listener => self.listeners.retain(Origin::File, &is_kept),
            Kind::Cluster | Kind::Endpoints | Kind::Route => Vec::new(),
        };
        let mut rejected = false;
        for (resource, body) in &resources {
            rejected |= self.put(kind, Some(path), resource, &version, body).is_err();
        }
        let gone = match kind {
            Kind::Cluster => self.clusters.retain(Origin::File, &is_kept),
            Kind::Endpoints | Kind::Listener | Kind::Route => gone,
        };
        for name in &gone {
            self.status.remove(kind, name);
        }
        match kind {
            Kind::Cluster => self.clusters.count_update(rejected),
            Kind::Listener => self.listeners.count_update(rejected),
            Kind::Endpoints | Kind::Route => {}
        }
        // What is not in the file will not come.
        self.give_up_on_file(kind, path);
    }

    fn give_up_on_file(&mut self, kind: Kind, path: &Path) {
        match kind {
            Kind::Endpoints => self.clusters.give_up_on_file(path),
            Kind::Route => self.routes.give_up_on_file(path),
            Kind::Cluster | Kind::Listener => {}
        }
    }
}
