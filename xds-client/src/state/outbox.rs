//! Encoded requests on their way out, and who says `node` on them.

use std::collections::VecDeque;

use bytes::Bytes;
use palanquin_proto::envoy::config::core::v3::Node;
use palanquin_proto::google::rpc::Status;

/// Requests ready to be written, in order.
#[derive(Debug)]
pub(super) struct Outbox {
    node: Node,
    node_on_first_message_only: bool,
    /// Whether the current stream has carried the node.
    node_sent: bool,
    frames: VecDeque<Bytes>,
}

impl Outbox {
    pub(super) fn new(node: Node, node_on_first_message_only: bool) -> Self {
        Self { node, node_on_first_message_only, node_sent: false, frames: VecDeque::new() }
    }

    /// Forgets what the broken stream did not carry.
    pub(super) fn reset(&mut self) {
        self.node_sent = false;
        self.frames.clear();
    }

    /// The node for the next request of the stream, if it has to carry one.
    pub(super) fn node(&mut self) -> Option<Node> {
        let needed = !self.node_sent || !self.node_on_first_message_only;
        self.node_sent = true;
        needed.then(|| self.node.clone())
    }

    pub(super) fn push(&mut self, frame: Bytes) {
        self.frames.push_back(frame);
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.frames.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

/// The `error_detail` of a NACK. Envoy sends code 13, `INTERNAL`.
pub(super) fn error_detail(message: String) -> Status {
    Status { code: 13, message, details: Vec::new() }
}
