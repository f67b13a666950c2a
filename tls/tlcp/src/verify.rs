//! Who judges the peer's certificates: the caller.

use std::error::Error;
use std::fmt;

use rustls_pki_types::UnixTime;
use thiserror::Error;

use crate::alert::Alert;
use crate::certificates::PeerCertificates;

/// Judges the certificates of a peer. The engine has checked before that they are two SM2 certificates (or one,
/// where that is allowed) with the right KeyUsage each; who issued them, for whom and for how long is for this
/// trait to say.
pub trait VerifyPeer: fmt::Debug + Send + Sync {
    /// Verifies both certificates. `server_name` is the name that this side asked for, when the peer is a
    /// server.
    ///
    /// # Errors
    /// When the peer is not to be trusted.
    fn verify(
        &self,
        peer: &PeerCertificates,
        server_name: Option<&str>,
        now: UnixTime,
    ) -> Result<(), Refused>;

    /// The distinguished names of the issuers that are trusted, in DER: a server tells them to its clients.
    fn issuers(&self) -> &[Vec<u8>] {
        &[]
    }
}

/// Certificates that are refused.
#[derive(Debug, Error)]
#[error("{reason}")]
pub struct Refused {
    /// What the peer is told.
    pub alert: Alert,
    /// Why; for our own eyes.
    #[source]
    pub reason: Box<dyn Error + Send + Sync>,
}

impl Refused {
    /// With the alert and the reason.
    pub fn new(alert: Alert, reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { alert, reason: reason.into() }
    }
}
