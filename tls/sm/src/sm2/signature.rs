//! The signature value: a pair of integers and its two encodings.

use super::Error;
use super::group;
use super::group::Scalar;
use crate::asn1;

/// A signature (r, s), with 1 <= r, s <= n-1.
#[derive(Clone, Copy)]
pub struct Signature {
    pub(super) r: Scalar,
    pub(super) s: Scalar,
}

impl Signature {
    /// Reads the DER of GM/T 0009 §7.3, `SEQUENCE { r INTEGER, s INTEGER }`, strictly.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let read = || {
            let mut inner = asn1::Reader::whole(der, asn1::SEQUENCE)?;
            let pair = (inner.u256()?, inner.u256()?);
            inner.finish()?;
            Ok(pair)
        };
        let (r, s) = read().map_err(|_: asn1::Malformed| Error::SignatureEncoding)?;
        Self::from_parts(&r, &s)
    }

    /// Reads r and s as 32 big-endian bytes each.
    pub fn from_bytes(bytes: &[u8; 64]) -> Result<Self, Error> {
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&bytes[..32]);
        s.copy_from_slice(&bytes[32..]);
        Self::from_parts(&r, &s)
    }

    /// The DER form, at most 72 bytes.
    pub fn to_der(&self) -> Vec<u8> {
        let (r, s) = (asn1::unsigned(&self.r.to_bytes()), asn1::unsigned(&self.s.to_bytes()));
        asn1::value(asn1::SEQUENCE, &[&r, &s]).to_vec()
    }

    /// r and s as 32 big-endian bytes each.
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.r.to_bytes());
        bytes[32..].copy_from_slice(&self.s.to_bytes());
        bytes
    }

    /// Whether it fits `digest` (GB/T 32918.2 §7.1 B4-B7); `sum` is s·G + t·P.
    pub(super) fn check(
        &self,
        digest: &[u8; 32],
        sum: impl FnOnce(&Scalar, &Scalar) -> group::Sum,
    ) -> Result<(), Error> {
        let t = self.r.add(&self.s);
        if bool::from(t.is_zero()) {
            return Err(Error::Signature);
        }
        // R = e + x1 is r exactly when x1 is r - e, modulo n.
        let x = self.r.sub(&Scalar::reduce(digest));
        if sum(&self.s, &t).has_x_vartime(&x) { Ok(()) } else { Err(Error::Signature) }
    }

    fn from_parts(r: &[u8; 32], s: &[u8; 32]) -> Result<Self, Error> {
        let read = |bytes| {
            let scalar = Scalar::from_bytes(bytes)?;
            if bool::from(scalar.is_zero()) { None } else { Some(scalar) }
        };
        match (read(r), read(s)) {
            (Some(r), Some(s)) => Ok(Self { r, s }),
            _ => Err(Error::SignatureEncoding),
        }
    }
}

impl PartialEq for Signature {
    fn eq(&self, other: &Self) -> bool {
        self.to_bytes() == other.to_bytes()
    }
}

impl Eq for Signature {}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signature(")?;
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}
