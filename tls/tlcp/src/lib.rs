//! TLCP (GB/T 38636-2020) as an engine without I/O, and over tokio.
//!
//! TLCP is the transport layer protocol of the Chinese national suites. It resembles TLS 1.1 on the wire and TLS 1.2
//! in its functions, but a side has two certificates: one key signs, the other agrees on secrets. This crate speaks
//! the four suites of SM2 as server and as client:
//!
//! | suite | number | key exchange | records |
//! |---|---|---|---|
//! | `ECC_SM4_GCM_SM3` | 0xe053 | the client encrypts a secret | SM4-GCM |
//! | `ECC_SM4_CBC_SM3` | 0xe013 | the client encrypts a secret | SM4-CBC, HMAC-SM3 |
//! | `ECDHE_SM4_GCM_SM3` | 0xe051 | SM2 key exchange, mutual | SM4-GCM |
//! | `ECDHE_SM4_CBC_SM3` | 0xe011 | SM2 key exchange, mutual | SM4-CBC, HMAC-SM3 |
//!
//! [`Connection`] is the engine: bytes of the peer in, bytes for the peer out, plaintext on the other side.
//! [`stream::TlcpStream`] puts it over any tokio stream. Who is trusted is the caller's affair: [`VerifyPeer`].
//!
//! What it refuses: renegotiation, compression, the suites of IBC (SM9) and RSA, session tickets.

mod alert;
mod certificates;
mod client;
mod codec;
mod config;
mod connection;
#[doc(hidden)]
pub mod doors;
mod error;
mod prf;
mod protect;
mod schedule;
mod server;
mod session;
pub mod stream;
mod suite;
mod transcript;
mod verify;

pub use self::alert::Alert;
pub use self::certificates::DualCertificate;
pub use self::certificates::DualCertificateError;
pub use self::certificates::KeyedCertificate;
pub use self::certificates::PeerCertificates;
pub use self::config::Always;
pub use self::config::ClientAuth;
pub use self::config::ClientConfig;
pub use self::config::Hello;
pub use self::config::ResolveCertificate;
pub use self::config::ServerConfig;
pub use self::config::Target;
pub use self::connection::Connection;
pub use self::connection::Established;
pub use self::error::CertificateFault;
pub use self::error::Error;
pub use self::session::ClientSessions;
pub use self::session::ServerSessions;
pub use self::suite::CipherSuite;
pub use self::suite::KeyExchange;
pub use self::verify::Refused;
pub use self::verify::VerifyPeer;

/// Whether a connection that begins with these bytes is TLCP: a handshake record of version 1.1. `None` when it
/// takes more bytes to tell.
pub fn is_tlcp(first: &[u8]) -> Option<bool> {
    let expected = [22, 1, 1];
    let known = first.len().min(expected.len());
    if first.get(..known) != expected.get(..known) {
        return Some(false);
    }
    (known == expected.len()).then_some(true)
}

#[cfg(test)]
mod tests;
