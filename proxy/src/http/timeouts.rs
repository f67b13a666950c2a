//! The time limits of one stream, watched by one timer.
//!
//! The timer is registered only when the stream really waits; a request that is answered at once pays for
//! a few comparisons. A stream that ends hands its timer, still registered, on to the next of its connection:
//! it fires too early then, finds that the deadline is a later one, and is set again. So a connection under
//! load registers a timer once in a while and not for every request.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use http::HeaderMap;
use palanquin_config::ir::route::ForwardAction;
use palanquin_config::ir::route::RouteLimit;
use tokio::time::Sleep;

use crate::upstream::attempt::grpc_timeout;
use crate::upstream::attempt::set_grpc_timeout;

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    /// Nothing happened on the stream (`stream_idle_timeout`).
    Idle,
    /// The stream as a whole (`max_stream_duration`).
    MaxDuration,
    /// The request did not arrive completely (`request_timeout`).
    Request,
    /// The upstream did not answer completely (`RouteAction.timeout`).
    Response,
}

/// How long a stream of this route may take; `None` when the connection manager's limit stays. If that comes
/// from `grpc-timeout`, the header tells the next hop the same limit. Envoy's `refreshDurationTimeout`, which looks at the
/// header and not at whether the request is gRPC.
pub(crate) fn stream_duration(
    action: &ForwardAction,
    headers: &mut HeaderMap,
) -> Option<RouteLimit> {
    if action.grpc_timeout_header_max.is_none() && action.max_stream_duration.is_none() {
        return None;
    }
    let asked = action.grpc_timeout_header_max.and_then(|max| {
        let asked = grpc_timeout(headers)?;
        Some(if max.is_zero() { asked } else { asked.min(max) })
    });
    let Some(asked) = asked else { return action.max_stream_duration };
    let offset = action.grpc_timeout_header_offset.filter(|offset| *offset < asked);
    let limit = asked.saturating_sub(offset.unwrap_or(Duration::ZERO));
    set_grpc_timeout(headers, limit);
    Some(Some(limit))
}

/// The limits of a stream and what runs of them.
#[derive(Debug)]
pub(crate) struct Timeouts {
    idle: Option<Duration>,
    last_event: Instant,
    max_duration: Option<Instant>,
    request: Option<Instant>,
    response: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
    spare: Rc<SpareTimers>,
}

/// Timers of one connection that no stream uses now. Each may fire at any time and wake whoever used it last, who
/// finds nothing to do.
#[derive(Debug, Default)]
pub(crate) struct SpareTimers(RefCell<Vec<Pin<Box<Sleep>>>>);

impl SpareTimers {
    /// More than are kept are dropped: the streams of a busy HTTP/2 connection at a time.
    const KEPT: usize = 32;

    fn take(&self) -> Option<Pin<Box<Sleep>>> {
        self.0.borrow_mut().pop()
    }

    fn put(&self, sleep: Pin<Box<Sleep>>) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < Self::KEPT {
            kept.push(sleep);
        }
    }
}

impl Timeouts {
    /// The limits at the first moment of a stream; each `None` is no limit.
    pub(crate) fn start(
        now: Instant,
        idle: Option<Duration>,
        max_duration: Option<Duration>,
        request: Option<Duration>,
        spare: &Rc<SpareTimers>,
    ) -> Self {
        Self {
            idle,
            last_event: now,
            max_duration: max_duration.map(|limit| now + limit),
            request: request.map(|limit| now + limit),
            response: None,
            sleep: None,
            spare: Rc::clone(spare),
        }
    }

    /// The route's own limits replace the connection manager's.
    pub(crate) fn override_by_route(
        &mut self,
        start: Instant,
        idle: Option<RouteLimit>,
        max_duration: Option<RouteLimit>,
    ) {
        if let Some(idle) = idle {
            self.idle = idle;
        }
        if let Some(limit) = max_duration {
            self.max_duration = limit.map(|limit| start + limit);
        }
    }

    /// Something was received or sent.
    pub(crate) fn event(&mut self) {
        if self.idle.is_some() {
            self.last_event = Instant::now();
        }
    }

    /// The request is complete.
    pub(crate) fn request_complete(&mut self) {
        self.request = None;
    }

    /// The response must be complete by then.
    pub(crate) fn set_response_deadline(&mut self, deadline: Option<Instant>) {
        self.response = deadline;
    }

    /// Ready when a limit is reached. To be polled when the stream has nothing else to do.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        loop {
            let Some((deadline, expired)) = self.next() else { return Poll::Pending };
            let deadline = tokio::time::Instant::from_std(deadline);
            let sleep = self.sleep.get_or_insert_with(|| {
                let spare = self.spare.take();
                spare.unwrap_or_else(|| Box::pin(tokio::time::sleep_until(deadline)))
            });
            // An event moved the idle limit, or the timer is another stream's: it may fire early and is then
            // set again, which is cheaper than moving it with every event.
            if sleep.deadline() > deadline {
                sleep.as_mut().reset(deadline);
            }
            std::task::ready!(sleep.as_mut().poll(cx));
            if deadline <= sleep.deadline() {
                return Poll::Ready(expired);
            }
            sleep.as_mut().reset(deadline);
        }
    }

    fn next(&self) -> Option<(Instant, Expired)> {
        [
            (self.response, Expired::Response),
            (self.request, Expired::Request),
            (self.max_duration, Expired::MaxDuration),
            (self.idle.map(|idle| self.last_event + idle), Expired::Idle),
        ]
        .into_iter()
        .filter_map(|(deadline, expired)| Some((deadline?, expired)))
        .min_by_key(|(deadline, _)| *deadline)
    }
}

impl Drop for Timeouts {
    fn drop(&mut self) {
        if let Some(sleep) = self.sleep.take() {
            self.spare.put(sleep);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn start(now: Instant, idle: Option<Duration>) -> Timeouts {
        Timeouts::start(now, idle, None, None, &Rc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_limit_is_reached_first() {
        let now = tokio::time::Instant::now().into_std();
        let hour = Some(Duration::from_hours(1));
        let mut timeouts = Timeouts::start(now, hour, hour, None, &Rc::default());
        timeouts.set_response_deadline(Some(now + Duration::from_secs(15)));
        assert_eq!(poll_fn(|cx| timeouts.poll(cx)).await, Expired::Response);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_was_brought_forward_counts() {
        let now = tokio::time::Instant::now().into_std();
        let mut timeouts = start(now, Some(Duration::from_mins(5)));
        assert!(poll_fn(|cx| Poll::Ready(timeouts.poll(cx))).await.is_pending());
        timeouts.set_response_deadline(Some(now + Duration::from_secs(1)));
        assert_eq!(poll_fn(|cx| timeouts.poll(cx)).await, Expired::Response);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_of_an_earlier_stream_does_not_shorten_the_limit() {
        let spare = Rc::default();
        let begun = tokio::time::Instant::now();
        let limit = Duration::from_secs(15);
        for pause in [Duration::ZERO, Duration::from_secs(5), Duration::from_mins(1)] {
            tokio::time::sleep(pause).await;
            let now = tokio::time::Instant::now().into_std();
            let mut timeouts = Timeouts::start(now, Some(limit), None, None, &spare);
            assert!(poll_fn(|cx| Poll::Ready(timeouts.poll(cx))).await.is_pending());
        }
        let now = tokio::time::Instant::now();
        let mut timeouts = Timeouts::start(now.into_std(), Some(limit), None, None, &spare);
        assert_eq!(poll_fn(|cx| timeouts.poll(cx)).await, Expired::Idle);
        assert_eq!(now.elapsed(), limit);
        assert_eq!(begun.elapsed(), Duration::from_secs(80));
        drop(timeouts);
        assert_eq!(spare.0.borrow().len(), 1);
    }
}
