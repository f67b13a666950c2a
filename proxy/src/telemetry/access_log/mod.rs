//! Access logs on their way: values kept of a request, a worker's buffers, the thread that writes.

mod buffers;
mod captured;
mod writer;

pub(super) use buffers::LogBuffers;
pub use captured::Captured;
pub use writer::LogWriter;

#[cfg(test)]
mod tests;
