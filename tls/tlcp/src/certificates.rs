//! Dual certificates: one key signs, the other agrees on secrets.

use std::sync::Arc;

use palanquin_sm::key_ops::KeyOps;
use palanquin_sm::sm2::PublicKey;
use palanquin_sm::x509;
use rustls_pki_types::CertificateDer;
use thiserror::Error;

use crate::error::CertificateFault;

/// A pair of certificates with its keys.
#[derive(Debug, Clone)]
pub struct DualCertificate {
    sign: KeyedCertificate,
    enc: Option<KeyedCertificate>,
    /// The issuers, from the pair's own upwards, without the root.
    chain: Vec<CertificateDer<'static>>,
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct KeyedCertificate {
    certificate: CertificateDer<'static>,
    key: Arc<dyn KeyOps>,
}

/// A pair that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DualCertificateError {
    /// One of the certificates is not fit for its place.
    #[error(transparent)]
    Fault(#[from] CertificateFault),
    /// The key is another certificate's.
    #[error("the private key does not belong to the {0} certificate")]
    KeyMismatch(&'static str),
}

impl KeyedCertificate {
    /// Puts both together; whether they belong together is looked at by [`DualCertificate::new`].
    pub fn new(certificate: CertificateDer<'static>, key: Arc<dyn KeyOps>) -> Self {
        Self { certificate, key }
    }

    /// The certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The key.
    pub fn key(&self) -> &dyn KeyOps {
        &*self.key
    }

    fn check_key(&self, which: &'static str) -> Result<(), DualCertificateError> {
        let public = public_key(&self.certificate)?;
        if public != *self.key.public_key() {
            return Err(DualCertificateError::KeyMismatch(which));
        }
        Ok(())
    }
}

impl DualCertificate {
    /// A pair for servers and clients, with the issuers that peers do not know. A root need not be among them.
    ///
    /// # Errors
    /// When a key is not its certificate's, or the KeyUsage of a certificate does not allow its place: so a pair
    /// in the wrong order is found at once.
    pub fn new(
        sign: KeyedCertificate,
        enc: KeyedCertificate,
        chain: Vec<CertificateDer<'static>>,
    ) -> Result<Self, DualCertificateError> {
        check_signing(&sign.certificate)?;
        check_encryption(&enc.certificate)?;
        sign.check_key("signing")?;
        enc.check_key("encryption")?;
        Ok(Self { sign, enc: Some(enc), chain })
    }

    /// A signing certificate alone: for a client, under the ECC suites.
    ///
    /// # Errors
    /// As with [`Self::new`].
    pub fn sign_only(
        sign: KeyedCertificate,
        chain: Vec<CertificateDer<'static>>,
    ) -> Result<Self, DualCertificateError> {
        check_signing(&sign.certificate)?;
        sign.check_key("signing")?;
        Ok(Self { sign, enc: None, chain })
    }

    /// Whatever a test wants to show.
    #[cfg(test)]
    pub(crate) fn unchecked(list: Vec<KeyedCertificate>) -> Self {
        let mut list = list.into_iter();
        Self { sign: list.next().unwrap(), enc: list.next(), chain: Vec::new() }
    }

    /// The certificate and key that sign.
    pub fn sign(&self) -> &KeyedCertificate {
        &self.sign
    }

    /// The certificate and key that agree on secrets.
    pub fn enc(&self) -> Option<&KeyedCertificate> {
        self.enc.as_ref()
    }

    /// Whether using a key may take long.
    pub fn is_blocking(&self) -> bool {
        self.sign.key.is_blocking() || self.enc.as_ref().is_some_and(|enc| enc.key.is_blocking())
    }

    /// What a peer is sent: the signing certificate, the encryption certificate, the issuers. In this order,
    /// which is that of the standard.
    pub(crate) fn list(&self) -> impl Iterator<Item = &[u8]> {
        let enc = self.enc.iter().map(|enc| enc.certificate.as_ref());
        let chain = self.chain.iter().map(AsRef::as_ref);
        std::iter::once(self.sign.certificate.as_ref()).chain(enc).chain(chain)
    }
}

/// The certificates of a peer, put in order.
#[derive(Debug, Clone)]
pub struct PeerCertificates {
    /// What the peer proves its identity with.
    pub sign: CertificateDer<'static>,
    /// What the secret is agreed with; a client may have none under the ECC suites.
    pub enc: Option<CertificateDer<'static>>,
    /// All others, in the peer's order.
    pub intermediates: Vec<CertificateDer<'static>>,
}

/// Whether a peer must show two certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pair {
    /// A server always, and a client for ECDHE.
    Required,
    /// A client for ECC.
    Optional,
}

impl PeerCertificates {
    /// Finds the pair in a list that is not empty. The signing certificate is the first. The encryption
    /// certificate is the second (Tongsuo, GmSSL), or the last (seen in the field).
    ///
    /// # Errors
    /// When there is no pair though there must be, or a KeyUsage does not allow its place.
    pub(crate) fn sort(
        mut list: Vec<CertificateDer<'static>>,
        pair: Pair,
    ) -> Result<Self, CertificateFault> {
        if list.is_empty() {
            return Err(CertificateFault::Malformed);
        }
        let sign = list.remove(0);
        check_signing(&sign)?;
        let second = list.first().map(|der| check_encryption(der));
        let last = list.last().map(|der| check_encryption(der));
        let at = match (second, last) {
            (Some(Ok(())), _) => Some(0),
            (_, Some(Ok(()))) => Some(list.len() - 1),
            // A chain without an encryption certificate: all that follows are issuers.
            (Some(Err(_)), _) if pair == Pair::Optional && is_issuer(list.first()) => None,
            (Some(Err(fault)), _) if !is_issuer(list.first()) => return Err(fault),
            (None, _) if pair == Pair::Optional => None,
            _ => return Err(CertificateFault::NoEncryption),
        };
        let enc = at.map(|at| list.remove(at));
        Ok(Self { sign, enc, intermediates: list })
    }

    /// The key that signs.
    pub(crate) fn sign_key(&self) -> Result<PublicKey, CertificateFault> {
        public_key(&self.sign)
    }

    /// The key that agrees.
    pub(crate) fn enc_key(&self) -> Result<PublicKey, CertificateFault> {
        public_key(self.enc.as_ref().ok_or(CertificateFault::NoEncryption)?)
    }
}

/// Whether a certificate may sign (GM/T 0015: digitalSignature or nonRepudiation).
///
/// # Errors
/// When its key is not one of SM2, or it has no KeyUsage or another one. RFC 5280 lets a certificate without
/// KeyUsage do everything; the pair of TLCP rests on it, so here it must be there.
fn check_signing(der: &[u8]) -> Result<(), CertificateFault> {
    let usage = usage(der)?.ok_or(CertificateFault::NotForSigning)?;
    if usage.is_for_signing() { Ok(()) } else { Err(CertificateFault::NotForSigning) }
}

/// Whether a certificate may agree on secrets (keyEncipherment, dataEncipherment or keyAgreement) and not sign:
/// whoever holds the encryption key in escrow must not be able to act in the name of its owner.
fn check_encryption(der: &[u8]) -> Result<(), CertificateFault> {
    let usage = usage(der)?.ok_or(CertificateFault::NotForEncryption)?;
    let encrypts = usage.is_for_encryption() && !usage.digital_signature();
    if encrypts && !usage.key_cert_sign() {
        Ok(())
    } else {
        Err(CertificateFault::NotForEncryption)
    }
}

fn is_issuer(der: Option<&CertificateDer<'_>>) -> bool {
    der.and_then(|der| x509::key_usage(der)).is_some_and(x509::KeyUsage::key_cert_sign)
}

fn usage(der: &[u8]) -> Result<Option<x509::KeyUsage>, CertificateFault> {
    let certificate = x509::Certificate::from_der(der).ok_or(CertificateFault::Malformed)?;
    if certificate.is_sm2() { Ok(certificate.key_usage) } else { Err(CertificateFault::NotSm2) }
}

fn public_key(der: &[u8]) -> Result<PublicKey, CertificateFault> {
    x509::public_key(der).ok_or(CertificateFault::NotSm2)
}
