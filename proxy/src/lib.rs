//! Palanquin, an L7 service-mesh proxy.
//!
//! The binary and the runtime: the only crate that knows every other. ARCHITECTURE.md shows the path of a
//! request, of a configuration update and of a span; [`server`] is where a process begins and ends.

// A fuzzer brings an allocator that sees mistakes.
#[cfg(not(fuzzing))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod admin;
pub mod cert;
pub mod cli;
pub mod codec;
pub mod command;
pub mod config_source;
pub mod control;
pub mod demo;
/// Public for `benches/micro` only, which counts the instructions of steps that are private.
#[doc(hidden)]
pub mod for_benches;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod server;
pub mod snapshot;
pub mod telemetry;
pub mod tls_cell;
pub mod upstream;
pub mod worker;

mod downstream;
mod http;
mod listener;
