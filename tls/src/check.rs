//! The check of a secret that stands alone: do its parts fit each other?

use palanquin_config::ir::tls::Secret;

use crate::certificates::Certificates;
use crate::error::TlsConfigError;
use crate::provider;
use crate::sm::pairs;
use crate::verify::Peer;
use crate::verify::PeerVerifier;

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
