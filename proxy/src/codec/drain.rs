//! The signal that connections should end gracefully.
//!
//! Two steps, as Envoy drains: first responses announce the end (`connection: close`, GOAWAY) while
//! new requests are still served, then idle connections are closed. One `Rc` per worker; asking costs
//! a load, and an idle connection registers its waker once in its life.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    Announcing,
    Closing,
}

#[derive(Debug)]
struct Shared {
    phase: Cell<Phase>,
    wakers: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

impl Shared {
    fn advance(&self, phase: Phase) {
        if self.phase.get() >= phase {
            return;
        }
        self.phase.set(phase);
        for waker in self.wakers.borrow().iter().flatten() {
            waker.wake_by_ref();
        }
    }
}

/// Starts the drain of the connections that hold a [`Drain`] of the same pair.
#[derive(Debug, Clone)]
pub struct DrainTrigger(Rc<Shared>);

impl DrainTrigger {
    /// From now on every response says that its connection ends.
    pub fn announce(&self) {
        self.0.advance(Phase::Announcing);
    }

    /// Closes connections without a request, now and as soon as they become idle.
    pub fn close_idle(&self) {
        self.0.advance(Phase::Closing);
    }
}

/// A connection's end of the signal. Clone one for each connection.
#[derive(Debug)]
pub struct Drain {
    shared: Rc<Shared>,
    slot: Cell<Option<usize>>,
}

impl Drain {
    /// A pair of a trigger and the signal it gives.
    pub fn new() -> (DrainTrigger, Self) {
        let shared = Rc::new(Shared {
            phase: Cell::new(Phase::Serving),
            wakers: RefCell::default(),
            free: RefCell::default(),
        });
        (DrainTrigger(Rc::clone(&shared)), Self { shared, slot: Cell::new(None) })
    }

    /// True when responses should announce the end of the connection.
    pub fn is_announced(&self) -> bool {
        self.shared.phase.get() != Phase::Serving
    }

    /// True when a connection without a request should be closed.
    pub fn is_closing(&self) -> bool {
        self.shared.phase.get() == Phase::Closing
    }

    /// Ready when the drain was announced. The task is woken at each step of the drain.
    pub fn poll_announced(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_announced() {
            return Poll::Ready(());
        }
        self.register(cx.waker());
        Poll::Pending
    }

    /// Ready when idle connections should close. The task is woken at each step of the drain.
    pub fn poll_closing(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_closing() {
            return Poll::Ready(());
        }
        self.register(cx.waker());
        Poll::Pending
    }

    fn register(&self, waker: &Waker) {
        let mut wakers = self.shared.wakers.borrow_mut();
        let slot = self.slot.get().unwrap_or_else(|| {
            let slot = self.shared.free.borrow_mut().pop().unwrap_or_else(|| {
                wakers.push(None);
                wakers.len() - 1
            });
            self.slot.set(Some(slot));
            slot
        });
        match &mut wakers[slot] {
            Some(known) if known.will_wake(waker) => {}
            other => *other = Some(waker.clone()),
        }
    }
}

impl Clone for Drain {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared), slot: Cell::new(None) }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.shared.wakers.borrow_mut()[slot] = None;
            self.shared.free.borrow_mut().push(slot);
        }
    }
}
