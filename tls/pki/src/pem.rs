//! PEM, RFC 7468.

use der::pem::LineEnding;

/// One block of text under `label`.
pub(crate) fn block(label: &str, der: &[u8]) -> String {
    der::pem::encode_string(label, LineEnding::LF, der)
        .expect("the label is ASCII of ours and memory is not exhausted")
}
