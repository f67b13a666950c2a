//! Private keys of both worlds, and the signatures that authorities make with them.

use std::fmt;

use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::encoding::EcPrivateKeyBin;
use aws_lc_rs::rand;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
use aws_lc_rs::signature::EcdsaKeyPair;
use aws_lc_rs::signature::KeyPair as _;
use der::asn1::ObjectIdentifier;
use palanquin_sm::sm2;
use zeroize::Zeroizing;

use crate::Error;
use crate::asn1;
use crate::pem;

/// What a key is, and what its signatures are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    P256,
    /// SM2 with SM3 (GB/T 32918, GB/T 32905), under the identifier `1234567812345678`.
    Sm2,
}

impl Algorithm {
    /// `AlgorithmIdentifier` of signatures; parameters are absent (RFC 5758 §3.2; the same in GB/T 20518).
    pub(crate) fn signature(self) -> Vec<u8> {
        asn1::sequence(&[&asn1::oid(match self {
            Self::P256 => ECDSA_WITH_SHA256,
            Self::Sm2 => SM2_WITH_SM3,
        })])
    }

    /// `AlgorithmIdentifier` of public keys: both are `id-ecPublicKey` on a named curve.
    fn public_key(self) -> Vec<u8> {
        let curve = match self {
            Self::P256 => P256,
            Self::Sm2 => SM2P256V1,
        };
        asn1::sequence(&[&asn1::oid(EC_PUBLIC_KEY), &asn1::oid(curve)])
    }
}

/// A private key.
pub struct Key {
    signer: Signer,
    /// The private scalar, 32 octets.
    scalar: Zeroizing<Vec<u8>>,
    /// The point, uncompressed: 65 octets.
    point: Vec<u8>,
}

enum Signer {
    P256(Box<EcdsaKeyPair>),
    Sm2(Box<sm2::PrivateKey>),
}

impl Key {
    /// A new key.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate(algorithm: Algorithm) -> Result<Self, Error> {
        match algorithm {
            Algorithm::P256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
                    .map_err(|_| Error::Key)?;
                let scalar: EcPrivateKeyBin<'_> =
                    pair.private_key().as_be_bytes().map_err(|_| Error::Key)?;
                Ok(Self {
                    scalar: Zeroizing::new(scalar.as_ref().to_vec()),
                    point: pair.public_key().as_ref().to_vec(),
                    signer: Signer::P256(Box::new(pair)),
                })
            }
            Algorithm::Sm2 => loop {
                let mut scalar = Zeroizing::new([0; 32]);
                rand::fill(&mut *scalar).map_err(|_| Error::Key)?;
                // One in 2^32 is out of range: then another.
                if let Ok(key) = sm2::PrivateKey::from_bytes(&scalar) {
                    return Ok(Self {
                        scalar: Zeroizing::new(scalar.to_vec()),
                        point: key.public_key().to_uncompressed().to_vec(),
                        signer: Signer::Sm2(Box::new(key)),
                    });
                }
            },
        }
    }

    /// What it is.
    pub fn algorithm(&self) -> Algorithm {
        match self.signer {
            Signer::P256(_) => Algorithm::P256,
            Signer::Sm2(_) => Algorithm::Sm2,
        }
    }

    /// The public point, uncompressed: 65 octets.
    pub fn public_point(&self) -> &[u8] {
        &self.point
    }

    /// The private scalar: 32 octets.
    pub fn private_scalar(&self) -> &[u8] {
        &self.scalar
    }

    /// PKCS#8 (RFC 5208), DER.
    pub fn pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        let version = asn1::integer(&[0]);
        let key = Zeroizing::new(asn1::octets(&self.ec_private_key(&[])));
        Zeroizing::new(asn1::sequence(&[&version, &self.algorithm().public_key(), &key]))
    }

    /// PKCS#8, PEM `PRIVATE KEY`.
    pub fn pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem::block("PRIVATE KEY", &self.pkcs8_der()))
    }

    /// SEC 1 (RFC 5915), PEM `EC PRIVATE KEY`.
    pub fn sec1_pem(&self) -> Zeroizing<String> {
        let curve = match self.algorithm() {
            Algorithm::P256 => P256,
            Algorithm::Sm2 => SM2P256V1,
        };
        let parameters = asn1::explicit(0, &asn1::oid(curve));
        Zeroizing::new(pem::block("EC PRIVATE KEY", &self.ec_private_key(&parameters)))
    }

    fn ec_private_key(&self, parameters: &[u8]) -> Zeroizing<Vec<u8>> {
        let version = asn1::integer(&[1]);
        let scalar = Zeroizing::new(asn1::octets(&self.scalar));
        let point = asn1::explicit(1, &asn1::bits(&self.point));
        Zeroizing::new(asn1::sequence(&[&version, &scalar, parameters, &point]))
    }

    /// `SubjectPublicKeyInfo`.
    pub(crate) fn public_key_info(&self) -> Vec<u8> {
        asn1::sequence(&[&self.algorithm().public_key(), &asn1::bits(&self.point)])
    }

    /// A signature, DER.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.signer {
            Signer::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| Error::Key)?;
                Ok(signature.as_ref().to_vec())
            }
            Signer::Sm2(key) => {
                let signature = key.sign(sm2::DEFAULT_ID, &[message]).map_err(|_| Error::Key)?;
                Ok(signature.to_der())
            }
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// GM/T 0006: the recommended curve.
const SM2P256V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.301");
/// GM/T 0006: signatures of SM2 with SM3.
const SM2_WITH_SM3: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.501");
