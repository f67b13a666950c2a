//! What can go wrong: with one resource, and with the stream.

use std::fmt;
use std::sync::Arc;

/// Why one resource of an update is not acceptable; becomes part of the NACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceError {
    /// The resource at fault.
    pub name: Arc<str>,
    /// What is wrong and where, without the name.
    pub message: String,
}

impl ResourceError {
    /// An error of the resource `name`.
    pub fn new(name: impl Into<Arc<str>>, message: impl Into<String>) -> Self {
        Self { name: name.into(), message: message.into() }
    }
}

impl fmt::Display for ResourceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.name, self.message)
    }
}

/// Joins the errors of one response to the text of its NACK, as Envoy words it.
///
/// Cut at [`MAX_DETAIL_BYTES`]: the text travels in a request, and some control planes log it.
pub(crate) fn nack_detail(noun: &str, errors: &[ResourceError]) -> String {
    let mut detail = format!("Error adding/updating {noun}(s)");
    let mut separator = " ";
    for error in errors {
        detail.push_str(separator);
        detail.push_str(&error.to_string());
        separator = ", ";
    }
    truncate(detail)
}

/// Shortens `detail` to [`MAX_DETAIL_BYTES`], on a character boundary.
pub(crate) fn truncate(mut detail: String) -> String {
    if detail.len() > MAX_DETAIL_BYTES {
        detail.truncate(detail.floor_char_boundary(MAX_DETAIL_BYTES - 3));
        detail.push_str("...");
    }
    detail
}

/// Why there is no stream. The client tries again by itself; this is for logs and the admin page.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StreamError {
    /// The channel to the control plane could not be made.
    #[error("no channel to the control plane: {0}")]
    Channel(String),
    /// The control plane ended the stream without an error.
    #[error("the control plane closed the stream")]
    Closed,
    /// The control plane or the connection failed; with the gRPC code.
    #[error("{code:?}: {message}")]
    Status {
        /// The gRPC status code.
        code: tonic::Code,
        /// The status message, as received.
        message: String,
    },
}

impl From<tonic::Status> for StreamError {
    fn from(status: tonic::Status) -> Self {
        Self::Status { code: status.code(), message: status.message().to_owned() }
    }
}

/// Envoy's limit for an error detail (`kProtobufErrMsgLen`).
const MAX_DETAIL_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nack_names_every_resource_in_envoys_words() {
        let errors = [ResourceError::new("c3", "no EDS config"), ResourceError::new("c4", "bad")];
        assert_eq!(
            nack_detail("cluster", &errors),
            "Error adding/updating cluster(s) c3: no EDS config, c4: bad"
        );
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let errors = [ResourceError::new("c", "ü".repeat(5000))];
        let detail = nack_detail("cluster", &errors);
        assert!(detail.len() <= MAX_DETAIL_BYTES);
        assert!(detail.ends_with("ü..."));
    }
}
