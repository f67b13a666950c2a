//! Extensions of certificates, RFC 5280 §4.2.

use std::net::IpAddr;
use std::ops::BitOr;

use aws_lc_rs::digest;
use der::asn1::ObjectIdentifier;

use crate::Error;
use crate::Key;
use crate::asn1;

/// `KeyUsage`: what a key may do; combined by `|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage(u16);

impl Usage {
    /// Signatures within a handshake.
    pub const DIGITAL_SIGNATURE: Self = Self(1);
    /// Opening keys that were sealed for it.
    pub const KEY_ENCIPHERMENT: Self = Self(1 << 2);
    /// Opening data that was sealed for it.
    pub const DATA_ENCIPHERMENT: Self = Self(1 << 3);
    /// Agreeing on a key.
    pub const KEY_AGREEMENT: Self = Self(1 << 4);
    /// Signing certificates.
    pub const KEY_CERT_SIGN: Self = Self(1 << 5);
    /// Signing lists of revoked certificates.
    pub const CRL_SIGN: Self = Self(1 << 6);
    /// The sign certificate of a TLCP pair.
    pub const SIGN: Self = Self::DIGITAL_SIGNATURE;
    /// The encryption certificate of a TLCP pair, as authorities in the field issue it.
    pub const ENCRYPTION: Self =
        Self(Self::KEY_ENCIPHERMENT.0 | Self::DATA_ENCIPHERMENT.0 | Self::KEY_AGREEMENT.0);
    /// An authority's.
    pub(crate) const AUTHORITY: Self = Self(Self::KEY_CERT_SIGN.0 | Self::CRL_SIGN.0);
}

impl BitOr for Usage {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// `ExtendedKeyUsage`: what a certificate may be shown for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtendedUsage {
    /// As a client of TLS.
    ClientAuth,
    /// To sign code; stands for whatever TLS must refuse.
    CodeSigning,
    /// As a server of TLS.
    ServerAuth,
}

impl ExtendedUsage {
    fn oid(self) -> ObjectIdentifier {
        match self {
            Self::ClientAuth => ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2"),
            Self::CodeSigning => ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3"),
            Self::ServerAuth => ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"),
        }
    }
}

/// One name of `SubjectAltName`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum San {
    /// A host, perhaps with `*` as its first label.
    Dns(String),
    /// A mail address.
    Email(String),
    /// An address.
    Ip(IpAddr),
    /// A URI, such as a SPIFFE ID.
    Uri(String),
}

impl San {
    fn encode(&self) -> Result<Vec<u8>, Error> {
        let ascii = |text: &str| {
            if text.is_ascii() {
                Ok(text.as_bytes().to_vec())
            } else {
                Err(Error::Name(text.to_owned()))
            }
        };
        Ok(match self {
            Self::Dns(name) => asn1::implicit(2, &ascii(name)?),
            Self::Email(address) => asn1::implicit(1, &ascii(address)?),
            Self::Ip(IpAddr::V4(address)) => asn1::implicit(7, &address.octets()),
            Self::Ip(IpAddr::V6(address)) => asn1::implicit(7, &address.octets()),
            Self::Uri(uri) => asn1::implicit(6, &ascii(uri)?),
        })
    }
}

/// `Extensions` of a certificate under `[3]`, or of a list of revoked ones under `[0]`.
pub(crate) fn all(number: u8, extensions: &[Vec<u8>]) -> Vec<u8> {
    asn1::explicit(number, &asn1::element(0x30, &extensions.concat()))
}

/// An authority, over at most `path_length` more of them.
pub(crate) fn authority(path_length: Option<u8>) -> Vec<u8> {
    let length = path_length.map(|length| asn1::integer(&[length])).unwrap_or_default();
    critical(BASIC_CONSTRAINTS, &asn1::sequence(&[&asn1::boolean_true(), &length]))
}

pub(crate) fn key_usage(usage: Usage) -> Vec<u8> {
    critical(KEY_USAGE, &asn1::named_bits(usage.0))
}

pub(crate) fn extended_key_usage(usages: &[ExtendedUsage]) -> Vec<u8> {
    let oids: Vec<u8> = usages.iter().flat_map(|usage| asn1::oid(usage.oid())).collect();
    plain(EXTENDED_KEY_USAGE, &asn1::sequence(&[&oids]))
}

/// RFC 5280 §4.2.1.6: critical when the subject is empty, as in a SPIFFE certificate.
pub(crate) fn subject_alt_name(names: &[San], subject: Subject) -> Result<Vec<u8>, Error> {
    let names = names.iter().map(San::encode).collect::<Result<Vec<_>, _>>()?.concat();
    let value = asn1::sequence(&[&names]);
    Ok(match subject {
        Subject::Empty => critical(SUBJECT_ALT_NAME, &value),
        Subject::Named => plain(SUBJECT_ALT_NAME, &value),
    })
}

/// Whether a certificate's subject says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Empty,
    Named,
}

pub(crate) fn subject_key_id(key: &Key) -> Vec<u8> {
    plain(SUBJECT_KEY_ID, &asn1::octets(&key_id(key)))
}

pub(crate) fn authority_key_id(key: &Key) -> Vec<u8> {
    plain(AUTHORITY_KEY_ID, &asn1::sequence(&[&asn1::implicit(0, &key_id(key))]))
}

pub(crate) fn crl_number(number: &[u8]) -> Vec<u8> {
    plain(CRL_NUMBER, &asn1::integer(number))
}

/// RFC 7093 §2, method 1: the first 160 bits of the key's SHA-256. It is only a label, so it serves SM2 keys as well.
fn key_id(key: &Key) -> Vec<u8> {
    digest::digest(&digest::SHA256, key.public_point()).as_ref()[..20].to_vec()
}

fn critical(id: ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    asn1::sequence(&[&asn1::oid(id), &asn1::boolean_true(), &asn1::octets(value)])
}

fn plain(id: ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    asn1::sequence(&[&asn1::oid(id), &asn1::octets(value)])
}

const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
