//! `Expect: 100-continue` that the upstream answers (`proxy_100_continue`).
//!
//! By default a codec sends `100 Continue` itself and the expectation goes no further. With the option
//! the expectation is passed on, and this signal carries the upstream's 100 back: raised by the upstream
//! codec while the service's future is polled, looked at by the downstream codec after each such poll.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// Request extension: the client waits for `100 Continue`. Never leaves its worker; atomic only because
/// extensions must be `Send`.
#[derive(Debug, Clone, Default)]
pub struct ContinueSignal(Arc<AtomicBool>);

impl ContinueSignal {
    /// The upstream wants the body.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True once after it was raised.
    pub(crate) fn take(&self) -> bool {
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

/// True for the one expectation there is (RFC 9110 §10.1.1).
pub(crate) fn is_continue(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"100-continue")
}
