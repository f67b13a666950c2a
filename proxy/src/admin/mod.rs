//! The admin endpoint: Envoy's pages for operators, on the control thread.
//!
//! It listens where the bootstrap's `admin.address` says, which should be loopback or a Unix socket: there
//! is no authentication. Two things keep a browser from being used against it. The `Host` of a request
//! must be an IP address, `localhost`, or a name under `.localhost`, so that a name an attacker points at
//! 127.0.0.1 is refused (DNS rebinding); and what changes something is POST only, and refused when it
//! comes from another site's page. GET never changes anything.
//!
//! Facts come from [`AdminState`]; what has to happen elsewhere leaves as a [`Command`].

mod clusters;
mod config_dump;
mod gauges;
mod guard;
mod listeners;
mod memory;
mod pages;
mod reply;
mod server;
mod server_info;
mod state;
mod stats;

pub use listeners::ListenerStatus;
pub use server::AdminServer;
pub use state::{AdminState, ClusterStatus, Command, Facts, Health, ServerState};

#[cfg(test)]
mod tests;
