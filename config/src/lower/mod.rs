//! The one way from protobuf to validated types.
//!
//! Files and control planes give the same messages, and the functions here turn them into
//! [`crate::ir`]: defaults filled in, regexes compiled, extensions built. A step that fails reports an
//! error with the path of its field and goes on with the next, so that one run shows every problem; the
//! result exists only if there was no error. What is accepted and refused follows Envoy 1.40; where the
//! text of Envoy's error helps to find its documentation, ours is close to it.

use std::fmt;

use palanquin_filter_api::stats;

use crate::diagnostic::Problems;
use crate::extension::Registry;

mod access_log;
mod any;
mod balancer;
mod bootstrap;
mod check;
mod cluster;
mod context;
mod core;
mod discovery;
mod endpoint;
mod format;
mod header_mutation;
mod http;
mod http_filters;
mod listener;
mod matcher;
mod network;
mod overlap;
mod private_key;
mod protocol;
mod regex;
mod retry;
mod route;
mod route_action;
mod route_table;
mod secret;
mod tls;
mod tracing;
mod transport;

pub use bootstrap::Identity;
pub use bootstrap::lower_bootstrap;
pub use cluster::lower_cluster;
pub use context::Lowering;
pub use endpoint::lower_cluster_load_assignment;
pub use listener::lower_listener;
pub use route_table::lower_route_configuration;
pub use secret::lower_secret;
pub use secret::reread_secret;

/// What lowering needs beside the message.
#[derive(Debug, Clone, Copy)]
pub struct Environment<'a> {
    /// The filters that exist.
    pub filters: &'a Registry,
    /// Where statistics live.
    pub stats: &'a stats::Registry,
}

/// A value, and what its message says that has no effect.
#[derive(Debug)]
pub struct Lowered<T> {
    /// The value.
    pub value: T,
    /// Warnings only.
    pub warnings: Problems,
}

/// Why a resource was refused. `Display` is the text of a NACK: the resource, then every error with the
/// path of its field.
#[derive(Debug)]
pub struct Rejected {
    /// What it is: `Cluster`.
    pub kind: &'static str,
    /// Its name; empty when its bytes could not be read (or for a bootstrap).
    pub name: String,
    /// Errors, and warnings found on the way.
    pub problems: Problems,
}

impl std::error::Error for Rejected {}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: {}", self.kind, self.name, self.problems.summary())
    }
}

#[cfg(test)]
mod tests;
