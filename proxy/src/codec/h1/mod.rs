//! HTTP/1: an own codec, for Envoy's behaviour to the letter, few bytes per idle connection and speed.
//!
//! Sans-IO parts first, then what moves bytes:
//!
//! | file | what it does |
//! |---|---|
//! | `parse`, `target`, `fields` | a request head that means one thing only |
//! | `parse_response` | a response head, and where its body ends |
//! | `chunked`, `decode` | a body out of the connection's bytes |
//! | `encode` | heads and body framing |
//! | `buffer`, `out` | reading and writing without holding memory |
//! | `pump` | a body into a connection |
//! | `wire`, `server` | a downstream connection |
//! | `client`, `response_body` | an upstream connection |

mod buffer;
mod chunked;
mod client;
mod decode;
mod encode;
mod fields;
mod out;
mod parse;
mod parse_response;
mod pump;
mod response_body;
mod server;
mod settings;
mod target;
mod timer;
mod wire;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
#[cfg(test)]
mod tests;

pub use client::ClientConn;
pub use client::Recycle;
pub use server::Ended;
pub use server::serve;
pub use settings::ClientSettings;
pub use settings::HeadLimits;
pub use settings::Settings;
pub use settings::Trailers;
pub use settings::Underscores;
pub(super) use target::is_authority;
