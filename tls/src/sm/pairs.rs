//! The certificates of a context, sorted: standard ones, and SM certificates in pairs.
//!
//! The order in which they are configured does not matter, so that two SDS secrets can be a pair. A
//! certificate for encryption belongs to the one for signing that carries a name of its own, or the same
//! subject.

use std::sync::Arc;

use palanquin_config::ir::tls::SecretSource;
use palanquin_config::ir::tls::TlsCertificate;
use palanquin_filter_api::PeerIdentity;
use palanquin_sm::key_ops::KeyOps;
use palanquin_sm::x509;

use super::error::SmFault;
use super::keys;
use super::kind::Kind;
use crate::error::TlsConfigError;
use crate::error::TlsConfigFault;
use crate::identity;

/// The certificates of a context.
#[derive(Debug, Default)]
pub(crate) struct Sorted<'a> {
    /// With their places in the configuration.
    pub(crate) standard: Vec<(usize, &'a SecretSource<TlsCertificate>)>,
    /// In configured order of the certificates for signing.
    pub(crate) sm: Vec<SmPair>,
}

impl Sorted<'_> {
    /// What the SM certificates say.
    pub(crate) fn identities(&self) -> impl Iterator<Item = Arc<PeerIdentity>> {
        let all =
            self.sm.iter().flat_map(|pair| std::iter::once(&pair.sign).chain(&pair.encryption));
        all.map(|certificate| Arc::clone(&certificate.identity))
    }
}

/// An SM certificate for signing, and its companion if there is one.
#[derive(Debug, Clone)]
pub(crate) struct SmPair {
    pub(crate) sign: SmCertificate,
    /// Without it there is no TLCP for a server, and no ECDHE for a client.
    pub(crate) encryption: Option<SmCertificate>,
}

/// An SM certificate with its key.
#[derive(Debug, Clone)]
pub(crate) struct SmCertificate {
    /// Its place in the configuration.
    pub(crate) index: usize,
    /// As configured: the chain and the OCSP response.
    pub(crate) source: Arc<TlsCertificate>,
    /// Its key, opened.
    pub(crate) key: Arc<dyn KeyOps>,
    pub(crate) identity: Arc<PeerIdentity>,
}

/// Sorts certificates, opens the keys of SM and pairs them up.
///
/// # Errors
/// A secret that has not arrived, an SM key that cannot be used or is another certificate's, certificates for
/// encryption without a companion, and two for the same purpose.
pub(crate) fn sort(sources: &[SecretSource<TlsCertificate>]) -> Result<Sorted<'_>, TlsConfigError> {
    let mut sorted = Sorted::default();
    let mut companions = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        // Whatever is missing is reported where standard certificates are loaded.
        let leaf = source.value().and_then(|certificate| certificate.chain.first());
        let kind = leaf.map_or(Kind::Standard, |leaf| Kind::of(leaf));
        match (kind, source.value()) {
            (Kind::SmSign, Some(certificate)) => {
                let sign = load(index, certificate, None)?;
                if sorted.sm.iter().any(|pair| belong_together(&pair.sign, &sign.identity)) {
                    return Err(fault(index, "", SmFault::SamePurpose { purpose: "signing" }));
                }
                sorted.sm.push(SmPair { sign, encryption: None });
            }
            (Kind::SmEncryption, Some(certificate)) => companions.push((index, certificate)),
            (Kind::SmUseless, _) => {
                return Err(fault(index, ".certificate_chain", SmFault::Useless));
            }
            _ => sorted.standard.push((index, source)),
        }
    }
    for (index, certificate) in companions {
        let identity = read_identity(index, certificate)?;
        let pair = sorted.sm.iter_mut().find(|pair| belong_together(&pair.sign, &identity));
        let pair = pair.ok_or_else(|| fault(index, "", SmFault::EncryptionAlone))?;
        if pair.encryption.is_some() {
            return Err(fault(index, "", SmFault::SamePurpose { purpose: "encryption" }));
        }
        pair.encryption = Some(load(index, certificate, Some(&*pair.sign.key))?);
    }
    Ok(sorted)
}

/// Checks a certificate that stands alone, such as a secret that nothing uses yet. `false`: it is none of SM.
///
/// # Errors
/// Its key cannot be used or is another certificate's. An enveloped key is not looked into.
pub(crate) fn check_alone(source: &SecretSource<TlsCertificate>) -> Result<bool, TlsConfigError> {
    let Some(certificate) = source.value() else { return Ok(false) };
    match certificate.chain.first().map_or(Kind::Standard, |leaf| Kind::of(leaf)) {
        Kind::Standard => Ok(false),
        Kind::SmUseless => Err(fault(0, ".certificate_chain", SmFault::Useless)),
        Kind::SmEncryption if keys::is_enveloped(&certificate.key) => Ok(true),
        Kind::SmEncryption | Kind::SmSign => load(0, certificate, None).map(|_| true),
    }
}

/// Whether two certificates are of one endpoint: a name in common, or the same subject.
fn belong_together(sign: &SmCertificate, other: &PeerIdentity) -> bool {
    are_of_one_endpoint(&sign.identity, other)
}

/// The same, of certificates that are not ours.
pub(crate) fn are_of_one_endpoint(sign: &PeerIdentity, other: &PeerIdentity) -> bool {
    let common = |one: &[Arc<str>], two: &[Arc<str>]| one.iter().any(|name| two.contains(name));
    common(&sign.dns_sans, &other.dns_sans)
        || common(&sign.uri_sans, &other.uri_sans)
        || common(&sign.ip_sans, &other.ip_sans)
        || !sign.subject.is_empty() && sign.subject == other.subject
}

fn load(
    index: usize,
    certificate: &Arc<TlsCertificate>,
    sign_key: Option<&dyn KeyOps>,
) -> Result<SmCertificate, TlsConfigError> {
    let identity = read_identity(index, certificate)?;
    let key = keys::sm2_key(&certificate.key, sign_key)
        .map_err(|error| fault(index, ".private_key", SmFault::Key(error)))?;
    if x509::public_key(&identity.der).as_ref() != Some(key.public_key()) {
        let field = format!("{FIELD}[{index}].private_key");
        return Err(TlsConfigError::new(field, TlsConfigFault::KeyMismatch));
    }
    Ok(SmCertificate { index, source: Arc::clone(certificate), key: Arc::new(key), identity })
}

fn read_identity(
    index: usize,
    certificate: &TlsCertificate,
) -> Result<Arc<PeerIdentity>, TlsConfigError> {
    identity::of(&certificate.chain, true).ok_or_else(|| {
        let reason = "it is not a certificate".to_owned();
        let fault = TlsConfigFault::BadCertificate { index: 0, reason };
        TlsConfigError::new(format!("{FIELD}[{index}].certificate_chain"), fault)
    })
}

fn fault(index: usize, part: &str, fault: SmFault) -> TlsConfigError {
    TlsConfigError::new(format!("{FIELD}[{index}]{part}"), TlsConfigFault::Sm(fault))
}

const FIELD: &str = "common_tls_context.tls_certificates";
