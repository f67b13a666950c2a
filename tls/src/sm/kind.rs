//! What a certificate is for: standard TLS, or SM signatures, or SM encryption.

use palanquin_sm::x509::Certificate;

/// The three sorts of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its key is none of SM2.
    Standard,
    /// An SM2 key that signs: RFC 8998, and the first of a TLCP pair. So is one without KeyUsage.
    SmSign,
    /// An SM2 key that decrypts and agrees: the second of a TLCP pair.
    SmEncryption,
    /// An SM2 key that may do neither.
    SmUseless,
}

impl Kind {
    /// Sorts a leaf. What cannot be read counts as standard, where loading it says what is wrong.
    pub(crate) fn of(leaf: &[u8]) -> Self {
        let Some(certificate) = Certificate::from_der(leaf).filter(Certificate::is_sm2) else {
            return Self::Standard;
        };
        match certificate.key_usage {
            None => Self::SmSign,
            Some(usage) if usage.is_for_signing() => Self::SmSign,
            Some(usage) if usage.is_for_encryption() => Self::SmEncryption,
            Some(_) => Self::SmUseless,
        }
    }
}
