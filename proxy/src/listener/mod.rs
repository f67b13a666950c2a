//! Listeners as they run: configuration with its handshakes, sockets, and the loops that accept.

mod accept;
mod active;
mod socket;

pub use accept::Present;
pub use accept::accept_loop;
pub use active::ActiveChain;
pub use active::ActiveListener;
pub use active::CodecSettings;
pub use active::Generation;
pub use active::Generations;
pub use socket::ListenSocket;
pub use socket::bind;
