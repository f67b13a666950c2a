//! The filters of one route, in order.

use std::sync::Arc;

use http::Request;
use http::Response;

use crate::Body;
use crate::Flow;
use crate::HttpFilter;
use crate::LocalReply;
use crate::StreamCx;

/// The chain of one route: positions as configured, `None` where the route disabled the filter, so that
/// positions stay aligned between the routes of one connection manager.
#[derive(Debug, Clone, Default)]
pub struct FilterChain(Arc<[Option<Arc<dyn HttpFilter>>]>);

impl FilterChain {
    /// A chain of `filters` in configured order.
    pub fn new(filters: Vec<Option<Arc<dyn HttpFilter>>>) -> Self {
        Self(filters.into())
    }

    /// True when no filter runs.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Runs the request hooks in order. `Err` is the answer of the filter that stopped the request.
    pub async fn on_request(
        &self,
        request: &mut Request<Body>,
        cx: &mut StreamCx,
    ) -> Result<(), Box<LocalReply>> {
        for (position, filter) in self.filters() {
            cx.enter(position);
            match filter.on_request(request, cx) {
                Flow::Continue => {}
                flow => settle(flow).await?,
            }
        }
        Ok(())
    }

    /// Runs the response hooks in reverse order. `Err` is an answer that replaces the response; the
    /// hooks of the remaining filters do not run again for it.
    pub async fn on_response(
        &self,
        response: &mut Response<Body>,
        cx: &mut StreamCx,
    ) -> Result<(), Box<LocalReply>> {
        for (position, filter) in self.filters().rev() {
            cx.enter(position);
            match filter.on_response(response, cx) {
                Flow::Continue => {}
                flow => settle(flow).await?,
            }
        }
        Ok(())
    }

    /// Tells every filter that the exchange is over, and drops their state.
    pub fn on_complete(&self, cx: &mut StreamCx) {
        for (position, filter) in self.filters() {
            cx.enter(position);
            filter.on_complete(cx);
        }
        cx.release();
    }

    fn filters(&self) -> impl DoubleEndedIterator<Item = (u16, &Arc<dyn HttpFilter>)> {
        self.0.iter().enumerate().filter_map(|(position, filter)| {
            Some((u16::try_from(position).ok()?, filter.as_ref()?))
        })
    }
}

async fn settle(mut flow: Flow<'_>) -> Result<(), Box<LocalReply>> {
    loop {
        match flow {
            Flow::Continue => return Ok(()),
            Flow::Respond(reply) => return Err(reply),
            Flow::Wait(future) => flow = future.await,
        }
    }
}
