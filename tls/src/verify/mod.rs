//! Decides whether a peer's certificate is accepted, with Envoy's `CertificateValidationContext`.
//!
//! The order is Envoy's: the chain, then subject alternative names, then pins. Nothing is checked that was
//! not asked for: an upstream without `trusted_ca` is encrypted but not authenticated, and a host name is
//! compared only by SAN matchers or `auto_sni_san_validation`. Fails closed: a part that cannot be evaluated
//! refuses the certificate.

use std::sync::Arc;

use aws_lc_rs::digest;
use palanquin_config::ir::tls::ValidationContext;
use rustls::CertificateError;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::TrustAnchor;
use rustls::pki_types::UnixTime;
use thiserror::Error;
use webpki::KeyUsage;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

use crate::error::TlsConfigError;
use crate::error::TlsConfigFault;

mod chain;
mod rustls_adapter;
mod san;

pub(crate) use rustls_adapter::ClientVerifier;
pub(crate) use rustls_adapter::ServerVerifier;
pub(crate) use san::Names;

/// Why a certificate was refused.
#[derive(Debug, Clone, Error)]
pub enum VerifyError {
    /// Neither its digest nor its key's is pinned (`fail_verify_cert_hash`).
    #[error("cert hash and spki")]
    CertificateHash,
    /// It does not chain to a trusted issuer, is out of its time, or is revoked (`fail_verify_error`).
    #[error("X509_verify_cert: certificate verification error at depth 0: {}", chain::reason(.0))]
    Chain(CertificateError),
    /// It cannot be read.
    #[error("the certificate cannot be read")]
    Malformed,
    /// A name in it holds a NUL byte, or is no text: the mark of a forged identity.
    #[error("a subject alternative name holds a forbidden byte")]
    MalformedName,
    /// No subject alternative name matches (`fail_verify_san`).
    #[error("SAN matcher, certificate SANs are [{presented}]")]
    San {
        /// The names that the certificate carries.
        presented: String,
    },
}

/// Checks certificates of one side of one context. Shared by all workers.
#[derive(Debug)]
pub(crate) struct PeerVerifier {
    context: Arc<ValidationContext>,
    roots: Vec<Root>,
    anchors: Vec<TrustAnchor<'static>>,
    crls: Vec<webpki::CertRevocationList<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    usage: fn() -> KeyUsage,
}

/// What an anchor does not say about the trusted certificate it was made of.
#[derive(Debug)]
struct Root {
    not_before: u64,
    not_after: u64,
}

/// Which side the peer is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Client,
    Server,
}

impl PeerVerifier {
    /// Reads the trusted certificates and revocation lists once.
    pub(crate) fn build(
        context: &Arc<ValidationContext>,
        algorithms: WebPkiSupportedAlgorithms,
        peer: Peer,
    ) -> Result<Self, TlsConfigError> {
        const FIELD: &str = "common_tls_context.validation_context";
        let mut roots = Vec::new();
        let mut anchors = Vec::new();
        for (index, der) in context.trusted_ca.iter().flatten().enumerate() {
            let bad = |reason: String| {
                let fault = TlsConfigFault::BadCertificate { index, reason };
                TlsConfigError::new(format!("{FIELD}.trusted_ca"), fault)
            };
            let anchor = webpki::anchor_from_trusted_cert(der).map_err(|e| bad(e.to_string()))?;
            let (_, parsed) = X509Certificate::from_der(der).map_err(|e| bad(e.to_string()))?;
            let (not_before, not_after) = validity(&parsed);
            anchors.push(anchor.to_owned());
            roots.push(Root { not_before, not_after });
        }
        let mut crls = Vec::new();
        for (index, der) in context.crls.iter().enumerate() {
            let crl = webpki::OwnedCertRevocationList::from_der(der).map_err(|e| {
                let fault = TlsConfigFault::BadCrl { index, reason: e.to_string() };
                TlsConfigError::new(format!("{FIELD}.crl"), fault)
            })?;
            crls.push(crl.into());
        }
        let usage = match peer {
            Peer::Client => KeyUsage::client_auth,
            Peer::Server => KeyUsage::server_auth,
        };
        Ok(Self { context: Arc::clone(context), roots, anchors, crls, algorithms, usage })
    }

    /// Whether anything about the certificate is proved when it is accepted.
    pub(crate) fn authenticates(&self) -> bool {
        self.context.trusted_ca.is_some() || self.has_pins()
    }

    /// Whether a certificate that fails is accepted all the same.
    pub(crate) fn accepts_untrusted(&self) -> bool {
        self.context.accept_untrusted
    }

    /// Checks a presented certificate with the rest of its chain. `name`: the DNS name that it must carry,
    /// in place of the configured matchers.
    pub(crate) fn check(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
        name: Option<&str>,
    ) -> Result<(), VerifyError> {
        if self.context.trusted_ca.is_some() {
            self.check_chain(leaf, rest, now)?;
        }
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| VerifyError::Malformed)?;
        let names = Names::of(&parsed)?;
        let matchers = &self.context.san_matchers;
        let named = name.map_or_else(
            || matchers.is_empty() || matchers.iter().any(|matcher| names.matches(matcher)),
            |name| names.has_dns_name(name),
        );
        if !named {
            return Err(VerifyError::San { presented: names.to_text() });
        }
        if self.has_pins() && !self.is_pinned(leaf, &parsed) {
            return Err(VerifyError::CertificateHash);
        }
        Ok(())
    }

    fn has_pins(&self) -> bool {
        !self.context.certificate_hashes.is_empty() || !self.context.spki_pins.is_empty()
    }

    fn is_pinned(&self, leaf: &[u8], parsed: &X509Certificate<'_>) -> bool {
        let holds = |pins: &[[u8; 32]], bytes: &[u8]| {
            let digest = digest::digest(&digest::SHA256, bytes);
            pins.iter().any(|pin| pin == digest.as_ref())
        };
        let spki = parsed.tbs_certificate.subject_pki.raw;
        holds(&self.context.certificate_hashes, leaf) || holds(&self.context.spki_pins, spki)
    }
}

/// Start and end of validity in seconds since the Unix epoch; times before it count as 0.
pub(crate) fn validity(certificate: &X509Certificate<'_>) -> (u64, u64) {
    let validity = certificate.validity();
    let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
    (seconds(validity.not_before.timestamp()), seconds(validity.not_after.timestamp()))
}
