//! PKCS#8 `PrivateKeyInfo` (RFC 5208 §5), also in its second version (RFC 5958).

use zeroize::Zeroizing;

use super::KeyFileError;
use super::sec1;
use crate::asn1;
use crate::asn1::Malformed;
use crate::asn1::Reader;
use crate::sm2::PrivateKey;
use crate::x509;

/// Reads the contents of a `PRIVATE KEY`.
pub fn from_pkcs8_der(der: &[u8]) -> Result<PrivateKey, KeyFileError> {
    let (algorithm, inner) =
        read(der).map_err(|Malformed| KeyFileError::Der { form: "PKCS#8 (`PRIVATE KEY`)" })?;
    if algorithm != x509::SM2_KEY {
        return Err(KeyFileError::NotSm2);
    }
    sec1::from_inner_der(inner)
}

/// Writes the contents of a `PRIVATE KEY`.
pub fn to_pkcs8_der(key: &PrivateKey) -> Zeroizing<Vec<u8>> {
    let inner = asn1::value(asn1::OCTET_STRING, &[&sec1::to_inner_der(key)]);
    let algorithm = asn1::value(asn1::SEQUENCE, &[x509::SM2_KEY]);
    asn1::value(asn1::SEQUENCE, &[&asn1::unsigned(&[0]), &algorithm, &inner])
}

pub(super) fn is_sm2(der: &[u8]) -> bool {
    read(der).is_ok_and(|(algorithm, _)| algorithm == x509::SM2_KEY)
}

/// The contents of the AlgorithmIdentifier and of the key.
fn read(der: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut inner = Reader::whole(der, asn1::SEQUENCE)?;
    if inner.small()? > 1 {
        return Err(Malformed);
    }
    let algorithm = inner.value(asn1::SEQUENCE)?;
    let key = inner.value(asn1::OCTET_STRING)?;
    inner.optional(asn1::context(0))?; // attributes
    inner.optional(0x81)?; // publicKey of RFC 5958; SEC1 has its own
    inner.finish()?;
    Ok((algorithm, key))
}
