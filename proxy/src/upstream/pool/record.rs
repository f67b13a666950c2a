//! What is counted of one connection from the decision to make it until it is gone, and of one request
//! on it. Everything is given back on drop, so a cancelled task leaks nothing.

use std::cell::Cell;
use std::cell::OnceCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::rc::Weak;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use http::Version;

use palanquin_filter_api::TlsInfo;
use palanquin_filter_api::stats::cluster as stat;

use super::Pool;
use crate::codec::Meter;
use crate::upstream::breaker::Permit;
use crate::upstream::host::Host;
use crate::upstream::local::Shared;

/// The facts of an upstream connection, for logs and spans.
#[derive(Debug, Clone)]
pub struct ConnectionFacts {
    /// Our address; `None` on a Unix socket.
    pub local: Option<SocketAddr>,
    /// What is spoken.
    pub protocol: Version,
    /// What the TLS handshake established.
    pub tls: Option<Arc<TlsInfo>>,
}

/// One connection, counted while it lives.
pub(super) struct Record {
    pool: Weak<Pool>,
    shared: Rc<Shared>,
    host: Arc<Host>,
    opened: Instant,
    facts: OnceCell<ConnectionFacts>,
    meter: OnceCell<Rc<Meter>>,
    requests: Cell<u32>,
    cut_off: Cell<bool>,
    end: Cell<End>,
    permit: Option<Permit>,
}

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Local,
    Remote,
}

impl Record {
    /// Counts a connection from now on.
    pub(super) fn new(pool: &Rc<Pool>, permit: Permit, now: Instant) -> Rc<Self> {
        let stats = pool.stats();
        stats.inc(stat::UPSTREAM_CX_TOTAL);
        stats.raise(stat::UPSTREAM_CX_ACTIVE);
        pool.host.stats.connecting();
        pool.open.set(pool.open.get() + 1);
        Rc::new(Self {
            pool: Rc::downgrade(pool),
            shared: Rc::clone(&pool.shared),
            host: Arc::clone(&pool.host),
            opened: now,
            facts: OnceCell::new(),
            meter: OnceCell::new(),
            requests: Cell::new(0),
            cut_off: Cell::new(false),
            end: Cell::new(End::Local),
            permit: Some(permit),
        })
    }

    /// Says that the connection was made.
    pub(super) fn connected(&self, facts: ConnectionFacts, meter: Option<Rc<Meter>>) {
        // Called once, by the task that dialed.
        drop(self.facts.set(facts));
        if let Some(meter) = meter {
            drop(self.meter.set(meter));
        }
    }

    /// The facts; only asked for once connected.
    pub(super) fn facts(&self) -> ConnectionFacts {
        self.facts.get().cloned().unwrap_or(ConnectionFacts {
            local: None,
            protocol: Version::HTTP_11,
            tls: None,
        })
    }

    /// Says who ends it; we do unless told otherwise.
    pub(super) fn ends(&self, end: End) {
        self.end.set(end);
    }

    /// Counts a request and tells how many there were.
    pub(super) fn begin_request(&self) -> u32 {
        self.requests.set(self.requests.get() + 1);
        self.requests.get()
    }

    /// Says whether it would end in the middle of a request: true from sending it to the response's head.
    pub(super) fn set_cut_off(&self, cut_off: bool) {
        self.cut_off.set(cut_off);
    }

    /// Counts the bytes of a request that is over.
    fn end_request(&self, pool: &Pool) {
        if let Some(meter) = self.meter.get() {
            pool.stats().add(stat::UPSTREAM_CX_RX_BYTES_TOTAL, meter.received.get());
            pool.stats().add(stat::UPSTREAM_CX_TX_BYTES_TOTAL, meter.sent.get());
        }
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> u32 {
        self.requests.get()
    }

    /// How long it has been open, or being made.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.opened)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Given back before the pool hears of it: it may need the permit for a new connection.
        drop(self.permit.take());
        self.host.stats.disconnected();
        let stats = self.shared.cluster.stats();
        stats.lower(stat::UPSTREAM_CX_ACTIVE);
        stats.inc(stat::UPSTREAM_CX_DESTROY);
        let (side, side_with_request) = match self.end.get() {
            End::Local => {
                (stat::UPSTREAM_CX_DESTROY_LOCAL, stat::UPSTREAM_CX_DESTROY_LOCAL_WITH_ACTIVE_RQ)
            }
            End::Remote => {
                (stat::UPSTREAM_CX_DESTROY_REMOTE, stat::UPSTREAM_CX_DESTROY_REMOTE_WITH_ACTIVE_RQ)
            }
        };
        stats.inc(side);
        if self.cut_off.get() {
            stats.inc(stat::UPSTREAM_CX_DESTROY_WITH_ACTIVE_RQ);
            stats.inc(side_with_request);
        }
        stats.record(stat::UPSTREAM_CX_LENGTH_MS, self.age(Instant::now()));
        // Histograms count milliseconds: here one is one request.
        let requests = Duration::from_millis(self.requests.get().into());
        stats.record(stat::UPSTREAM_RQ_PER_CX, requests);
        if let Some(pool) = self.pool.upgrade() {
            pool.open.set(pool.open.get() - 1);
            pool.connection_closed();
        }
    }
}

/// One request in flight, counted while it lives.
pub(super) struct InFlight {
    pool: Rc<Pool>,
    record: Rc<Record>,
    permit: Option<Permit>,
}

impl InFlight {
    pub(super) fn new(pool: &Rc<Pool>, record: &Rc<Record>, permit: Permit) -> Self {
        pool.stats().inc(stat::UPSTREAM_RQ_TOTAL);
        pool.stats().raise(stat::UPSTREAM_RQ_ACTIVE);
        pool.host.stats.request_begun();
        Self { pool: Rc::clone(pool), record: Rc::clone(record), permit: Some(permit) }
    }

    pub(super) fn record(&self) -> &Rc<Record> {
        &self.record
    }

    pub(super) fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.pool.stats().lower(stat::UPSTREAM_RQ_ACTIVE);
        self.pool.host.stats.request_over();
        self.record.end_request(&self.pool);
        drop(self.permit.take());
        self.pool.request_over();
    }
}
