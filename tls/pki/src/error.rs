//! Why a certificate could not be made.

use std::time::SystemTime;

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system gives no random numbers, or the library refuses its own key.
    #[error("cannot make or use a private key")]
    Key,
    /// X.509 writes DNS names, URIs and mail addresses as ASCII; an internationalized name goes in as its A-label.
    #[error("{0:?} cannot be a name in a certificate: only ASCII is")]
    Name(String),
    /// X.509 has no time before the year 1970 here, and none after 9999.
    #[error("{0:?} cannot be written into a certificate")]
    Time(SystemTime),
}
