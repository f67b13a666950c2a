//! HTTP/2 (RFC 9113).
//!
//! - `frame`, `hpack`, `head`: bytes to frames, fields and heads of messages.
//! - `connection`, `streams`, `receive`, `sections`, `stream_ref`: the protocol, without I/O. All of it lives on one thread.
//! - `socket`: reads much and writes once for each turn of the connection's task.
//! - `server`, `client`: the two ends of a proxy; `body` and `upload` are the bodies of their messages.
//!
//! Why not the `h2` crate: docs/adr/0013-own-http2.md.

mod body;
mod client;
mod connection;
mod frame;
pub mod fuzzing;
mod head;
mod hpack;
mod keepalive;
mod receive;
mod resets;
mod sections;
mod server;
mod socket;
mod spare;
mod stream_ref;
mod streams;
#[cfg(test)]
mod tests;
mod upload;

pub use client::ClientConn;
pub use client::ClientSettings;
pub use client::connect;
pub use keepalive::KeepaliveSettings;
pub use server::Abort;
pub use server::Settings;
pub use server::serve;
