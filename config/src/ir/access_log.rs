//! Access logs: where, what, and when.

/// `config.accesslog.v3.AccessLog`.
#[derive(Debug)]
pub struct AccessLog {}
