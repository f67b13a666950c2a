//! Everything about one resource type: what is wanted, known, unanswered, and told to the server.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;

use super::Verdict;
use super::delta;
use super::known::Known;
use super::outbox::Outbox;
use super::response::Response;
use super::sotw;
use super::subscription::Subscription;
use crate::error::ResourceError;
use crate::error::nack_detail;
use crate::resource::Protocol;
use crate::resource::ResourceType;
use crate::stats::TypeStats;

/// The state of one type.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) resource_type: ResourceType,
    pub(super) stats: Arc<TypeStats>,
    pub(super) subscription: Subscription,
    pub(super) known: Known,
    /// Deliveries to be answered, oldest first. Settled in this order.
    pub(super) unanswered: VecDeque<Unanswered>,
    /// Responses of the current stream that are read and not delivered yet.
    pub(super) held: VecDeque<Response>,
    /// A request is among the jobs: later changes of the subscription join it.
    pub(super) request_queued: bool,
    /// Answers among the jobs.
    pub(super) answers_queued: usize,
    wire: Wire,
}

#[derive(Debug)]
enum Wire {
    Delta(delta::Wire),
    Sotw(sotw::Wire),
}

/// A response that was delivered, or judged here already and waiting for its turn.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) number: u64,
    /// The stream it came on; on another one the nonce means nothing.
    pub(super) generation: u64,
    pub(super) nonce: String,
    pub(super) version: Arc<str>,
    /// Name, version, hash of what was delivered.
    pub(super) resources: Vec<(Arc<str>, Arc<str>, u64)>,
    /// What was found wrong before delivery.
    pub(super) invalid: Vec<ResourceError>,
    pub(super) verdict: Option<Verdict>,
}

impl Tracked {
    pub(super) fn new(
        protocol: Protocol,
        resource_type: ResourceType,
        stats: Arc<TypeStats>,
    ) -> Self {
        Self {
            resource_type,
            stats,
            subscription: Subscription::default(),
            known: Known::default(),
            unanswered: VecDeque::new(),
            held: VecDeque::new(),
            request_queued: false,
            answers_queued: 0,
            wire: match protocol {
                Protocol::Delta => Wire::Delta(delta::Wire::default()),
                Protocol::Sotw => Wire::Sotw(sotw::Wire::default()),
            },
        }
    }

    pub(super) fn on_stream_open(&mut self) {
        match &mut self.wire {
            Wire::Delta(wire) => wire.on_stream_open(),
            Wire::Sotw(wire) => wire.on_stream_open(),
        }
    }

    pub(super) fn on_stream_closed(&mut self) {
        self.held.clear();
        self.request_queued = false;
        self.answers_queued = 0;
        if !self.subscription.is_empty() {
            self.stats.failed();
        }
    }

    /// Holds a response back until an answer makes room for it.
    pub(super) fn hold(&mut self, response: Response) {
        if matches!(self.wire, Wire::Sotw(_)) && self.resource_type.is_full_state_in_sotw() {
            // The newer one says everything again, and only its nonce will count.
            self.held.clear();
        }
        self.held.push_back(response);
    }

    /// Whether one more delivery fits into the owner's hands.
    pub(super) fn can_deliver(&self) -> bool {
        self.unanswered.len() < self.resource_type.max_unanswered()
    }

    /// Takes the oldest delivery if it is answered.
    pub(super) fn take_answered(&mut self) -> Option<(Unanswered, Verdict)> {
        let verdict = self.unanswered.front_mut()?.verdict.take()?;
        Some((self.unanswered.pop_front()?, verdict))
    }

    /// Books the verdict on one delivery. Returns the nonce and the error of the answer to send,
    /// if one is due on the stream `generation`.
    pub(super) fn conclude(
        &mut self,
        delivery: Unanswered,
        verdict: Verdict,
        generation: Option<u64>,
    ) -> Option<(String, Option<String>)> {
        let detail = self.book(&delivery, verdict);
        if detail.is_none() {
            self.stats.accepted(&delivery.version);
            if let Wire::Sotw(wire) = &mut self.wire {
                wire.on_accept(&delivery.version);
            }
        } else {
            self.stats.rejected();
        }
        if generation != Some(delivery.generation) {
            return None;
        }
        // State of the world: a newer response made this nonce stale, only the latest is answered.
        if matches!(self.wire, Wire::Sotw(_)) && self.is_awaited(delivery.generation) {
            return None;
        }
        Some((delivery.nonce, detail))
    }

    /// Applies the verdict to what is known; the text of the NACK if it is one.
    fn book(&mut self, delivery: &Unanswered, verdict: Verdict) -> Option<String> {
        let (refused, is_rejected) = match verdict {
            Verdict::Refuse(detail) => return Some(detail),
            Verdict::Accept => (Vec::new(), !delivery.invalid.is_empty()),
            Verdict::Reject(errors) => (errors, true),
        };
        let names: HashSet<_> = refused.iter().map(|error| &error.name).collect();
        for (name, version, hash) in &delivery.resources {
            if !names.contains(name) {
                self.known.accept(name, version.clone(), *hash, delivery.number);
            }
        }
        let errors: Vec<_> = delivery.invalid.iter().cloned().chain(refused).collect();
        is_rejected.then(|| nack_detail(self.resource_type.noun(), &errors))
    }

    /// Whether a response of the stream `generation` still waits for its answer.
    fn is_awaited(&self, generation: u64) -> bool {
        !self.held.is_empty() || self.unanswered.iter().any(|it| it.generation == generation)
    }

    /// Writes a request if the server has to be told something now.
    pub(super) fn write_request(&mut self, generation: u64, out: &mut Outbox) {
        self.request_queued = false;
        let answer_due = self.answers_queued > 0 || self.is_awaited(generation);
        let url = &**self.resource_type.type_url();
        match &mut self.wire {
            Wire::Delta(wire) => {
                let known = &self.known;
                wire.request(url, &mut self.subscription, || known.accepted_versions(), out);
            }
            // While an answer is due, the nonce of any request would be stale and the server would
            // ignore it; the answer will carry the names.
            Wire::Sotw(_) if answer_due => {}
            Wire::Sotw(wire) => wire.request(url, &mut self.subscription, out),
        }
    }

    /// Writes an answer.
    pub(super) fn write_answer(&mut self, nonce: String, error: Option<String>, out: &mut Outbox) {
        self.answers_queued -= 1;
        let url = &**self.resource_type.type_url();
        match &mut self.wire {
            Wire::Delta(_) => delta::Wire::answer(url, nonce, error, out),
            Wire::Sotw(wire) => wire.answer(url, &mut self.subscription, nonce, error, out),
        }
    }
}
