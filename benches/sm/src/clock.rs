//! CPU time of this thread.

use std::time::Duration;

use rustix::time::ClockId;
use rustix::time::clock_gettime;

/// How long this thread has run.
pub(crate) fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // The kernel's own count: neither part is negative.
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Runs something and adds what it took.
pub(crate) fn timed<T>(spent: &mut Duration, work: impl FnOnce() -> T) -> T {
    let begun = now();
    let result = work();
    *spent += now().saturating_sub(begun);
    result
}
