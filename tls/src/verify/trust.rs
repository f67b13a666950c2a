//! Trusted issuers, read once; and which of them decide about a certificate.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::TrustAnchor;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

use super::Names;
use super::VerifyError;
use super::validity;
use crate::error::TlsConfigFault;

/// A set of trusted certificates.
#[derive(Debug)]
pub(super) struct Trust {
    /// The certificates as configured.
    pub(super) certificates: Vec<CertificateDer<'static>>,
    /// The same as anchors.
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    /// What an anchor does not say about its certificate.
    pub(super) roots: Vec<Root>,
}

/// The validity of a trusted certificate, in seconds since the Unix epoch.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) not_before: u64,
    pub(super) not_after: u64,
}

impl Trust {
    /// Reads the certificates.
    pub(super) fn read(certificates: &[CertificateDer<'static>]) -> Result<Self, TlsConfigFault> {
        let mut trust = Self {
            certificates: certificates.to_vec(),
            anchors: Vec::with_capacity(certificates.len()),
            roots: Vec::with_capacity(certificates.len()),
        };
        for (index, der) in certificates.iter().enumerate() {
            let bad = |reason: String| TlsConfigFault::BadCertificate { index, reason };
            let anchor = webpki::anchor_from_trusted_cert(der).map_err(|e| bad(e.to_string()))?;
            let (_, parsed) = X509Certificate::from_der(der).map_err(|e| bad(e.to_string()))?;
            let (not_before, not_after) = validity(&parsed);
            trust.anchors.push(anchor.to_owned());
            trust.roots.push(Root { not_before, not_after });
        }
        Ok(trust)
    }
}

/// The bundle of the trust domain to which a certificate belongs (SPIFFE X.509-SVID §2 to §5), by Envoy's
/// rules: the certificate issues nothing, and its first URI names the domain.
pub(super) fn of_domain<'t>(
    domains: &'t [(Box<str>, Trust)],
    leaf: &X509Certificate<'_>,
    names: &Names<'_>,
) -> Result<&'t Trust, VerifyError> {
    let refused = |reason| Err(VerifyError::Spiffe { reason });
    let is_authority = leaf.basic_constraints().ok().flatten().is_some_and(|basic| basic.value.ca);
    // An SVID says what its key is for (X.509-SVID §4.3).
    let signs = leaf
        .key_usage()
        .ok()
        .flatten()
        .is_none_or(|usage| usage.value.key_cert_sign() || usage.value.crl_sign());
    if is_authority || signs {
        return refused("cert precheck");
    }
    let Some(domain) = names.uri.first().and_then(|uri| trust_domain(uri)) else {
        return refused("the certificate has no SPIFFE id");
    };
    match domains.iter().find(|(name, _)| **name == *domain) {
        Some((_, trust)) => Ok(trust),
        None => refused("no trust bundle for its trust domain"),
    }
}

fn trust_domain(uri: &str) -> Option<&str> {
    let (domain, _) = uri.strip_prefix("spiffe://")?.split_once('/')?;
    Some(domain)
}
