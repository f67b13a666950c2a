//! Listeners as they run: configuration with its handshakes, sockets, and the loops that accept.

mod accept;
mod active;
mod socket;

pub(crate) use accept::Present;
pub(crate) use accept::accept_loop;
pub(crate) use active::ActiveChain;
pub(crate) use active::ActiveListener;
pub(crate) use active::CodecSettings;
pub(crate) use active::Generation;
pub(crate) use active::Generations;
pub(crate) use socket::ListenSocket;
pub(crate) use socket::bind;
