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
use rustls::pki_types::UnixTime;
use thiserror::Error;
use webpki::KeyUsage;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

use crate::error::TlsConfigError;
use crate::error::TlsConfigFault;

mod chain;
mod companion;
mod issuer;
mod rustls_adapter;
mod san;
mod trust;

pub(crate) use rustls_adapter::ClientVerifier;
pub(crate) use rustls_adapter::ServerVerifier;
pub(crate) use san::Names;
use trust::Trust;

/// Why a certificate was refused.
#[derive(Debug, Clone, Error)]
pub enum VerifyError {
    /// Neither its digest nor its key's is pinned (`fail_verify_cert_hash`).
    #[error("cert hash and spki")]
    CertificateHash,
    /// It does not chain to a trusted issuer, is out of its time, or is revoked (`fail_verify_error`).
    #[error("X509_verify_cert: certificate verification error at depth 0: {}", chain::reason(.0))]
    Chain(CertificateError),
    /// Its key may not be used for signatures (RFC 5280 §4.2.1.3), so it cannot stand for a peer.
    #[error("KEY_USAGE_BIT_INCORRECT")]
    KeyUsage,
    /// It cannot be read.
    #[error("the certificate cannot be read")]
    Malformed,
    /// A name in it holds a NUL byte, or is no text: the mark of a forged identity.
    #[error("a subject alternative name holds a forbidden byte")]
    MalformedName,
    /// The two certificates of a TLCP peer do not belong together.
    #[error("the encryption certificate is another endpoint's")]
    Pair,
    /// It is no SPIFFE identity of a trust domain that is known (`fail_verify_error`).
    #[error("SPIFFE: {reason}")]
    Spiffe {
        /// Why.
        reason: &'static str,
    },
    /// No subject alternative name matches (`fail_verify_san`).
    #[error("SAN matcher, certificate SANs are [{presented}]")]
    San {
        /// The names that the certificate carries.
        presented: String,
    },
}

impl VerifyError {
    /// The counter below `ssl.` that counts it.
    pub(crate) fn stat(&self) -> &'static str {
        match self {
            Self::CertificateHash => "fail_verify_cert_hash",
            Self::San { .. } => "fail_verify_san",
            Self::KeyUsage => "connection_error",
            _ => "fail_verify_error",
        }
    }
}

/// Checks certificates of one side of one context. Shared by all workers.
#[derive(Debug)]
pub(crate) struct PeerVerifier {
    context: Arc<ValidationContext>,
    trust: Option<Trust>,
    /// By trust domain of SPIFFE.
    domains: Option<Vec<(Box<str>, Trust)>>,
    crls: Vec<webpki::CertRevocationList<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    usage: fn() -> KeyUsage,
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
        let trust = match &context.trusted_ca {
            Some(certificates) => Some(
                Trust::read(certificates)
                    .map_err(|fault| TlsConfigError::new(format!("{FIELD}.trusted_ca"), fault))?,
            ),
            None => None,
        };
        let domains = match &context.spiffe {
            Some(domains) => {
                let read = domains.iter().map(|domain| {
                    let trust = Trust::read(&domain.roots).map_err(|fault| {
                        let name = &domain.name;
                        TlsConfigError::new(
                            format!("{FIELD}.custom_validator_config[{name}]"),
                            fault,
                        )
                    })?;
                    Ok((domain.name.clone(), trust))
                });
                Some(read.collect::<Result<_, _>>()?)
            }
            None => None,
        };
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
        Ok(Self { context: Arc::clone(context), trust, domains, crls, algorithms, usage })
    }

    /// Whether anything about the certificate is proved when it is accepted.
    pub(crate) fn authenticates(&self) -> bool {
        self.context.authenticates()
    }

    /// Whether a peer without a certificate is refused although none is required: who pins certificates
    /// cannot do without one (as in Envoy).
    pub(crate) fn demands_one(&self) -> bool {
        self.has_pins()
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
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| VerifyError::Malformed)?;
        check_key_usage(&parsed)?;
        let names = Names::of(&parsed);
        if let Some(domains) = &self.domains {
            let names = names.as_ref().map_err(Clone::clone)?;
            let trust = trust::of_domain(domains, &parsed, names)?;
            self.check_chain(trust, leaf, rest, now)?;
        } else if let Some(trust) = &self.trust {
            self.check_chain(trust, leaf, rest, now)?;
        }
        let names = names?;
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

/// A peer signs the handshake with its key, which must be meant for that if the certificate says what it is for.
/// BoringSSL looks at this before anything is verified, and so whatever the configuration says.
pub(crate) fn check_key_usage(leaf: &X509Certificate<'_>) -> Result<(), VerifyError> {
    match leaf.key_usage() {
        Ok(Some(usage)) if !usage.value.digital_signature() => Err(VerifyError::KeyUsage),
        Ok(_) => Ok(()),
        Err(_) => Err(VerifyError::Malformed),
    }
}

/// Start and end of validity in seconds since the Unix epoch; times before it count as 0.
pub(crate) fn validity(certificate: &X509Certificate<'_>) -> (u64, u64) {
    let validity = certificate.validity();
    let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
    (seconds(validity.not_before.timestamp()), seconds(validity.not_after.timestamp()))
}
