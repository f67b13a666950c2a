//! The incremental protocol, as a server.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use palanquin_proto::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use palanquin_proto::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use palanquin_proto::envoy::service::discovery::v3::Resource;

use super::Kind;
use super::Protocol;
use super::Said;
use super::Table;

/// One stream.
#[derive(Debug, Default)]
pub(super) struct State(BTreeMap<Kind, Subscription>);

#[derive(Debug, Default)]
struct Subscription {
    wildcard: bool,
    names: BTreeSet<String>,
    /// What the proxy has, by name: the version.
    sent: BTreeMap<String, u64>,
    /// Responses so far: a wildcard is answered at least once, with nothing if there is nothing.
    responses: u64,
}

impl Protocol for State {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;

    fn hear(&mut self, request: &Self::Request) -> Said {
        let said = Said {
            kind: Kind::of(&request.type_url),
            node: request.node.clone(),
            names: request.resource_names_subscribe.clone(),
            unsubscribed: request.resource_names_unsubscribe.clone(),
            initial_versions: request
                .initial_resource_versions
                .iter()
                .map(|(name, version)| (name.clone(), version.clone()))
                .collect(),
            nonce: request.response_nonce.clone(),
            error: request.error_detail.as_ref().map(|status| status.message.clone()),
            ..Said::default()
        };
        let Some(kind) = said.kind else { return said };
        let first = !self.0.contains_key(&kind);
        let subscription = self.0.entry(kind).or_default();
        if first {
            subscription.wildcard = said.names.is_empty();
            let had = said.initial_versions.iter();
            subscription.sent = had
                .map(|(name, version)| (name.clone(), version.parse().unwrap_or_default()))
                .collect();
        }
        for name in &said.names {
            subscription.wildcard |= name == "*";
            subscription.names.insert(name.clone());
            if !first {
                // Asked for again, sent again.
                subscription.sent.remove(name);
            }
        }
        for name in &said.unsubscribed {
            subscription.wildcard &= name != "*";
            subscription.names.remove(name);
            subscription.sent.remove(name);
        }
        said
    }

    fn tell(&mut self, table: &Table) -> Vec<Self::Response> {
        let answers = self.0.iter_mut();
        answers.filter_map(|(kind, subscription)| subscription.tell(*kind, table)).collect()
    }
}

impl Subscription {
    fn tell(&mut self, kind: Kind, table: &Table) -> Option<DeltaDiscoveryResponse> {
        let wanted = |name: &String| self.wildcard || self.names.contains(name);
        let changed: Vec<_> = table
            .resources
            .iter()
            .filter(|((of, name), (version, _))| {
                *of == kind && wanted(name) && self.sent.get(name) != Some(version)
            })
            .map(|((_, name), (version, any))| (name.clone(), *version, any.clone()))
            .collect();
        let removed: Vec<_> = self
            .sent
            .keys()
            .filter(|name| !table.resources.contains_key(&(kind, (*name).clone())))
            .cloned()
            .collect();
        let first = self.wildcard && self.responses == 0;
        if changed.is_empty() && removed.is_empty() && !first {
            return None;
        }
        self.responses += 1;
        self.sent.retain(|name, _| !removed.contains(name));
        self.sent.extend(changed.iter().map(|(name, version, _)| (name.clone(), *version)));
        let resources = changed.into_iter().map(|(name, version, any)| Resource {
            name,
            version: version.to_string(),
            resource: Some(any),
            ..Resource::default()
        });
        Some(DeltaDiscoveryResponse {
            type_url: kind.url(),
            nonce: format!("{}-{}", table.newest(kind), self.responses),
            system_version_info: table.version.to_string(),
            resources: resources.collect(),
            removed_resources: removed,
            ..DeltaDiscoveryResponse::default()
        })
    }
}
