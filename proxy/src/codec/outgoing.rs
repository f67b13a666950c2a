//! A request on its way to an upstream.

use http::Request;
use http::request::Parts;

use palanquin_filter_api::Body;

/// A request that is sent, perhaps not for the last time.
///
/// It stays with whoever may have to send it again; on the way to a connection only a reference is moved.
/// HTTP/1 writes from it, HTTP/2 needs the head as its own.
#[derive(Debug)]
pub struct Outgoing {
    /// The head. Meaningless once it is [taken](Self::is_taken).
    pub head: Parts,
    /// What follows; empty once it is on its way.
    pub body: Body,
    keep: Keep,
    is_taken: bool,
}

/// What becomes of a head that a codec needs as its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It is copied: the request may be sent again.
    Copy,
    /// It is taken: the request is not sent again.
    Take,
}

impl Outgoing {
    /// A request to send.
    pub fn new(head: Parts, body: Body, keep: Keep) -> Self {
        Self { head, body, keep, is_taken: false }
    }

    /// The body, which goes on its way.
    pub fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    /// The head, for a codec that needs it as its own.
    pub fn own_head(&mut self) -> Parts {
        match self.keep {
            Keep::Copy => self.head.clone(),
            Keep::Take => {
                self.is_taken = true;
                std::mem::replace(&mut self.head, Request::new(()).into_parts().0)
            }
        }
    }

    /// Whether the head is gone, so that the request cannot be sent again.
    pub fn is_taken(&self) -> bool {
        self.is_taken
    }
}

impl From<Request<Body>> for Outgoing {
    /// A request that is sent once.
    fn from(request: Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        Self::new(head, body, Keep::Take)
    }
}
