//! The harness of the whole-proxy tests: everything that stands around a proxy, in one process.
//!
//! ```text
//!  client ──► Proxy (its own threads, port 0) ──► Upstream / RawUpstream
//!                 │            ▲
//!                 ▼            │
//!             Collector   ControlPlane
//! ```
//!
//! Nothing has a fixed port and nothing waits for time to pass: what a test waits for is an event, with a
//! limit ([`time::within`]) after which it fails with the name of what did not happen.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::large_futures, reason = "a test keeps its whole world on its stack")]

pub mod certs;
pub mod client;
pub mod config;
pub mod control_plane;
pub mod otlp;
pub mod proxy;
pub mod raw;
pub mod sm;
pub mod time;
pub mod tlcp;
pub mod upstream;
