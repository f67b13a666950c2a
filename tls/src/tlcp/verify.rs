//! [`PeerVerifier`] as TLCP wants it: for two certificates at once.

use std::sync::Arc;

use palanquin_tlcp::Alert;
use palanquin_tlcp::PeerCertificates;
use palanquin_tlcp::Refused;
use palanquin_tlcp::VerifyPeer;
use rustls::CertificateError;
use rustls::pki_types::UnixTime;

use crate::error::TlsError;
use crate::identity;
use crate::sm::pairs;
use crate::verify::PeerVerifier;
use crate::verify::VerifyError;

/// Checks the pair of a peer.
#[derive(Debug)]
pub(crate) struct PairVerifier {
    /// `None`: any pair is taken, as a proof of nothing.
    pub(crate) peer: Option<Arc<PeerVerifier>>,
    /// The certificate must carry the name that was asked for.
    pub(crate) check_name: bool,
    /// The names of the issuers that clients are told of, in DER.
    pub(crate) hints: Vec<Vec<u8>>,
}

impl VerifyPeer for PairVerifier {
    fn verify(
        &self,
        peer: &PeerCertificates,
        server_name: Option<&str>,
        now: UnixTime,
    ) -> Result<(), Refused> {
        let unnamed = || VerifyError::San { presented: String::new() };
        let name = server_name.filter(|_| self.check_name);
        let result = match &self.peer {
            // There is no name to check against; nothing can be right.
            _ if self.check_name && name.is_none() => Err(unnamed()),
            Some(verifier) => match check(verifier, peer, now, name) {
                Err(_) if verifier.accepts_untrusted() => Ok(()),
                result => result,
            },
            // A name in a certificate that nobody vouches for proves nothing.
            None if self.check_name => Err(unnamed()),
            None => Ok(()),
        };
        result.map_err(|error| Refused::new(alert(&error), error))
    }

    fn issuers(&self) -> &[Vec<u8>] {
        &self.hints
    }
}

/// Checks both certificates: the one for signing as in TLS; the one for encryption must be of the same endpoint
/// and come from a trusted issuer as well.
fn check(
    verifier: &PeerVerifier,
    peer: &PeerCertificates,
    now: UnixTime,
    name: Option<&str>,
) -> Result<(), VerifyError> {
    verifier.check(&peer.sign, &peer.intermediates, now, name)?;
    let Some(enc) = &peer.enc else { return Ok(()) };
    let read = |der| identity::of(std::slice::from_ref(der), false).ok_or(VerifyError::Malformed);
    if !pairs::are_of_one_endpoint(&*read(&peer.sign)?, &*read(enc)?) {
        return Err(VerifyError::Pair);
    }
    verifier.check_companion(enc, &peer.intermediates, now)
}

/// Whether an accepted pair was also verified, and if not, the counter for the reason. A resumed session brings
/// the certificates of its first handshake; they are verified again, because they may have expired meanwhile.
///
/// # Errors
/// When the session is a resumed one: it is not accepted any more.
pub(crate) fn validated(
    verifier: Option<&PeerVerifier>,
    peer: &PeerCertificates,
    is_resumed: bool,
    name: Option<&str>,
) -> Result<(bool, Option<&'static str>), TlsError> {
    let Some(verifier) = verifier else { return Ok((false, None)) };
    if !verifier.accepts_untrusted() && !is_resumed {
        return Ok((verifier.authenticates(), None));
    }
    match check(verifier, peer, UnixTime::now(), name) {
        Ok(()) => Ok((verifier.authenticates(), None)),
        Err(error) if verifier.accepts_untrusted() => Ok((false, Some(error.stat()))),
        Err(error) => Err(TlsError::Verify(error)),
    }
}

/// The alert that Tongsuo sends for the same cause.
fn alert(error: &VerifyError) -> Alert {
    match error {
        VerifyError::Chain(CertificateError::UnknownIssuer) => Alert::UNKNOWN_CA,
        VerifyError::Chain(CertificateError::Expired) => Alert::CERTIFICATE_EXPIRED,
        VerifyError::Chain(CertificateError::Revoked) => Alert::CERTIFICATE_REVOKED,
        VerifyError::Chain(CertificateError::InvalidPurpose) => Alert::UNSUPPORTED_CERTIFICATE,
        VerifyError::Chain(CertificateError::BadSignature) => Alert::DECRYPT_ERROR,
        VerifyError::Chain(CertificateError::BadEncoding | CertificateError::NotValidYet)
        | VerifyError::Malformed
        | VerifyError::Pair => Alert::BAD_CERTIFICATE,
        _ => Alert::CERTIFICATE_UNKNOWN,
    }
}
