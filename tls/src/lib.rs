//! TLS transports, identities and certificate verification.
//!
//! Nothing outside this crate knows which stack a connection uses. [`server::ServerTls`] and
//! [`client::ClientTls`] are built from the validated configuration when it is read, so that a certificate
//! that cannot be used is an error of the configuration and not of a handshake; they are shared by all
//! workers. A handshake gives a [`Transport`] and the facts that were proved ([`Secured`]).
//!
//! No process-wide provider of cryptography is installed: each configuration names its own
//! ([`provider::Provider`]), so that several can live in one process.

pub mod client;
pub mod error;
pub mod handshake;
pub mod identity;
pub mod inspect;
pub mod provider;
pub mod server;
pub mod transport;

mod certificates;
mod check;
mod describe;
mod key_log;
mod kx;
mod ocsp;
mod params;
mod sm;
mod tickets;
mod tlcp;
mod verify;

#[cfg(test)]
mod tests;

pub use check::check_secret;
pub use check::ocsp_expiry;
pub use client::ClientTls;
pub use client::TlsTarget;
pub use error::TlsConfigError;
pub use error::TlsError;
pub use handshake::HandshakeCx;
pub use handshake::Secured;
pub use server::ServerTls;
pub use transport::Peeked;
pub use transport::Transport;
pub use verify::VerifyError;
