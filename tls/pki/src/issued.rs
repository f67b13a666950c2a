//! Certificates that were issued, with their keys.

use zeroize::Zeroizing;

use crate::Key;
use crate::pem;

/// A leaf certificate with its key and the authorities up to, but without, the root.
#[derive(Debug)]
pub struct Issued {
    pub(crate) der: Vec<u8>,
    pub(crate) serial: Vec<u8>,
    pub(crate) key: Key,
    pub(crate) intermediates: Vec<Vec<u8>>,
}

impl Issued {
    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate and the intermediate authorities, DER, in the order of a handshake.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.der()).chain(self.intermediates.iter().map(Vec::as_slice))
    }

    /// The certificate alone, PEM.
    pub fn certificate_pem(&self) -> String {
        certificate(&self.der)
    }

    /// The certificate and the intermediate authorities, PEM. The root is never in it: peers have it or do not trust it.
    pub fn chain_pem(&self) -> String {
        self.chain().map(certificate).collect()
    }

    /// The key, PEM `PRIVATE KEY`.
    pub fn key_pem(&self) -> Zeroizing<String> {
        self.key.pem()
    }

    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The serial number: big-endian, positive, 16 octets.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The same with a signature that is well formed but false, for tests.
    #[must_use]
    pub fn with_broken_signature(mut self) -> Self {
        // The last octets of a certificate are the last of the signature's second integer.
        if let Some(last) = self.der.last_mut() {
            *last ^= 1;
        }
        self
    }
}

/// The two certificates of a TLCP endpoint (GB/T 38636 §6.4.5.3): one key signs, the other opens what was sealed for it.
#[derive(Debug)]
pub struct DualPair {
    /// The sign certificate, `digitalSignature`.
    pub sign: Issued,
    /// The encryption certificate, `keyEncipherment`, `dataEncipherment` and `keyAgreement`.
    pub enc: Issued,
}

pub(crate) fn certificate(der: &[u8]) -> String {
    pem::block("CERTIFICATE", der)
}
