//! SEC1 `ECPrivateKey` (RFC 5915 §3).

use zeroize::Zeroizing;

use super::KeyFileError;
use crate::asn1;
use crate::asn1::Malformed;
use crate::asn1::Reader;
use crate::sm2::PrivateKey;

const DAMAGED: KeyFileError = KeyFileError::Der { form: "SEC1 (`EC PRIVATE KEY`)" };

/// The curve's OID, 1.2.156.10197.1.301, with its tag.
pub(super) const CURVE: &[u8] = &[0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d];

/// Reads the contents of an `EC PRIVATE KEY`, which must name the curve.
pub fn from_sec1_der(der: &[u8]) -> Result<PrivateKey, KeyFileError> {
    let parts = Parts::read(der).map_err(|Malformed| DAMAGED)?;
    // Without the curve it could be a key of any; P-256's look the same.
    if parts.curve.is_none() {
        return Err(KeyFileError::NotSm2);
    }
    parts.key()
}

/// Writes the contents of an `EC PRIVATE KEY`, curve and public key included.
pub fn to_sec1_der(key: &PrivateKey) -> Zeroizing<Vec<u8>> {
    write(key, true)
}

/// Reads the key inside PKCS#8, whose AlgorithmIdentifier named the curve.
pub(super) fn from_inner_der(der: &[u8]) -> Result<PrivateKey, KeyFileError> {
    Parts::read(der).map_err(|Malformed| DAMAGED)?.key()
}

/// Writes the key inside PKCS#8, without the curve.
pub(super) fn to_inner_der(key: &PrivateKey) -> Zeroizing<Vec<u8>> {
    write(key, false)
}

pub(super) fn is_sm2(der: &[u8]) -> bool {
    Parts::read(der).is_ok_and(|parts| parts.curve == Some(CURVE))
}

struct Parts<'a> {
    secret: &'a [u8],
    /// The parameters as they stand.
    curve: Option<&'a [u8]>,
    public: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    fn read(der: &'a [u8]) -> Result<Self, Malformed> {
        let mut inner = Reader::whole(der, asn1::SEQUENCE)?;
        if inner.small()? != 1 {
            return Err(Malformed);
        }
        let secret = inner.value(asn1::OCTET_STRING)?;
        let curve = inner.optional(asn1::context(0))?;
        let public = match inner.optional(asn1::context(1))? {
            Some(explicit) => {
                let mut reader = Reader::new(explicit);
                let bits = reader.bit_string()?;
                reader.finish()?;
                Some(bits)
            }
            None => None,
        };
        inner.finish()?;
        Ok(Self { secret, curve, public })
    }

    fn key(&self) -> Result<PrivateKey, KeyFileError> {
        if self.curve.is_some_and(|curve| curve != CURVE) {
            return Err(KeyFileError::NotSm2);
        }
        let key = from_secret(self.secret)?;
        match self.public {
            Some(public) if !is_public_of(&key, public) => Err(KeyFileError::Mismatch),
            _ => Ok(key),
        }
    }
}

/// The key of a big-endian scalar. Some tools drop leading zeros and some add one, so the length may differ from 32.
pub(super) fn from_secret(secret: &[u8]) -> Result<PrivateKey, KeyFileError> {
    let (extra, kept) = secret.split_at(secret.len().saturating_sub(32));
    if extra.iter().any(|&byte| byte != 0) {
        return Err(KeyFileError::Range);
    }
    let mut bytes = Zeroizing::new([0; 32]);
    bytes[32 - kept.len()..].copy_from_slice(kept);
    PrivateKey::from_bytes(&bytes).map_err(|_error| KeyFileError::Range)
}

/// Whether an encoded point, compressed or not, is the public half of `key`.
fn is_public_of(key: &PrivateKey, public: &[u8]) -> bool {
    let own = key.public_key().to_uncompressed();
    match public {
        [form @ (2 | 3), x @ ..] => *x == own[1..33] && form & 1 == own[64] & 1,
        _ => *public == own,
    }
}

fn write(key: &PrivateKey, with_curve: bool) -> Zeroizing<Vec<u8>> {
    let secret = asn1::value(asn1::OCTET_STRING, &[&*key.to_bytes()]);
    let curve =
        if with_curve { asn1::value(asn1::context(0), &[CURVE]) } else { Zeroizing::default() };
    let public = asn1::bit_string(&key.public_key().to_uncompressed());
    let public = asn1::value(asn1::context(1), &[&public]);
    asn1::value(asn1::SEQUENCE, &[&asn1::unsigned(&[1]), &secret, &curve, &public])
}
