//! Texts with command operators: `%REQ(:PATH)%`.

/// A text with operators, ready to be written.
#[derive(Debug, Clone, Default)]
pub struct Format {}
