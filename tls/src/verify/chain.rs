//! The path from a certificate to a trusted one, by webpki.
//!
//! Differences to BoringSSL that remain: at most six issuers between leaf and anchor, and leaves of X.509
//! version 1 are refused.

use std::time::Duration;

use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::UnixTime;
use webpki::EndEntityCert;
use webpki::ExpirationPolicy;
use webpki::RevocationCheckDepth;
use webpki::RevocationOptionsBuilder;
use webpki::UnknownStatusPolicy;
use webpki::VerifiedPath;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

use super::PeerVerifier;
use super::VerifyError;
use super::trust::Trust;
use super::validity;

impl PeerVerifier {
    /// Verifies the chain, its validity in time, key usage, name constraints and revocation.
    pub(super) fn check_chain(
        &self,
        trust: &Trust,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), VerifyError> {
        if let Some(result) = self.trusted_itself(trust, leaf, now) {
            return result;
        }
        let time = if self.context.allow_expired { common_time(leaf, rest, now) } else { now };
        let certificate = EndEntityCert::try_from(leaf).map_err(refused)?;
        let crls: Vec<_> = self.crls.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&crls).ok().map(|options| {
            options
                .with_depth(if self.context.only_leaf_crl {
                    RevocationCheckDepth::EndEntity
                } else {
                    RevocationCheckDepth::Chain
                })
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(if self.context.allow_expired {
                    ExpirationPolicy::Ignore
                } else {
                    ExpirationPolicy::Enforce
                })
                .build()
        });
        let accept = |path: &VerifiedPath<'_>| self.accept_path(trust, path, now);
        certificate
            .verify_for_usage(
                self.algorithms.all,
                &trust.anchors,
                rest,
                time,
                (self.usage)(),
                revocation,
                Some(&accept),
            )
            .map_err(refused)?;
        Ok(())
    }

    /// A certificate that is itself in the list of trusted ones needs no issuer, as with BoringSSL's
    /// `X509_V_FLAG_PARTIAL_CHAIN`; self-signed certificates are often used so. Not with revocation lists,
    /// which only its issuer could have signed.
    fn trusted_itself(
        &self,
        trust: &Trust,
        leaf: &CertificateDer<'_>,
        now: UnixTime,
    ) -> Option<Result<(), VerifyError>> {
        if !self.crls.is_empty() {
            return None;
        }
        let at = trust.certificates.iter().position(|ca| ca == leaf)?;
        let root = trust.roots.get(at)?;
        Some(match (root.not_before, root.not_after) {
            _ if self.context.allow_expired => Ok(()),
            (start, _) if now.as_secs() < start => {
                Err(VerifyError::Chain(CertificateError::NotValidYet))
            }
            (_, end) if now.as_secs() > end => Err(VerifyError::Chain(CertificateError::Expired)),
            _ => Ok(()),
        })
    }

    /// What webpki leaves open about a path: its length, and whether the trusted certificate is in its time.
    fn accept_path(
        &self,
        trust: &Trust,
        path: &VerifiedPath<'_>,
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let issuers = path.intermediate_certificates().count();
        // Envoy's limit counts the trusted certificate as well; 0 and 1 both allow no issuer between.
        let most = self.context.max_verify_depth.map(|depth| depth.saturating_sub(1) as usize);
        if most.is_some_and(|most| issuers > most) {
            return Err(webpki::Error::MaximumPathDepthExceeded);
        }
        if self.context.allow_expired {
            return Ok(());
        }
        let anchor = path.anchor();
        let in_time = trust.anchors.iter().zip(&trust.roots).any(|(known, root)| {
            known.subject == anchor.subject
                && known.subject_public_key_info == anchor.subject_public_key_info
                && (root.not_before..=root.not_after).contains(&now.as_secs())
        });
        if in_time { Ok(()) } else { Err(webpki::Error::CertExpired { time: now, not_after: now }) }
    }
}

/// A time at which every presented certificate is valid, as near to `now` as can be; `now` if there is
/// none, so that a chain without such a time is refused.
fn common_time(leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>], now: UnixTime) -> UnixTime {
    let mut range = (0, u64::MAX);
    for der in std::iter::once(leaf).chain(rest) {
        if let Ok((_, parsed)) = X509Certificate::from_der(der) {
            let (start, end) = validity(&parsed);
            range = (range.0.max(start), range.1.min(end));
        }
    }
    if range.0 > range.1 {
        return now;
    }
    UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs().clamp(range.0, range.1)))
}

/// The alert depends on the kind of error, so it is kept where TLS has an alert of its own.
fn refused(error: webpki::Error) -> VerifyError {
    use webpki::Error;
    VerifyError::Chain(match error {
        Error::BadDer | Error::BadDerTime | Error::TrailingData(_) => CertificateError::BadEncoding,
        Error::CertExpired { .. } | Error::InvalidCertValidity => CertificateError::Expired,
        Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
        Error::CertRevoked => CertificateError::Revoked,
        Error::CrlExpired { .. } => CertificateError::ExpiredRevocationList,
        Error::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        Error::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        // Whoever issued it may not have: BoringSSL's alert is the same.
        Error::UnknownIssuer
        | Error::EndEntityUsedAsCa
        | Error::MaximumPathDepthExceeded
        | Error::PathLenConstraintViolated => CertificateError::UnknownIssuer,
        Error::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        other => CertificateError::Other(rustls::OtherError(std::sync::Arc::new(other))),
    })
}

/// OpenSSL's words for the cause, where it has them.
pub(super) fn reason(error: &CertificateError) -> String {
    match error {
        CertificateError::BadEncoding => "malformed certificate".to_owned(),
        CertificateError::BadSignature => "certificate signature failure".to_owned(),
        CertificateError::Expired => "certificate has expired".to_owned(),
        CertificateError::ExpiredRevocationList => "CRL has expired".to_owned(),
        CertificateError::InvalidPurpose => "unsupported certificate purpose".to_owned(),
        CertificateError::NotValidYet => "certificate is not yet valid".to_owned(),
        CertificateError::Revoked => {
            "certificate revocation check against provided CRLs failed: certificate revoked"
                .to_owned()
        }
        CertificateError::UnknownIssuer => "unable to get local issuer certificate".to_owned(),
        CertificateError::UnknownRevocationStatus => "unable to get certificate CRL".to_owned(),
        CertificateError::Other(other) => other.to_string(),
        other => other.to_string(),
    }
}
