//! One type on a state-of-the-world stream: version, nonce, and the list of names.
//!
//! The list goes out in full with every request, so its encoding is kept and appended to the rest
//! of the request: protobuf fields may come in any order.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use palanquin_proto::envoy::service::discovery::v3::DiscoveryRequest;
use prost::Message;

use super::outbox::Outbox;
use super::outbox::error_detail;
use super::subscription::Subscription;
use crate::resource::WILDCARD;

/// What the server knows of one type.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// The version accepted last; outlives streams.
    version: Arc<str>,
    /// The nonce answered last on this stream.
    nonce: String,
    /// How this stream was told what is wanted.
    told: Told,
    /// The encoded `resource_names` of the whole subscription.
    names: Option<Bytes>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// No request on this stream yet.
    #[default]
    Nothing,
    /// No names ever: the wildcard, the old way.
    EmptyList,
    /// Names or `*`. From here on an empty list means "nothing".
    Names,
}

impl Wire {
    pub(super) fn on_stream_open(&mut self) {
        self.nonce.clear();
        self.told = Told::Nothing;
    }

    pub(super) fn on_accept(&mut self, version: &Arc<str>) {
        self.version = version.clone();
    }

    /// Tells the server what is wanted, if it does not know yet or shall be asked again.
    pub(super) fn request(&mut self, url: &str, subscription: &mut Subscription, out: &mut Outbox) {
        let first = self.told == Told::Nothing;
        if first && subscription.is_empty() {
            // An empty first request would be the wildcard.
            return;
        }
        if first || !subscription.changes().is_empty() {
            self.send(url, subscription, None, out);
        }
    }

    /// Answers a response; the request carries the current subscription as well.
    pub(super) fn answer(
        &mut self,
        url: &str,
        subscription: &mut Subscription,
        nonce: String,
        error: Option<String>,
        out: &mut Outbox,
    ) {
        self.nonce = nonce;
        self.send(url, subscription, error, out);
    }

    fn send(
        &mut self,
        url: &str,
        subscription: &mut Subscription,
        mut error: Option<String>,
        out: &mut Outbox,
    ) {
        let changes = subscription.take_changes();
        if !changes.is_empty() {
            self.names = None;
        }
        // A name that lapsed must vanish from the list once, or the server sees no reason to send
        // the resource again. On the first request of a stream it knows none.
        if !changes.lapsed.is_empty() && self.told != Told::Nothing {
            let rest: BTreeSet<_> = subscription.names().cloned().collect();
            let rest: Vec<_> = rest.difference(&changes.lapsed).collect();
            let is_wildcard_only = rest.iter().all(|name| ***name == *WILDCARD) && !rest.is_empty();
            let list = encode_names(rest.iter().map(|name| &***name));
            self.send_list(url, &list, is_wildcard_only, &mut error, out);
        }
        let list = match &self.names {
            Some(names) => names.clone(),
            None => encode_names(subscription.names().map(|name| &**name)),
        };
        self.names = Some(list.clone());
        self.send_list(url, &list, subscription.is_wildcard_only(), &mut error, out);
    }

    fn send_list(
        &mut self,
        url: &str,
        list: &Bytes,
        is_wildcard_only: bool,
        error: &mut Option<String>,
        out: &mut Outbox,
    ) {
        if is_wildcard_only && self.told != Told::Names {
            self.told = Told::EmptyList;
            return self.frame(url, &[], error.take(), out);
        }
        if list.is_empty() && self.told == Told::EmptyList {
            // So far an empty list meant "everything": name the wildcard first, then drop it.
            let wildcard = encode_names([WILDCARD].into_iter());
            self.frame(url, &wildcard, error.take(), out);
        }
        self.told = Told::Names;
        self.frame(url, list, error.take(), out);
    }

    fn frame(&self, url: &str, names: &[u8], error: Option<String>, out: &mut Outbox) {
        let head = DiscoveryRequest {
            version_info: self.version.to_string(),
            node: out.node(),
            type_url: url.to_owned(),
            response_nonce: self.nonce.clone(),
            error_detail: error.map(error_detail),
            ..DiscoveryRequest::default()
        };
        let mut frame = Vec::with_capacity(head.encoded_len() + names.len());
        head.encode_raw(&mut frame);
        frame.extend_from_slice(names);
        out.push(frame.into());
    }
}

/// Encodes names as the field `resource_names`, number 3 of `DiscoveryRequest`.
fn encode_names<'a>(names: impl Iterator<Item = &'a str>) -> Bytes {
    let mut encoded = Vec::new();
    for name in names {
        prost::encoding::encode_key(3, prost::encoding::WireType::LengthDelimited, &mut encoded);
        prost::encoding::encode_varint(name.len() as u64, &mut encoded);
        encoded.extend_from_slice(name.as_bytes());
    }
    encoded.into()
}
