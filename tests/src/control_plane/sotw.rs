//! The state-of-the-world protocol, as a server.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use palanquin_proto::envoy::service::discovery::v3::DiscoveryRequest;
use palanquin_proto::envoy::service::discovery::v3::DiscoveryResponse;

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
    /// The version of the last response; `None` when one is due.
    sent: Option<u64>,
    responses: u64,
}

impl Protocol for State {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    fn hear(&mut self, request: &Self::Request) -> Said {
        let said = Said {
            kind: Kind::of(&request.type_url),
            node: request.node.clone(),
            names: request.resource_names.clone(),
            version: request.version_info.clone(),
            nonce: request.response_nonce.clone(),
            error: request.error_detail.as_ref().map(|status| status.message.clone()),
            ..Said::default()
        };
        let Some(kind) = said.kind else { return said };
        let first = !self.0.contains_key(&kind);
        let subscription = self.0.entry(kind).or_default();
        let names: BTreeSet<_> = said.names.iter().cloned().collect();
        if first {
            subscription.wildcard = names.is_empty();
        }
        subscription.wildcard |= names.contains("*");
        if !names.is_subset(&subscription.names) {
            subscription.sent = None;
        }
        subscription.names = names;
        said
    }

    fn tell(&mut self, table: &Table) -> Vec<Self::Response> {
        let answers = self.0.iter_mut();
        answers.filter_map(|(kind, subscription)| subscription.tell(*kind, table)).collect()
    }
}

impl Subscription {
    fn tell(&mut self, kind: Kind, table: &Table) -> Option<DiscoveryResponse> {
        let version = table.newest(kind);
        if self.sent == Some(version) {
            return None;
        }
        let wanted = |name: &String| self.wildcard || self.names.contains(name);
        let resources: Vec<_> = table
            .resources
            .iter()
            .filter(|((of, name), _)| *of == kind && wanted(name))
            .map(|(_, (_, any))| any.clone())
            .collect();
        if resources.is_empty() && !self.wildcard {
            return None;
        }
        self.sent = Some(version);
        self.responses += 1;
        Some(DiscoveryResponse {
            version_info: version.to_string(),
            nonce: format!("{version}-{}", self.responses),
            type_url: kind.url(),
            resources,
            ..DiscoveryResponse::default()
        })
    }
}
