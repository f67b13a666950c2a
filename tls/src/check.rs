//! What can be said of a secret that stands alone: whether its parts fit each other, until when it holds.

use palanquin_config::ir::tls::Secret;
use palanquin_config::ir::tls::TlsCertificate;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

use crate::certificates::Certificates;
use crate::error::TlsConfigError;
use crate::ocsp::Staple;
use crate::provider;
use crate::sm::pairs;
use crate::verify::Peer;
use crate::verify::PeerVerifier;

/// Until when the OCSP response that is stapled with a certificate holds, in seconds since the Unix epoch; `None`
/// when there is none, or when it does not say.
pub fn ocsp_expiry(certificate: &TlsCertificate) -> Option<u64> {
    let (_, parsed) = X509Certificate::from_der(certificate.chain.first()?).ok()?;
    let response = certificate.ocsp_staple.as_ref()?;
    Staple::read(response, parsed.raw_serial()).ok()?.next_update()
}

/// Checks a secret before anything is made of it, for one that nothing can use yet.
///
/// # Errors
/// A key that cannot be used or is another certificate's, and trust that cannot be read.
pub fn check_secret(secret: &Secret) -> Result<(), TlsConfigError> {
    let crypto = &provider::standard().crypto;
    match secret {
        Secret::Certificate(source) => {
            if pairs::check_alone(source)? {
                return Ok(());
            }
            Certificates::load(&[(0, source)], &[], crypto, false).map(drop)
        }
        Secret::Validation(source) => match source.value() {
            Some(context) => {
                let algorithms = crypto.signature_verification_algorithms;
                PeerVerifier::build(context, algorithms, Peer::Server).map(drop)
            }
            None => Ok(()),
        },
        Secret::Generic(_) | Secret::TicketKeys(_) => Ok(()),
    }
}
