//! Which certificate issued a peer's, for logs that ask after the handshake.
//!
//! rustls does not keep the path that was verified. Most often only one certificate has the issuer's name; when there
//! are more, that one is told whose key made the signature. As in BoringSSL, trusted ones come before presented ones.

use std::time::Duration;

use palanquin_filter_api::FindIssuer;
use palanquin_filter_api::Issuer;
use palanquin_filter_api::PeerIdentity;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::UnixTime;
use webpki::EndEntityCert;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

use super::Names;
use super::PeerVerifier;
use super::trust;
use super::validity;
use crate::identity;

impl FindIssuer for PeerVerifier {
    fn issuer(&self, peer: &PeerIdentity) -> Option<Issuer> {
        if !peer.validated {
            return None;
        }
        let (_, leaf) = X509Certificate::from_der(&peer.der).ok()?;
        let trust = match &self.domains {
            Some(domains) => trust::of_domain(domains, &leaf, &Names::of(&leaf).ok()?).ok()?,
            None => self.trust.as_ref()?,
        };
        let trusted = trust.certificates.iter().map(AsRef::as_ref);
        let mut named: Vec<&[u8]> = Vec::new();
        for der in trusted.chain(peer.chain.iter().map(Vec::as_slice)) {
            if der != peer.der && is_named(der, &leaf) && !named.contains(&der) {
                named.push(der);
            }
        }
        // A leaf that is itself trusted was not verified by the rest of what was presented.
        let itself = trust.certificates.iter().any(|ca| ca.as_ref() == peer.der);
        let der = match named.as_slice() {
            [only] if !itself => only,
            several => several.iter().find(|der| self.has_issued(der, peer, &leaf))?,
        };
        Some(Issuer { sha256: identity::sha256(der), serial: identity::serial_of(der)? })
    }
}

impl PeerVerifier {
    /// Whether the key in `issuer` signed the peer's certificate.
    fn has_issued(&self, issuer: &[u8], peer: &PeerIdentity, leaf: &X509Certificate<'_>) -> bool {
        let (issuer, own) =
            (CertificateDer::from(issuer), CertificateDer::from(peer.der.as_slice()));
        let Ok(anchor) = webpki::anchor_from_trusted_cert(&issuer) else { return false };
        let Ok(certificate) = EndEntityCert::try_from(&own) else { return false };
        // Time was decided in the handshake.
        let time = UnixTime::since_unix_epoch(Duration::from_secs(validity(leaf).0));
        let usage = (self.usage)();
        certificate
            .verify_for_usage(self.algorithms.all, &[anchor], &[], time, usage, None, None)
            .is_ok()
    }
}

/// Whether it bears the name of the leaf's issuer.
fn is_named(der: &[u8], leaf: &X509Certificate<'_>) -> bool {
    X509Certificate::from_der(der)
        .is_ok_and(|(_, issuer)| issuer.subject().as_raw() == leaf.issuer().as_raw())
}
