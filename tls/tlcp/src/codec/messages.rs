//! The handshake messages between the hellos and the Finished (GB/T 38636-2020, 6.4.5.3 to 6.4.5.9).

use rustls_pki_types::CertificateDer;

use super::Cursor;
use super::prefixed_u8;
use super::prefixed_u16;
use super::prefixed_u24;
use crate::error::Error;

/// The most certificates that a peer may send: the pair and more issuers than any chain is verified with.
pub(crate) const MAX_CERTIFICATES: usize = 12;

/// An uncompressed point of SM2.
pub(crate) type Point = [u8; 65];

/// `curve_type`, `named_curve`, the point with its length.
pub(crate) const ECDHE_PARAMETERS_LEN: usize = 3 + 1 + 65;

/// Body of a Certificate message.
pub(crate) fn certificate_list<'a>(chain: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(2048);
    prefixed_u24(&mut out, |out| {
        for certificate in chain {
            prefixed_u24(out, |out| out.extend_from_slice(certificate));
        }
    });
    out
}

/// The certificates of a Certificate message; they are copied, and not looked into.
pub(crate) fn read_certificate_list(body: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let malformed = || Error::Decode("Certificate");
    let mut outer = Cursor::new(body);
    let list = outer.vector_u24().ok_or_else(malformed)?;
    outer.end(()).ok_or_else(malformed)?;
    let mut inner = Cursor::new(list);
    let mut chain = Vec::new();
    while !inner.is_empty() {
        let certificate = inner.vector_u24().filter(|der| !der.is_empty()).ok_or_else(malformed)?;
        if chain.len() == MAX_CERTIFICATES {
            return Err(Error::IllegalParameter("the peer sent too many certificates"));
        }
        chain.push(CertificateDer::from(certificate.to_vec()));
    }
    Ok(chain)
}

/// `ServerECDHParams`: the named curve 41 (curveSM2) and a point.
pub(crate) fn ecdhe_parameters(point: &Point) -> [u8; ECDHE_PARAMETERS_LEN] {
    let mut out = [0; ECDHE_PARAMETERS_LEN];
    out[..4].copy_from_slice(&[3, 0, 41, 65]);
    out[4..].copy_from_slice(point);
    out
}

/// What a server signs about its half of the key exchange.
#[derive(Debug)]
pub(crate) struct ServerKeyExchange<'a> {
    /// The parameters as they were signed, with ECDHE; empty with ECC.
    pub(crate) parameters: &'a [u8],
    /// In DER.
    pub(crate) signature: &'a [u8],
}

impl<'a> ServerKeyExchange<'a> {
    /// Reads that of an ECC suite.
    pub(crate) fn read_ecc(body: &'a [u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(body);
        let signature = cursor.vector_u16().and_then(|signature| cursor.end(signature));
        let signature = signature.ok_or(Error::Decode("ServerKeyExchange"))?;
        Ok(Self { parameters: &[], signature })
    }

    /// Reads that of an ECDHE suite. The three bytes of the curve say nothing, as there is one only, and
    /// peers differ in them.
    pub(crate) fn read_ecdhe(body: &'a [u8]) -> Result<(Self, Point), Error> {
        let mut cursor = Cursor::new(body);
        let mut read = || {
            let parameters = cursor.take(ECDHE_PARAMETERS_LEN)?;
            let point = read_parameters(parameters)?;
            let signature = cursor.vector_u16()?;
            cursor.end((Self { parameters, signature }, point))
        };
        read().ok_or(Error::Decode("ServerKeyExchange"))
    }

    /// Body of the message.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = self.parameters.to_vec();
        prefixed_u16(&mut out, |out| out.extend_from_slice(self.signature));
        out
    }
}

/// Reads the client's point. The standard puts a length of two bytes before the parameters; some peers do
/// not. The curve says nothing, as above.
pub(crate) fn read_client_point(body: &[u8]) -> Result<Point, Error> {
    let parameters = if body.len() == ECDHE_PARAMETERS_LEN {
        Some(body)
    } else {
        let mut cursor = Cursor::new(body);
        cursor.vector_u16().and_then(|inner| cursor.end(inner))
    };
    parameters.and_then(read_parameters).ok_or(Error::Decode("ClientKeyExchange"))
}

fn read_parameters(parameters: &[u8]) -> Option<Point> {
    let mut cursor = Cursor::new(parameters);
    let _curve: [u8; 3] = cursor.array()?;
    let point = cursor.vector_u8()?;
    cursor.end(())?;
    point.try_into().ok()
}

/// A vector of two bytes of length, alone in its message: a CertificateVerify, or a ClientKeyExchange of ECC.
pub(crate) fn read_signature<'a>(body: &'a [u8], what: &'static str) -> Result<&'a [u8], Error> {
    let mut cursor = Cursor::new(body);
    cursor.vector_u16().and_then(|only| cursor.end(only)).ok_or(Error::Decode(what))
}

/// What certificates a server asks for.
#[derive(Debug)]
pub(crate) struct CertificateRequest;

impl CertificateRequest {
    /// Checks the form. The types and names are advice that this client has no use for: it has one pair, and the
    /// server says if it does not like it.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(body);
        let mut read = || {
            let types = cursor.vector_u8()?;
            let mut names = Cursor::new(cursor.vector_u16()?);
            while !names.is_empty() {
                names.vector_u16()?;
            }
            (!types.is_empty()).then_some(())?;
            cursor.end(Self)
        };
        read().ok_or(Error::Decode("CertificateRequest"))
    }

    /// Body of the message. `names` are those of the trusted issuers, in DER; those that do not fit are left out.
    pub(crate) fn write<'a>(names: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut out = Vec::new();
        prefixed_u8(&mut out, |out| out.push(ECDSA_SIGN));
        prefixed_u16(&mut out, |out| {
            let start = out.len();
            for name in names {
                if out.len() - start + 2 + name.len() > MAX_NAMES {
                    break;
                }
                prefixed_u16(out, |out| out.extend_from_slice(name));
            }
        });
        out
    }
}

/// `ClientCertificateType` of signatures with elliptic curves.
const ECDSA_SIGN: u8 = 64;
/// Keeps the message in one record.
const MAX_NAMES: usize = 12 * 1024;
