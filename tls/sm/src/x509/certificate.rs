//! Reads from a certificate what the classification of dual certificates needs: its key and its KeyUsage.
//!
//! Nothing is verified here. What cannot be read is "not known", and who asks must treat that as a refusal.

use crate::asn1;
use crate::asn1::Malformed;
use crate::asn1::Reader;
use crate::sm2::PublicKey;

/// id-ce-keyUsage, 2.5.29.15.
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];

/// No certificate has more extensions than this; the bound keeps a hostile one from costing time.
const MAX_EXTENSIONS: usize = 64;

/// The parts of a certificate that say what its key is for.
#[derive(Clone, Debug)]
pub struct Certificate<'a> {
    /// The contents of the key's AlgorithmIdentifier.
    pub key_algorithm: &'a [u8],
    /// The key: for SM2, `04 || x || y`.
    pub key: &'a [u8],
    /// KeyUsage, when the extension is there.
    pub key_usage: Option<KeyUsage>,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate (RFC 5280 §4.1); none when it is not the DER of one.
    pub fn from_der(der: &'a [u8]) -> Option<Self> {
        Self::read(der).ok()
    }

    /// Whether the key is one of SM2.
    pub fn is_sm2(&self) -> bool {
        self.key_algorithm == super::SM2_KEY
    }

    /// The key, when it is one of SM2 and on the curve.
    pub fn public_key(&self) -> Option<PublicKey> {
        if self.is_sm2() { PublicKey::from_uncompressed(self.key).ok() } else { None }
    }

    fn read(der: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::whole(der, asn1::SEQUENCE)?;
        let mut tbs = outer.nested(asn1::SEQUENCE)?;
        outer.value(asn1::SEQUENCE)?;
        outer.bit_string()?;
        outer.finish()?;

        tbs.optional(asn1::context(0))?; // version
        tbs.value(asn1::INTEGER)?; // serialNumber: some issuers' are negative
        for _ in ["signature", "issuer", "validity", "subject"] {
            tbs.value(asn1::SEQUENCE)?;
        }
        let (key_algorithm, key) = read_spki(tbs.nested(asn1::SEQUENCE)?)?;
        tbs.optional(0x81)?; // issuerUniqueID
        tbs.optional(0x82)?; // subjectUniqueID
        let mut key_usage = None;
        if let Some(explicit) = tbs.optional(asn1::context(3))? {
            let mut extensions = Reader::whole(explicit, asn1::SEQUENCE)?;
            for _ in 0..MAX_EXTENSIONS {
                if extensions.is_empty() {
                    break;
                }
                let mut extension = extensions.nested(asn1::SEQUENCE)?;
                let id = extension.value(asn1::OID)?;
                extension.optional(asn1::BOOLEAN)?;
                let contents = extension.value(asn1::OCTET_STRING)?;
                extension.finish()?;
                // RFC 5280 §4.2: no extension may come twice.
                if id == KEY_USAGE && key_usage.replace(KeyUsage::read(contents)?).is_some() {
                    return Err(Malformed);
                }
            }
            extensions.finish()?;
        }
        tbs.finish()?;
        Ok(Self { key_algorithm, key, key_usage })
    }
}

/// The uses that a certificate allows its key (RFC 5280 §4.2.1.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage {
    /// Bit n of the BIT STRING as bit 15 - n.
    bits: u16,
}

impl KeyUsage {
    /// Verifying signatures of protocols.
    pub const fn digital_signature(self) -> bool {
        self.has(0)
    }

    /// Once called non-repudiation.
    pub const fn content_commitment(self) -> bool {
        self.has(1)
    }

    /// Encrypting keys.
    pub const fn key_encipherment(self) -> bool {
        self.has(2)
    }

    /// Encrypting data.
    pub const fn data_encipherment(self) -> bool {
        self.has(3)
    }

    /// Key agreement.
    pub const fn key_agreement(self) -> bool {
        self.has(4)
    }

    /// Signing certificates.
    pub const fn key_cert_sign(self) -> bool {
        self.has(5)
    }

    /// Signing CRLs.
    pub const fn crl_sign(self) -> bool {
        self.has(6)
    }

    /// Whether it is what TLCP calls a signature certificate (GM/T 0015: digitalSignature or nonRepudiation).
    pub const fn is_for_signing(self) -> bool {
        self.digital_signature() || self.content_commitment()
    }

    /// Whether it is what TLCP calls an encryption certificate (keyEncipherment, dataEncipherment or keyAgreement).
    pub const fn is_for_encryption(self) -> bool {
        self.key_encipherment() || self.data_encipherment() || self.key_agreement()
    }

    const fn has(self, bit: u32) -> bool {
        self.bits & (0x8000 >> bit) != 0
    }

    /// Reads the BIT STRING. Trailing zero bits, which DER forbids, are borne: issuers write them.
    fn read(der: &[u8]) -> Result<Self, Malformed> {
        let mut outer = Reader::new(der);
        let (&unused, bytes) = outer.value(asn1::BIT_STRING)?.split_first().ok_or(Malformed)?;
        outer.finish()?;
        let bits = match *bytes {
            [] if unused == 0 => 0,
            [first] if unused < 8 => u16::from(first & (0xff << unused)) << 8,
            [first, second] if unused < 8 => u16::from_be_bytes([first, second & (0xff << unused)]),
            _ => return Err(Malformed),
        };
        Ok(Self { bits })
    }
}

impl std::fmt::Debug for KeyUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = [
            "digitalSignature",
            "contentCommitment",
            "keyEncipherment",
            "dataEncipherment",
            "keyAgreement",
            "keyCertSign",
            "cRLSign",
            "encipherOnly",
            "decipherOnly",
        ];
        f.debug_set()
            .entries((0..).zip(names).filter(|&(bit, _)| self.has(bit)).map(|(_, name)| name))
            .finish()
    }
}

/// The KeyUsage of a certificate; none when there is no such extension or the certificate cannot be read.
pub fn key_usage(certificate: &[u8]) -> Option<KeyUsage> {
    Certificate::from_der(certificate)?.key_usage
}

/// Whether a certificate holds an SM2 key.
pub fn is_sm2(certificate: &[u8]) -> bool {
    Certificate::from_der(certificate).is_some_and(|certificate| certificate.is_sm2())
}

/// Whether a DER SubjectPublicKeyInfo holds an SM2 key.
pub fn is_sm2_spki(spki: &[u8]) -> bool {
    Reader::whole(spki, asn1::SEQUENCE)
        .and_then(read_spki)
        .is_ok_and(|(algorithm, _)| algorithm == super::SM2_KEY)
}

/// The SM2 key of a certificate; none when it has another kind of key or one that is not on the curve.
pub fn public_key(certificate: &[u8]) -> Option<PublicKey> {
    Certificate::from_der(certificate)?.public_key()
}

fn read_spki(mut spki: Reader<'_>) -> Result<(&[u8], &[u8]), Malformed> {
    let algorithm = spki.value(asn1::SEQUENCE)?;
    let key = spki.bit_string()?;
    spki.finish()?;
    Ok((algorithm, key))
}
