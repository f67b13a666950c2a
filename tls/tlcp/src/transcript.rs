//! The hash over all handshake messages so far.

use palanquin_sm::sm3::Sm3;

/// A running hash.
#[derive(Debug, Default)]
pub(crate) struct Transcript(Sm3);

impl Transcript {
    pub(crate) fn add(&mut self, message: &[u8]) {
        self.0.update(message);
    }

    /// The hash up to here.
    pub(crate) fn hash(&self) -> [u8; 32] {
        self.0.clone().finalize()
    }
}
