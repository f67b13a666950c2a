//! The protocol without I/O: responses, decisions and the clock go in, requests and events come out.
//!
//! [`State`] serves one stream at a time and outlives it. Its caller reads responses while
//! [`State::can_read`] allows it, writes what [`State::poll_request`] returns, hands
//! [`State::poll_event`] to the owner and calls [`State::on_timeout`] at [`State::next_deadline`].
//! All methods return at once; none reads a clock.

mod delta;
mod known;
mod outbox;
mod response;
mod sort;
mod sotw;
mod subscription;
mod timers;
mod tracked;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use palanquin_proto::envoy::config::core::v3::Node;
use tracing::debug;
use tracing::warn;

pub use response::Entry;
pub use response::Response;
pub use response::Unreadable;

use crate::error::ResourceError;
use crate::resource::Absence;
use crate::resource::Protocol;
use crate::resource::Resource;
use crate::resource::ResourceType;
use crate::resource::WILDCARD;
use crate::stats::Stats;
use outbox::Outbox;
use sort::Sorted;
use timers::Timers;
use tracked::Tracked;
use tracked::Unanswered;

/// One client's side of the protocol, for all resource types of one stream.
#[derive(Debug)]
pub struct State {
    protocol: Protocol,
    stats: Arc<Stats>,
    /// In the order of first subscription; a new stream asks in this order.
    types: Vec<Tracked>,
    by_url: HashMap<Arc<str>, usize>,
    timers: Timers<(usize, TimerKind, Arc<str>)>,
    jobs: VecDeque<Job>,
    outbox: Outbox,
    events: VecDeque<Event>,
    /// Counts streams.
    generation: u64,
    is_open: bool,
    deliveries: u64,
}

/// What the owner must hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Names are absent although no response said so.
    Absent {
        /// The type of the resources.
        type_url: Arc<str>,
        /// Which ones; `*` is the type as a whole.
        names: Vec<Arc<str>>,
        /// Why.
        reason: Absence,
    },
    /// A response that was refused as a whole, already answered with a NACK. Nothing changed.
    Rejected {
        /// The type of the response.
        type_url: Arc<str>,
        /// Its version.
        version: Arc<str>,
        /// The resources it carried; none of them will time out any more.
        names: Vec<Arc<str>>,
        /// The text of the NACK.
        message: String,
    },
    /// A response to be judged; answer it with [`State::answer`].
    Update(Delivery),
}

/// The contents of a response, for the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Names the delivery in the answer.
    pub ticket: Ticket,
    /// The type of the resources.
    pub type_url: Arc<str>,
    /// The version of the response; informative in the incremental protocol.
    pub version: Arc<str>,
    /// What is there, in the order of the response, the unchanged included.
    pub resources: Vec<Resource>,
    /// What is there no longer, or never was although asked for by name. In order.
    pub removed: Vec<Arc<str>>,
    /// What could not be read. The response will get a NACK, the rest can still be accepted.
    pub invalid: Vec<ResourceError>,
}

/// Names one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    type_index: usize,
    number: u64,
}

/// The answer to a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is in use.
    Accept,
    /// Nothing of it is in use, for this reason. Said of malformed responses.
    Refuse(String),
    /// Something is wrong; the resources that are not named here are in use (gRFC A46).
    Reject(Vec<ResourceError>),
}

#[derive(Debug)]
enum Job {
    Answer { type_index: usize, nonce: String, error: Option<String> },
    Request { type_index: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum TimerKind {
    Expiry,
    Fetch,
}

/// Responses of one type that are read ahead of their turn before reading stops.
const MAX_HELD: usize = 4;

impl State {
    /// A state without subscriptions, not connected.
    pub fn new(
        protocol: Protocol,
        node: Node,
        node_on_first_message_only: bool,
        stats: Arc<Stats>,
    ) -> Self {
        Self {
            protocol,
            stats,
            types: Vec::new(),
            by_url: HashMap::new(),
            timers: Timers::new(),
            jobs: VecDeque::new(),
            outbox: Outbox::new(node, node_on_first_message_only),
            events: VecDeque::new(),
            generation: 0,
            is_open: false,
            deliveries: 0,
        }
    }

    /// Adds a reference to `name`, or to every resource by [`WILDCARD`].
    ///
    /// If nothing is heard within `fetch_timeout`, an [`Event::Absent`] says so; `None` waits for
    /// ever. The timer belongs to the first reference. A later one gets no copy of what was
    /// delivered before: the owner has it.
    pub fn subscribe(
        &mut self,
        resource_type: &ResourceType,
        name: &Arc<str>,
        fetch_timeout: Option<Duration>,
        now: Instant,
    ) {
        let index = self.index_of(resource_type);
        let tracked = &mut self.types[index];
        if tracked.subscription.is_empty() {
            tracked.stats.started();
        }
        if !tracked.subscription.subscribe(name) {
            return;
        }
        if tracked.known.contains(name) {
            // The wildcard brought it already.
            tracked.subscription.resolve(name);
        } else if let Some(deadline) = fetch_timeout.and_then(|it| now.checked_add(it)) {
            self.timers.set((index, TimerKind::Fetch, name.clone()), deadline);
        }
        self.queue_request(index);
    }

    /// Drops a reference; the last one ends the subscription, and the resource is forgotten.
    pub fn unsubscribe(&mut self, type_url: &str, name: &Arc<str>) {
        let Some(&index) = self.by_url.get(type_url) else { return };
        let tracked = &mut self.types[index];
        if !tracked.subscription.unsubscribe(name) {
            return;
        }
        self.timers.cancel(&(index, TimerKind::Fetch, name.clone()));
        if **name == *WILDCARD {
            let unwanted: Vec<_> = tracked
                .known
                .names()
                .filter(|name| !tracked.subscription.wants(name))
                .cloned()
                .collect();
            for name in unwanted {
                self.timers.cancel(&(index, TimerKind::Expiry, name));
            }
            tracked.known.retain(|name| tracked.subscription.wants(name));
        } else if !tracked.subscription.is_wildcard() {
            tracked.known.forget(name);
            self.timers.cancel(&(index, TimerKind::Expiry, name.clone()));
        }
        self.queue_request(index);
    }

    /// Asks the server once more for a name that is subscribed to.
    ///
    /// State of the world: the last request again, as Envoy does when a cluster warms anew; some
    /// servers answer it. Incremental: the name in `resource_names_subscribe`, which every server
    /// must answer; Envoy sends nothing there and relies on the server to push.
    pub fn ask_again(&mut self, type_url: &str, name: &Arc<str>) {
        let Some(&index) = self.by_url.get(type_url) else { return };
        if self.types[index].subscription.ask_again(name) {
            self.queue_request(index);
        }
    }

    /// A new stream is about to be written to: everything wanted is asked for again.
    pub fn on_stream_open(&mut self) {
        self.generation += 1;
        self.is_open = true;
        for index in 0..self.types.len() {
            self.types[index].on_stream_open();
            if !self.types[index].subscription.is_empty() {
                self.queue_request(index);
            }
        }
    }

    /// The stream is gone. Deliveries stay to be answered, but their answers stay here too.
    pub fn on_stream_closed(&mut self) {
        self.is_open = false;
        self.jobs.clear();
        self.outbox.reset();
        for tracked in &mut self.types {
            tracked.on_stream_closed();
        }
    }

    /// Takes a response in: delivers it, holds it, or judges it at once.
    pub fn on_response(&mut self, response: Response, now: Instant) {
        self.stats.set_control_plane(&response.control_plane);
        let Some(&index) = self.by_url.get(&*response.type_url) else {
            warn!(type_url = %response.type_url, "xDS response ignored: nobody asked for its type");
            return;
        };
        for error in &response.server_errors {
            warn!(type_url = %response.type_url, %error, "the control plane cannot deliver a resource");
        }
        if self.types[index].can_deliver() {
            self.deliver(index, response, now);
        } else {
            self.types[index].hold(response);
        }
        self.settle(index, now);
    }

    /// Takes the owner's verdict on a delivery.
    ///
    /// Answers go out in the order of the responses: one that comes early waits for the others.
    pub fn answer(&mut self, ticket: Ticket, verdict: Verdict, now: Instant) {
        let unanswered = &mut self.types[ticket.type_index].unanswered;
        let Some(delivery) = unanswered.iter_mut().find(|it| it.number == ticket.number) else {
            debug!("an answer to a delivery that is settled already");
            return;
        };
        delivery.verdict.get_or_insert(verdict);
        self.settle(ticket.type_index, now);
    }

    /// Fires what is due.
    pub fn on_timeout(&mut self, now: Instant) {
        let mut absent: BTreeMap<_, Vec<_>> = BTreeMap::new();
        while let Some((index, kind, name)) = self.timers.take_due(now) {
            let tracked = &mut self.types[index];
            match kind {
                TimerKind::Expiry => {
                    tracked.known.forget(&name);
                }
                TimerKind::Fetch => {
                    tracked.subscription.resolve(&name);
                    tracked.stats.timed_out();
                }
            }
            absent.entry((index, kind)).or_default().push(name);
        }
        for ((index, kind), names) in absent {
            let type_url = self.types[index].resource_type.type_url().clone();
            let reason = match kind {
                TimerKind::Expiry => Absence::Expired,
                TimerKind::Fetch => Absence::TimedOut,
            };
            self.events.push_back(Event::Absent { type_url, names, reason });
        }
    }

    /// The next request to write, encoded.
    ///
    /// Requests are made as late as possible, so that changes until then go out together.
    pub fn poll_request(&mut self) -> Option<Bytes> {
        self.prepare_request();
        self.outbox.pop()
    }

    /// Makes the next request if none is made yet; whether there is one.
    pub fn prepare_request(&mut self) -> bool {
        while self.outbox.is_empty() {
            match self.jobs.pop_front() {
                Some(Job::Answer { type_index, nonce, error }) => {
                    self.types[type_index].write_answer(nonce, error, &mut self.outbox);
                }
                Some(Job::Request { type_index }) => {
                    self.types[type_index].write_request(self.generation, &mut self.outbox);
                }
                None => return false,
            }
        }
        true
    }

    /// The next event for the owner.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether [`Self::poll_request`] may return something.
    pub fn has_requests(&self) -> bool {
        !self.outbox.is_empty() || !self.jobs.is_empty()
    }

    /// Whether the next response may be read from the stream: no type holds its limit.
    pub fn can_read(&self) -> bool {
        self.types.iter().all(|tracked| tracked.held.len() < MAX_HELD)
    }

    /// When [`Self::on_timeout`] wants to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next_deadline()
    }

    fn index_of(&mut self, resource_type: &ResourceType) -> usize {
        let url = resource_type.type_url();
        if let Some(&index) = self.by_url.get(url) {
            return index;
        }
        let stats = self.stats.register(url);
        self.types.push(Tracked::new(self.protocol, resource_type.clone(), stats));
        self.by_url.insert(url.clone(), self.types.len() - 1);
        self.types.len() - 1
    }

    fn queue_request(&mut self, type_index: usize) {
        let tracked = &mut self.types[type_index];
        if self.is_open && !tracked.request_queued {
            tracked.request_queued = true;
            self.jobs.push_back(Job::Request { type_index });
        }
    }

    /// Concludes what is answered, in order, and delivers what was held for want of room.
    fn settle(&mut self, index: usize, now: Instant) {
        loop {
            let tracked = &mut self.types[index];
            if let Some((delivery, verdict)) = tracked.take_answered() {
                let generation = self.is_open.then_some(self.generation);
                if let Some((nonce, error)) = tracked.conclude(delivery, verdict, generation) {
                    tracked.answers_queued += 1;
                    self.jobs.push_back(Job::Answer { type_index: index, nonce, error });
                }
            } else if tracked.can_deliver()
                && let Some(response) = tracked.held.pop_front()
            {
                self.deliver(index, response, now);
            } else {
                tracked.stats.set_unanswered(tracked.unanswered.len());
                return;
            }
        }
    }

    /// Sorts a response, updates what is known, and tells the owner if there is something to judge.
    fn deliver(&mut self, index: usize, mut response: Response, now: Instant) {
        self.deliveries += 1;
        let tracked = &mut self.types[index];
        let mut delivery = Unanswered {
            number: self.deliveries,
            generation: self.generation,
            nonce: std::mem::take(&mut response.nonce),
            version: response.version.clone(),
            resources: Vec::new(),
            invalid: Vec::new(),
            verdict: None,
        };
        let names: Vec<_> = response.resources.iter().map(|entry| entry.name.clone()).collect();
        let resource_type = &tracked.resource_type;
        let subscription = &tracked.subscription;
        match sort::sort(&mut response, self.protocol, resource_type, subscription, &tracked.known)
        {
            Err(message) => {
                self.resolve(index, names.iter());
                delivery.verdict = Some(Verdict::Refuse(message.clone()));
                let type_url = self.types[index].resource_type.type_url().clone();
                let version = response.version;
                self.events.push_back(Event::Rejected { type_url, version, names, message });
            }
            Ok(sorted) => {
                tracked.stats.count_ignored(sorted.ignored);
                if tracked.subscription.is_empty() || sorted.is_heartbeat() {
                    delivery.verdict = Some(Verdict::Accept);
                }
                self.apply(index, sorted, &mut delivery, now);
            }
        }
        self.types[index].unanswered.push_back(delivery);
    }

    fn apply(&mut self, index: usize, sorted: Sorted, delivery: &mut Unanswered, now: Instant) {
        for entry in sorted.fresh.iter().chain(&sorted.heartbeats) {
            let key = (index, TimerKind::Expiry, entry.name.clone());
            // A time to live beyond the end of the clock is none.
            match entry.ttl.and_then(|ttl| now.checked_add(ttl)) {
                Some(deadline) => self.timers.set(key, deadline),
                None => self.timers.cancel(&key),
            }
        }
        let invalid = sorted.invalid.iter().map(|error| &error.name);
        let fresh = sorted.fresh.iter().map(|entry| &entry.name);
        self.resolve(index, invalid.chain(fresh).chain(&sorted.removed));
        let tracked = &mut self.types[index];
        for name in &sorted.removed {
            tracked.known.forget(name);
            self.timers.cancel(&(index, TimerKind::Expiry, name.clone()));
        }
        let mut resources = Vec::with_capacity(sorted.fresh.len());
        for mut entry in sorted.fresh {
            let body = entry.body.take().unwrap_or_default();
            let hash = tracked.known.hash(&body);
            let change = tracked.known.deliver(&entry, hash, delivery.number);
            delivery.resources.push((entry.name.clone(), entry.version.clone(), hash));
            resources.push(Resource { name: entry.name, version: entry.version, body, change });
        }
        delivery.invalid.clone_from(&sorted.invalid);
        if delivery.verdict.is_none() {
            self.events.push_back(Event::Update(Delivery {
                ticket: Ticket { type_index: index, number: delivery.number },
                type_url: tracked.resource_type.type_url().clone(),
                version: delivery.version.clone(),
                resources,
                removed: sorted.removed,
                invalid: sorted.invalid,
            }));
        }
    }

    /// Notes that something is known about `names`, and about the type as a whole.
    fn resolve<'a>(&mut self, index: usize, names: impl Iterator<Item = &'a Arc<str>>) {
        let wildcard = Arc::from(WILDCARD);
        for name in names.cloned().chain([wildcard]) {
            if self.types[index].subscription.resolve(&name) {
                self.timers.cancel(&(index, TimerKind::Fetch, name));
            }
        }
    }
}
