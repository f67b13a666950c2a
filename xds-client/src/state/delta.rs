//! One type on an incremental stream: what is new and what is given up, never the whole list.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use palanquin_proto::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use prost::Message;

use super::outbox::Outbox;
use super::outbox::error_detail;
use super::subscription::Subscription;

/// What the server knows of one type.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// Whether this stream has carried a request of the type.
    is_open: bool,
}

impl Wire {
    pub(super) fn on_stream_open(&mut self) {
        self.is_open = false;
    }

    /// Tells the server what changed; on a new stream all that is wanted, with the versions held.
    pub(super) fn request(
        &mut self,
        url: &str,
        subscription: &mut Subscription,
        held: impl FnOnce() -> BTreeMap<String, String>,
        out: &mut Outbox,
    ) {
        let changes = subscription.take_changes();
        let mut request = DeltaDiscoveryRequest { type_url: url.to_owned(), ..Default::default() };
        if self.is_open {
            // A name subscribed to again is sent again by the server, whatever it sent before.
            let wanted = [changes.added, changes.lapsed, changes.again];
            let wanted: BTreeSet<Arc<str>> = wanted.into_iter().flatten().collect();
            if wanted.is_empty() && changes.gone.is_empty() {
                return;
            }
            request.resource_names_subscribe = strings(wanted.iter());
            request.resource_names_unsubscribe = strings(changes.gone.iter());
        } else {
            if subscription.is_empty() {
                return;
            }
            // Nothing but the wildcard is written as an empty list, as Envoy does.
            if !subscription.is_wildcard_only() {
                request.resource_names_subscribe = strings(subscription.names());
            }
            request.initial_resource_versions = held();
            self.is_open = true;
        }
        request.node = out.node();
        out.push(request.encode_to_vec().into());
    }

    /// Answers a response, and nothing else: subscriptions change in requests of their own.
    pub(super) fn answer(url: &str, nonce: String, error: Option<String>, out: &mut Outbox) {
        let request = DeltaDiscoveryRequest {
            node: out.node(),
            type_url: url.to_owned(),
            response_nonce: nonce,
            error_detail: error.map(error_detail),
            ..Default::default()
        };
        out.push(request.encode_to_vec().into());
    }
}

fn strings<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> Vec<String> {
    names.map(ToString::to_string).collect()
}
