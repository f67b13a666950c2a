//! The second certificate of a TLCP peer, for encryption.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::UnixTime;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

use super::Names;
use super::PeerVerifier;
use super::VerifyError;
use super::trust;

impl PeerVerifier {
    /// Checks that a trusted issuer vouches for it: path, time, revocation. Whom it names is compared with the
    /// certificate for signing by the caller, and that one meets the matchers and pins.
    pub(crate) fn check_companion(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), VerifyError> {
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| VerifyError::Malformed)?;
        let names = Names::of(&parsed)?;
        if let Some(domains) = &self.domains {
            return self.check_chain(trust::of_domain(domains, &parsed, &names)?, leaf, rest, now);
        }
        match &self.trust {
            Some(trust) => self.check_chain(trust, leaf, rest, now),
            None => Ok(()),
        }
    }
}
