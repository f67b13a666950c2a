//! A request on its way to an upstream.

use http::Request;
use http::request::Parts;

use palanquin_filter_api::Body;

/// A request that is sent, perhaps not for the last time.
///
/// It stays with whoever may have to send it again: on the way to a connection only a reference is moved, and
/// codecs write from the head.
#[derive(Debug)]
pub struct Outgoing {
    /// The head.
    pub head: Parts,
    /// What follows; empty once it is on its way.
    pub body: Body,
}

impl Outgoing {
    /// The body, which goes on its way.
    pub fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }
}

impl From<Request<Body>> for Outgoing {
    fn from(request: Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        Self { head, body }
    }
}
