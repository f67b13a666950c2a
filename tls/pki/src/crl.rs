//! Lists of revoked certificates.

use crate::pem;

/// A list of revoked certificates, signed by their authority (RFC 5280 §5).
#[derive(Debug, Clone)]
pub struct Crl {
    pub(crate) der: Vec<u8>,
}

impl Crl {
    /// The list, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The list, PEM `X509 CRL`.
    pub fn pem(&self) -> String {
        pem::block("X509 CRL", &self.der)
    }
}
