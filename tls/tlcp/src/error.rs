//! What ends a connection, and the alert that tells the peer.

use thiserror::Error;

use crate::alert::Alert;
use crate::verify::Refused;

/// A connection that failed. It cannot be used again; what is to be sent still (an alert) is in its output.
#[derive(Debug, Error)]
pub enum Error {
    /// The peer ended the connection with this alert.
    #[error("the peer sent the alert {0}")]
    AlertReceived(Alert),
    /// The peer's certificates do not have the form that the protocol needs.
    #[error("the peer's certificates cannot be used: {0}")]
    Certificates(#[from] CertificateFault),
    /// A message that cannot be read.
    #[error("the {0} cannot be read")]
    Decode(&'static str),
    /// A signature or a Finished that is wrong.
    #[error("the {0} is wrong")]
    Decrypt(&'static str),
    /// A value that may not be.
    #[error("{0}")]
    IllegalParameter(&'static str),
    /// Our own key or random numbers failed.
    #[error("our own key failed: {0}")]
    Key(&'static str),
    /// Nothing in common.
    #[error("{0}")]
    NothingInCommon(&'static str),
    /// The peer showed no certificate although one is required.
    #[error("the peer presented no certificate")]
    NoPeerCertificate,
    /// The peer wants a second handshake on the same connection.
    #[error("the peer asked for a renegotiation")]
    Renegotiation,
    /// A record that does not open.
    #[error("a record cannot be opened")]
    Record,
    /// A record that is too long, or too many of them.
    #[error("a {0} is too long")]
    TooLong(&'static str),
    /// A message that has no place here.
    #[error("unexpected {0}")]
    Unexpected(&'static str),
    /// An extension that this side did not ask for.
    #[error("the server sent an extension that nobody asked for")]
    UnsolicitedExtension,
    /// The caller refuses the peer's certificates.
    #[error("the peer's certificates were refused")]
    Verify(#[source] Refused),
    /// A version that is not TLCP's.
    #[error("the version {0:#06x} is not TLCP's")]
    Version(u16),
}

/// What is wrong with a list of certificates before anybody is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CertificateFault {
    /// A certificate cannot be read.
    #[error("a certificate cannot be read")]
    Malformed,
    /// There is only one although two are needed.
    #[error("the encryption certificate is missing")]
    NoEncryption,
    /// The second of the pair may not encrypt, as its KeyUsage says.
    #[error("the encryption certificate has another key usage")]
    NotForEncryption,
    /// The first of the pair may not sign, as its KeyUsage says.
    #[error("the signing certificate has another key usage")]
    NotForSigning,
    /// The key is not one of SM2.
    #[error("the key of a certificate is not an SM2 key")]
    NotSm2,
}

impl Error {
    /// The alert that is sent; `None` when the peer ended the connection itself.
    pub fn alert(&self) -> Option<Alert> {
        Some(match self {
            Self::AlertReceived(_) => return None,
            Self::Certificates(CertificateFault::NotSm2) => Alert::UNSUPPORTED_CERTIFICATE,
            Self::Certificates(_) => Alert::BAD_CERTIFICATE,
            Self::Decode(_) => Alert::DECODE_ERROR,
            Self::Decrypt(_) => Alert::DECRYPT_ERROR,
            Self::IllegalParameter(_) => Alert::ILLEGAL_PARAMETER,
            Self::Key(_) => Alert::INTERNAL_ERROR,
            // RFC 5246 (7.4.6), and Tongsuo: a missing client certificate is a handshake failure.
            Self::NothingInCommon(_) | Self::NoPeerCertificate => Alert::HANDSHAKE_FAILURE,
            Self::Renegotiation => Alert::NO_RENEGOTIATION,
            Self::Record => Alert::BAD_RECORD_MAC,
            Self::TooLong(_) => Alert::RECORD_OVERFLOW,
            Self::Unexpected(_) => Alert::UNEXPECTED_MESSAGE,
            Self::UnsolicitedExtension => Alert::UNSUPPORTED_EXTENSION,
            Self::Verify(refused) => refused.alert,
            Self::Version(_) => Alert::PROTOCOL_VERSION,
        })
    }
}
