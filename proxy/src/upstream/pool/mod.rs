//! The connections of one worker to one host, for requests of one priority and protocol.
//!
//! Envoy's `ConnPoolImplBase`: a request takes a connection that is free; otherwise it waits, and as many
//! connections are made as there are requests waiting, as far as the breaker allows. A pool without any
//! connection may always make one, so that nothing waits for ever on other pools' connections. Connections
//! are made by tasks of their own: a request that goes away does not stop one, and takes the first that is
//! ready, whoever it was made for.
//!
//! No reference to the pool's state is held while a connection is dropped: its [`record::Record`] comes
//! back to the pool on drop.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::Response;
use http::Version;

use palanquin_config::ir::cluster::UpstreamProtocol;
use palanquin_filter_api::Body;
use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::cluster as stat;

mod dial;
mod h1;
mod h2;
mod record;
#[cfg(test)]
mod tests;
mod waiter;

use super::breaker::LocalBreaker;
use super::breaker::Permit;
use super::breaker::Resource;
use super::failure::SendFailure;
use super::host::Host;
use super::local::Shared;
use crate::codec::Outgoing;
use dial::Made;
use h1::Exclusive;
use h1::Idle;
use h2::Multiplexed;
use h2::StreamSlot;
use record::End;
use record::InFlight;
use record::Record;
use waiter::Pending;
use waiter::Queue;
use waiter::Wait;
use waiter::Waiter;

pub use record::ConnectionFacts;

/// The head of a response, its body to follow, and where it came from.
#[derive(Debug)]
pub struct Sent {
    /// The response. Its body holds the connection until it ends or is dropped.
    pub response: Response<Body>,
    /// The connection it came on.
    pub connection: ConnectionFacts,
}

/// A pool.
pub(super) struct Pool {
    pub(super) shared: Rc<Shared>,
    pub(super) host: Arc<Host>,
    breaker: LocalBreaker,
    speaks: Cell<Speaks>,
    alpn: bool,
    /// Connections that live, in use or being made included.
    pub(super) open: Cell<u32>,
    state: RefCell<State>,
}

/// What a new connection is expected to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Http1,
    Http2,
}

#[derive(Default)]
struct State {
    idle: Vec<Idle>,
    shared: Vec<Rc<Multiplexed>>,
    queue: Queue,
    /// Requests that the connections being made will be able to take.
    coming: u64,
    is_draining: bool,
}

/// The right to send one request on a connection.
pub(super) struct Lease {
    connection: Connection,
    in_flight: InFlight,
}

enum Connection {
    Exclusive(Exclusive),
    Stream(StreamSlot),
}

impl Pool {
    pub(super) fn new(
        shared: Rc<Shared>,
        host: Arc<Host>,
        breaker: LocalBreaker,
        protocol: UpstreamProtocol,
    ) -> Rc<Self> {
        let speaks = match protocol {
            UpstreamProtocol::Http1 | UpstreamProtocol::Downstream => Speaks::Http1,
            // Until the first handshake tells, as Envoy: one connection may serve many requests.
            UpstreamProtocol::Http2 | UpstreamProtocol::Alpn => Speaks::Http2,
        };
        Rc::new(Self {
            shared,
            host,
            breaker,
            speaks: Cell::new(speaks),
            alpn: protocol == UpstreamProtocol::Alpn,
            open: Cell::new(0),
            state: RefCell::default(),
        })
    }

    /// Sends a request on a connection of the pool.
    ///
    /// # Errors
    /// No connection, or no response head. An error in the response's body is told by the body.
    pub(super) async fn send(self: &Rc<Self>, request: &mut Outgoing) -> Result<Sent, SendFailure> {
        let lease = match self.take_free() {
            Some(ready) => self.attach(ready).map_err(|(failure, connection)| {
                self.put_back(connection);
                failure
            })?,
            None => self.wait()?.await?,
        };
        let Lease { connection, in_flight } = lease;
        match connection {
            Connection::Exclusive(connection) => connection.send(request, in_flight).await,
            Connection::Stream(slot) => slot.send(request, in_flight).await,
        }
    }

    /// Closes what is idle now, and the rest as it becomes free: the host is gone.
    pub(super) fn drain(&self) {
        let (idle, shared) = {
            let mut state = self.state.borrow_mut();
            state.is_draining = true;
            (std::mem::take(&mut state.idle), std::mem::take(&mut state.shared))
        };
        drop((idle, shared));
    }

    /// Closes connections that were idle or lived too long, or that the peer closed. True while there is
    /// something to look after.
    pub(super) fn sweep(&self, now: Instant) -> bool {
        let mut idle = std::mem::take(&mut self.state.borrow_mut().idle);
        let expired = h1::expired(self, &mut idle, now);
        drop(expired);
        let gone = {
            let mut state = self.state.borrow_mut();
            // Nothing ran in between that could have given one back: closing starts no request.
            idle.append(&mut state.idle);
            state.idle = idle;
            let settings = &self.shared.cluster.config;
            state
                .shared
                .extract_if(.., |entry| {
                    let is_idle = entry.idle_since().is_some_and(|since| {
                        let waited = now.saturating_duration_since(since);
                        settings.idle_timeout.is_some_and(|limit| waited >= limit)
                    });
                    if is_idle {
                        self.stats().inc(stat::UPSTREAM_CX_IDLE_TIMEOUT);
                    }
                    is_idle || self.is_finished(entry, Some(now))
                })
                .collect::<Vec<_>>()
        };
        drop(gone);
        let state = self.state.borrow();
        !state.idle.is_empty() || !state.shared.is_empty()
    }

    pub(super) fn stats(&self) -> &Arc<Scope> {
        self.shared.cluster.stats()
    }

    /// A connection that can take a request at once: the one used last.
    fn take_free(&self) -> Option<Connection> {
        loop {
            let popped = self.state.borrow_mut().idle.pop();
            let Some(Idle { mut connection, .. }) = popped else { break };
            if connection.is_usable() {
                return Some(Connection::Exclusive(connection));
            }
        }
        loop {
            let first = self.state.borrow().shared.iter().find(|c| c.has_room()).cloned()?;
            if !self.is_finished(&first, None) {
                return Some(Connection::Stream(first.reserve()));
            }
            self.state.borrow_mut().shared.retain(|other| !Rc::ptr_eq(other, &first));
        }
    }

    /// Makes a free connection the request's, if the breaker allows one more request.
    fn attach(self: &Rc<Self>, connection: Connection) -> Result<Lease, (SendFailure, Connection)> {
        let Some(permit) = self.breaker.try_acquire(Resource::Requests) else {
            self.stats().inc(stat::UPSTREAM_RQ_ACTIVE_OVERFLOW);
            return Err((SendFailure::Overflow, connection));
        };
        let record = connection.record();
        if Some(record.begin_request()) == self.shared.cluster.config.max_requests_per_connection {
            self.stats().inc(stat::UPSTREAM_CX_MAX_REQUESTS);
        }
        let in_flight = InFlight::new(self, record, permit);
        Ok(Lease { connection, in_flight })
    }

    /// Joins the queue.
    fn wait(self: &Rc<Self>) -> Result<Wait, SendFailure> {
        let Some(permit) = self.breaker.try_acquire(Resource::Pending) else {
            self.stats().inc(stat::UPSTREAM_RQ_PENDING_OVERFLOW);
            return Err(SendFailure::Overflow);
        };
        let waiter = Waiter::new(Pending::new(self, permit));
        self.state.borrow_mut().queue.push_back(Rc::clone(&waiter));
        self.connect_as_needed();
        Ok(Wait { pool: Rc::clone(self), waiter })
    }

    fn leave_queue(&self, waiter: &Rc<Waiter>) {
        self.state.borrow_mut().queue.retain(|other| !Rc::ptr_eq(other, waiter));
    }

    /// Serves the requests that wait with what is free.
    fn serve_queue(self: &Rc<Self>) {
        loop {
            if self.state.borrow().queue.is_empty() {
                return;
            }
            let Some(free) = self.take_free() else { return };
            let next = self.state.borrow_mut().queue.pop_front();
            let Some(waiter) = next else { return self.put_back(free) };
            match self.attach(free) {
                Ok(lease) => waiter.resolve(Ok(lease)),
                Err((failure, free)) => {
                    waiter.resolve(Err(failure));
                    self.put_back(free);
                }
            }
        }
    }

    /// Makes connections until as many requests can be taken as wait (`tryCreateNewConnections`).
    fn connect_as_needed(self: &Rc<Self>) {
        // Envoy's bound on connections made for one event.
        for _ in 0..3 {
            {
                let state = self.state.borrow();
                if state.queue.len() as u64 <= state.coming {
                    return;
                }
            }
            let (permit, is_last) =
                if let Some(permit) = self.breaker.try_acquire(Resource::Connections) {
                    (permit, false)
                } else {
                    self.stats().inc(stat::UPSTREAM_CX_OVERFLOW);
                    if self.open.get() > 0 {
                        return;
                    }
                    (self.breaker.acquire(Resource::Connections), true)
                };
            self.connect(permit);
            if is_last {
                return;
            }
        }
    }

    fn connect(self: &Rc<Self>, permit: Permit) {
        let record = Record::new(self, permit, Instant::now());
        let capacity = match self.speaks.get() {
            Speaks::Http1 => 1,
            Speaks::Http2 => u64::from(self.stream_limit()),
        };
        self.state.borrow_mut().coming += capacity;
        let pool = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let result = dial::connect(&pool, &record).await;
            pool.state.borrow_mut().coming -= capacity;
            match result {
                Ok(made) => pool.connected(made, record),
                Err(failure) => pool.connect_failed(failure, record),
            }
        });
    }

    fn connected(self: &Rc<Self>, made: Made, record: Rc<Record>) {
        let now = Instant::now();
        self.stats().record(stat::UPSTREAM_CX_CONNECT_MS, record.age(now));
        match made {
            Made::Http1(connection) => {
                self.speaks.set(Speaks::Http1);
                self.give_back(Exclusive { connection, record });
            }
            Made::Http2(connection) => {
                self.speaks.set(Speaks::Http2);
                let entry = Multiplexed::new(connection, record, self.stream_limit(), now);
                self.state.borrow_mut().shared.push(entry);
                self.serve_queue();
                self.keep_or_close();
            }
        }
        self.connect_as_needed();
    }

    /// Every request that waits fails with the connection: whoever retries picks another host.
    fn connect_failed(self: &Rc<Self>, failure: SendFailure, record: Rc<Record>) {
        self.stats().inc(stat::UPSTREAM_CX_CONNECT_FAIL);
        self.host.stats.connect_failed();
        if failure == SendFailure::ConnectTimeout {
            self.stats().inc(stat::UPSTREAM_CX_CONNECT_TIMEOUT);
        } else {
            record.ends(End::Remote);
        }
        let queue = std::mem::take(&mut self.state.borrow_mut().queue);
        for waiter in queue {
            self.stats().inc(stat::UPSTREAM_RQ_PENDING_FAILURE_EJECT);
            waiter.resolve(Err(failure.clone()));
        }
        drop(record);
    }

    /// A connection is free: the next request that waits gets it, or it waits for one.
    fn give_back(self: &Rc<Self>, connection: Exclusive) {
        let now = Instant::now();
        if self.is_worn_out(&connection.record, now) {
            return;
        }
        self.state.borrow_mut().idle.push(Idle { connection, since: now });
        self.serve_queue();
        self.keep_or_close();
    }

    /// What is free now is looked after, unless the pool is draining.
    fn keep_or_close(&self) {
        let is_draining = self.state.borrow().is_draining;
        if is_draining { self.drain() } else { self.shared.look_after() }
    }

    fn put_back(self: &Rc<Self>, connection: Connection) {
        match connection {
            Connection::Exclusive(connection) => {
                let now = Instant::now();
                self.state.borrow_mut().idle.push(Idle { connection, since: now });
            }
            Connection::Stream(slot) => drop(slot),
        }
    }

    /// A request is over: there may be room on its connection.
    fn request_over(self: &Rc<Self>) {
        if self.speaks.get() == Speaks::Http2 && !self.state.borrow().queue.is_empty() {
            self.serve_queue();
            self.connect_as_needed();
        }
    }

    /// A connection is gone: who waits may need another.
    fn connection_closed(self: &Rc<Self>) {
        self.connect_as_needed();
    }

    /// True when a connection served enough requests, or long enough.
    fn is_worn_out(&self, record: &Record, now: Instant) -> bool {
        let settings = &self.shared.cluster.config;
        settings.max_requests_per_connection.is_some_and(|limit| record.requests() >= limit)
            || settings.max_connection_duration.is_some_and(|limit| record.age(now) >= limit)
    }

    /// True when a shared connection takes no new streams for good.
    /// The clock is read only where its time matters.
    fn is_finished(&self, connection: &Multiplexed, now: Option<Instant>) -> bool {
        if !connection.is_open() {
            connection.record.ends(End::Remote);
            return true;
        }
        let settings = &self.shared.cluster.config;
        let is_limited = settings.max_requests_per_connection.is_some()
            || settings.max_connection_duration.is_some();
        is_limited && self.is_worn_out(&connection.record, now.unwrap_or_else(Instant::now))
    }

    fn stream_limit(&self) -> u32 {
        self.shared.cluster.config.http2.max_concurrent_streams.max(1)
    }
}

impl Connection {
    fn record(&self) -> &Rc<Record> {
        match self {
            Self::Exclusive(connection) => &connection.record,
            Self::Stream(slot) => slot.record(),
        }
    }
}

impl Lease {
    /// Gives the connection back unused: its request went away.
    fn put_back(self) {
        let Self { connection, in_flight } = self;
        let pool = Rc::clone(in_flight.pool());
        drop(in_flight);
        match connection {
            Connection::Exclusive(connection) => pool.give_back(connection),
            Connection::Stream(slot) => {
                drop(slot);
                pool.request_over();
            }
        }
    }
}

/// The key of a pool at a host.
pub(super) fn protocol_of(protocol: UpstreamProtocol, request: Version) -> UpstreamProtocol {
    match protocol {
        UpstreamProtocol::Downstream if request >= Version::HTTP_2 => UpstreamProtocol::Http2,
        UpstreamProtocol::Downstream => UpstreamProtocol::Http1,
        fixed => fixed,
    }
}
