//! HTTP/1 connections: one request at a time, the last one used is the first used again.

use std::rc::Rc;
use std::task::Context;
use std::task::Waker;
use std::time::Instant;

use palanquin_filter_api::stats::cluster as stat;
use palanquin_tls::Transport;

use super::Pool;
use super::Sent;
use super::record::End;
use super::record::InFlight;
use super::record::Record;
use crate::codec::Outgoing;
use crate::codec::SendErrorKind;
use crate::codec::h1::ClientConn;
use crate::codec::h1::Recycle;
use crate::upstream::failure::SendFailure;

/// A connection and what is counted of it.
pub(super) struct Exclusive {
    pub(super) connection: Box<ClientConn<Transport>>,
    pub(super) record: Rc<Record>,
}

/// A connection without a request.
pub(super) struct Idle {
    pub(super) connection: Exclusive,
    pub(super) since: Instant,
}

impl Exclusive {
    /// False when the peer closed it or said something unasked. Nobody is woken by it later.
    pub(super) fn is_usable(&mut self) -> bool {
        let usable = self.connection.is_usable(&mut Context::from_waker(Waker::noop()));
        if !usable {
            self.record.ends(End::Remote);
        }
        usable
    }

    /// Sends a request. The connection comes back to its pool at the end of the response.
    pub(super) async fn send(
        self,
        request: &mut Outgoing,
        in_flight: InFlight,
    ) -> Result<Sent, SendFailure> {
        let Self { connection, record } = self;
        let pool = Rc::clone(in_flight.pool());
        // Held until the outcome is known, so that the end of the connection is counted as what it was.
        record.set_cut_off(true);
        let recycle = Return { in_flight };
        match connection.send(request, recycle).await {
            Ok(response) => {
                record.set_cut_off(false);
                Ok(Sent { response, connection: record.facts() })
            }
            Err(error) => {
                match &error.kind {
                    SendErrorKind::Closed | SendErrorKind::Reset => record.ends(End::Remote),
                    SendErrorKind::Protocol(_) => {
                        pool.stats().inc(stat::UPSTREAM_CX_PROTOCOL_ERROR);
                    }
                    SendErrorKind::Refused | SendErrorKind::RequestBody(_) => {}
                }
                // On HTTP/1 a reset is the end of the connection: Envoy makes no difference.
                Err(match SendFailure::from(error) {
                    SendFailure::Reset { reused, bytes_sent } => {
                        SendFailure::Terminated { reused, bytes_sent }
                    }
                    other => other,
                })
            }
        }
    }
}

/// Ends a request: dropped with the connection, or handed it back for the next one.
struct Return {
    in_flight: InFlight,
}

impl Recycle<Transport> for Return {
    fn recycle(self, connection: Box<ClientConn<Transport>>) {
        let Self { in_flight } = self;
        let record = Rc::clone(in_flight.record());
        let pool = Rc::clone(in_flight.pool());
        record.set_cut_off(false);
        drop(in_flight);
        pool.give_back(Exclusive { connection, record });
    }
}

/// Takes out of `idle` what must be closed: gone, idle since before `idle_since`, or too old by `is_old`.
pub(super) fn expired(pool: &Pool, idle: &mut Vec<Idle>, now: Instant) -> Vec<Idle> {
    let settings = &pool.shared.cluster.config;
    idle.extract_if(.., |entry| {
        let waited = now.saturating_duration_since(entry.since);
        if settings.idle_timeout.is_some_and(|limit| waited >= limit) {
            pool.stats().inc(stat::UPSTREAM_CX_IDLE_TIMEOUT);
            return true;
        }
        pool.is_worn_out(&entry.connection.record, now) || !entry.connection.is_usable()
    })
    .collect()
}
