//! Secrets from files that stand in for a service (`path_config_source`).

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use palanquin_config::file::load_discovery;
use palanquin_config::lower::Environment;
use palanquin_xds_client::peek_name;

use super::Secrets;
use super::entry::service_file;

impl Secrets {
    /// Reads a file that stands in for a service of secrets, if it does. Names that it does not hold will not
    /// come.
    pub(super) fn read_service(&mut self, environment: Environment<'_>, path: &Path) {
        let ids: Vec<_> =
            self.entries.keys().filter(|id| service_file(id) == Some(path)).cloned().collect();
        if ids.is_empty() {
            return;
        }
        let file = path.display().to_string();
        let loaded = std::fs::read_to_string(path)
            .map_err(|error| error.to_string())
            .and_then(|text| load_discovery(&file, &text).map_err(|report| report.to_string()));
        match loaded {
            Ok(loaded) => {
                let version: Arc<str> = loaded.message.version_info.into();
                let bodies = loaded.message.resources.into_iter().map(|any| Bytes::from(any.value));
                let bodies: Vec<_> = bodies.collect();
                for id in &ids {
                    let is_meant = |body: &&Bytes| peek_name(body) == Some(&*id.to_string());
                    let Some(body) = bodies.iter().find(is_meant) else { continue };
                    if let Err(error) = self.arrive(environment, id, &version, body) {
                        tracing::warn!(
                            secret = %id, %file, %error, "secret rejected; the last good one serves"
                        );
                    }
                }
            }
            Err(error) => {
                tracing::error!(%file, %error, "the file cannot be used; the last good one serves");
            }
        }
        for id in &ids {
            self.give_up(id, false);
        }
    }
}
