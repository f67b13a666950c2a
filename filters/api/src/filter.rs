//! The trait a filter implements.

use std::fmt;
use std::fmt::Debug;

use futures_util::future::LocalBoxFuture;
use http::Request;
use http::Response;

use crate::Body;
use crate::LocalReply;
use crate::StreamCx;

/// One configured HTTP filter. Shared by all workers; per-request state goes into [`StreamCx::put`].
///
/// Hooks run in chain order for requests and in reverse for responses. They must not block. A hook
/// that needs I/O returns [`Flow::Wait`]; its future may borrow the message until it completes.
pub trait HttpFilter: Debug + Send + Sync + 'static {
    /// Called once when the request head arrived and its route is known. To watch or change the body,
    /// wrap it: `*request.body_mut() = Body::from_stream(..)`.
    fn on_request<'a>(&'a self, request: &'a mut Request<Body>, cx: &'a mut StreamCx) -> Flow<'a> {
        let _ = (request, cx);
        Flow::Continue
    }

    /// Called once with the response head, upstream's or the proxy's own.
    ///
    /// As in Envoy, a local reply passes *every* filter's response hook, also of filters that the
    /// request did not reach; a hook that needs its request half finds no state in [`StreamCx::get`].
    fn on_response<'a>(
        &'a self,
        response: &'a mut Response<Body>,
        cx: &'a mut StreamCx,
    ) -> Flow<'a> {
        let _ = (response, cx);
        Flow::Continue
    }

    /// Called exactly once when the exchange is over, also when the client went away.
    fn on_complete(&self, cx: &mut StreamCx) {
        let _ = cx;
    }
}

/// What the chain does next. Returned by every hook, so it is three words only.
pub enum Flow<'a> {
    /// Go on to the next filter.
    Continue,
    /// Stop here and answer.
    Respond(Box<LocalReply>),
    /// Wait for a future: the only variant that allocates one.
    Wait(LocalBoxFuture<'a, Flow<'static>>),
}

impl Flow<'_> {
    /// Shorthand for [`Flow::Respond`].
    pub fn respond(reply: LocalReply) -> Self {
        Self::Respond(Box::new(reply))
    }
}

impl Debug for Flow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continue => f.write_str("Continue"),
            Self::Respond(reply) => f.debug_tuple("Respond").field(reply).finish(),
            Self::Wait(_) => f.write_str("Wait"),
        }
    }
}
