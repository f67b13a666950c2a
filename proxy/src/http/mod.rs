//! The HTTP connection manager: what happens to a request between its codec and an upstream.
//!
//! Read [`exchange`] first; it is the table of contents of a request.

mod cluster;
mod connection;
pub(crate) mod exchange;
pub(crate) mod forwarded;
pub(crate) mod header_mutation;
pub(crate) mod names;
pub(crate) mod normalize;
pub(crate) mod redirect;
pub(crate) mod reply;
mod request_body;
pub(crate) mod request_id;
mod response_body;
pub(crate) mod response_headers;
pub(crate) mod route;
pub(crate) mod stream;
pub(crate) mod timeouts;
mod xfcc;

pub(crate) use connection::Connection;
pub(crate) use connection::ConnectionService;
