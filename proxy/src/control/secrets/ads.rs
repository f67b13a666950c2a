//! Secrets on the ADS stream.

use std::sync::Arc;

use palanquin_config::ir::tls::SecretId;
use palanquin_config::ir::tls::SecretRef;
use palanquin_config::ir::tls::SecretService;
use palanquin_config::lower::Environment;
use palanquin_xds_client::Absence;
use palanquin_xds_client::Change;
use palanquin_xds_client::Event;
use palanquin_xds_client::Resource;
use palanquin_xds_client::ResourceError;
use palanquin_xds_client::ResourceType;

use super::Secrets;

/// Whether an event of the ADS stream is about secrets.
pub(in crate::control) fn is_about_secrets(event: &Event) -> bool {
    let url = match event {
        Event::Absent { type_url, .. } | Event::Rejected { type_url, .. } => type_url,
        Event::Update(update) => &update.type_url,
        Event::Connected | Event::Disconnected { .. } => return false,
    };
    url == ResourceType::secret().type_url()
}

impl Secrets {
    /// Something about secrets came on the ADS stream. An update is left to be answered: what could not be used
    /// of it.
    pub(in crate::control) fn on_ads(
        &mut self,
        environment: Environment<'_>,
        event: &mut Event,
    ) -> Vec<ResourceError> {
        match event {
            Event::Connected | Event::Disconnected { .. } => Vec::new(),
            Event::Absent { names, reason, .. } => {
                for name in names {
                    tracing::warn!(secret = %name, ?reason, "the secret is absent");
                    self.give_up(&id(name), *reason == Absence::TimedOut);
                }
                Vec::new()
            }
            Event::Rejected { names, version, message, .. } => {
                tracing::warn!(%version, %message, "xDS response rejected");
                for name in names {
                    self.give_up(&id(name), false);
                }
                Vec::new()
            }
            Event::Update(update) => {
                let mut errors = std::mem::take(&mut update.invalid);
                for resource in &update.resources {
                    let Resource { name, version, body, change } = resource;
                    if *change == Change::Unchanged {
                        self.touch(&id(name), version);
                    } else if let Err(message) = self.arrive(environment, &id(name), version, body)
                    {
                        tracing::warn!(
                            secret = %name, %message, "secret rejected; the last good one serves"
                        );
                        errors.push(ResourceError::new(Arc::clone(name), message));
                    }
                }
                // What is taken away goes on serving; what never was will not come.
                for name in update.removed.iter().chain(errors.iter().map(|error| &error.name)) {
                    self.give_up(&id(name), false);
                }
                errors
            }
        }
    }
}

fn id(name: &Arc<str>) -> SecretId {
    SecretId::Named(SecretRef { service: SecretService::Ads, ..SecretRef::from(&**name) })
}
