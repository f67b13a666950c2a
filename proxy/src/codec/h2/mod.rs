//! HTTP/2 on the `h2` crate, over an IO that reads much and writes once per turn.
//!
//! The crate writes once for nearly every frame; under [`buffered::BufferedIo`] all frames of a turn of
//! the connection's task leave in one write, which halves the cost of a request (docs/benchmarks.md).
//! Who drives a connection therefore flushes it: [`server::serve`] and the client's driver task do.

mod body;
mod buffered;
mod client;
mod keepalive;
mod resets;
mod server;
mod upload;

pub use client::ClientConn;
pub use client::ClientSettings;
pub use client::connect;
pub use keepalive::KeepaliveSettings;
pub use server::Abort;
pub use server::Settings;
pub use server::serve;
