//! A request that waits for a connection, and the queue it stands in.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::cluster as stat;

use super::Lease;
use super::Pool;
use crate::upstream::breaker::Permit;
use crate::upstream::failure::SendFailure;
use crate::upstream::host::Host;

/// First come, first served.
pub(super) type Queue = VecDeque<Rc<Waiter>>;

/// What a waiting request and its pool share.
pub(super) struct Waiter(RefCell<Slot>);

enum Slot {
    Waiting { waker: Option<Waker>, _pending: Pending },
    Done(Result<Lease, SendFailure>),
    Taken,
}

/// One waiting request, counted while it lives.
pub(super) struct Pending {
    host: Arc<Host>,
    stats: Arc<Scope>,
    _permit: Permit,
}

impl Pending {
    pub(super) fn new(pool: &Pool, permit: Permit) -> Self {
        let (host, stats) = (Arc::clone(&pool.host), Arc::clone(pool.stats()));
        stats.inc(stat::UPSTREAM_RQ_PENDING_TOTAL);
        stats.raise(stat::UPSTREAM_RQ_PENDING_ACTIVE);
        host.stats.waiting();
        Self { host, stats, _permit: permit }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.stats.lower(stat::UPSTREAM_RQ_PENDING_ACTIVE);
        self.host.stats.waited();
    }
}

impl Waiter {
    pub(super) fn new(pending: Pending) -> Rc<Self> {
        Rc::new(Self(RefCell::new(Slot::Waiting { waker: None, _pending: pending })))
    }

    /// Ends the wait. From now on it does not count as waiting, though its task has yet to run.
    pub(super) fn resolve(&self, result: Result<Lease, SendFailure>) {
        let before = mem::replace(&mut *self.0.borrow_mut(), Slot::Done(result));
        if let Slot::Waiting { waker: Some(waker), .. } = before {
            waker.wake();
        }
    }
}

/// Waits for what [`Waiter::resolve`] brings. Dropped before, it leaves the queue and gives back what it
/// got in the meantime.
pub(super) struct Wait {
    pub(super) pool: Rc<Pool>,
    pub(super) waiter: Rc<Waiter>,
}

impl Future for Wait {
    type Output = Result<Lease, SendFailure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.waiter.0.borrow_mut();
        match &mut *slot {
            Slot::Waiting { waker: Some(waker), .. } => {
                waker.clone_from(cx.waker());
                Poll::Pending
            }
            Slot::Waiting { waker, .. } => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Slot::Done(_) | Slot::Taken => match mem::replace(&mut *slot, Slot::Taken) {
                Slot::Done(result) => Poll::Ready(result),
                Slot::Waiting { .. } | Slot::Taken => Poll::Pending,
            },
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let slot = mem::replace(&mut *self.waiter.0.borrow_mut(), Slot::Taken);
        match slot {
            Slot::Done(Ok(lease)) => lease.put_back(),
            Slot::Waiting { .. } => {
                self.pool.stats().inc(stat::UPSTREAM_RQ_CANCELLED);
                self.pool.leave_queue(&self.waiter);
            }
            Slot::Done(Err(_)) | Slot::Taken => {}
        }
    }
}
