//! SM2EnvelopedKey (GM/T 0009 §7.4, GM/T 0010): an encryption key on its way from the CA to its owner.
//!
//! ```text
//! SM2EnvelopedKey ::= SEQUENCE {
//!     symAlgID               AlgorithmIdentifier,   -- SM4-ECB
//!     symEncryptedKey        SM2Cipher,             -- a 16-byte key, for the sign key
//!     sm2PublicKey           BIT STRING,
//!     sm2EncryptedPrivateKey BIT STRING }           -- 32 bytes under that key, no padding
//! ```

use zeroize::Zeroizing;

use super::KeyFileError;
use super::sec1;
use crate::asn1;
use crate::asn1::Malformed;
use crate::asn1::Reader;
use crate::key_ops::KeyError;
use crate::key_ops::KeyOps;
use crate::sm2;
use crate::sm2::PrivateKey;
use crate::sm2::PublicKey;
use crate::sm4::Sm4Cbc;

/// SM4-ECB, 1.2.156.10197.1.104.1.
const SM4_ECB: &[u8] = &[0x06, 0x09, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x68, 0x01];
/// SM4 without a mode, 1.2.156.10197.1.104, which GM/T 0010 means as ECB.
const SM4: &[u8] = &[0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x68];

/// Opens the contents of an `SM2 ENVELOPED KEY` with the sign key of the pair.
pub fn from_enveloped_der(der: &[u8], sign_key: &dyn KeyOps) -> Result<PrivateKey, KeyFileError> {
    const DAMAGED: KeyFileError =
        KeyFileError::Der { form: "SM2EnvelopedKey (`SM2 ENVELOPED KEY`)" };

    let parts = Parts::read(der).map_err(|Malformed| DAMAGED)?;
    let algorithm = parts.algorithm.strip_suffix(&[asn1::NULL, 0]).unwrap_or(parts.algorithm);
    if algorithm != SM4_ECB && algorithm != SM4 {
        return Err(KeyFileError::EnvelopeCipher);
    }
    // 64 bytes are the form of SKF devices (GM/T 0016): 32 bytes of zeros first.
    if !matches!(parts.private.len(), 32 | 64) {
        return Err(DAMAGED);
    }
    // The writer's tag and length stand in front of the contents again: SM2Cipher is read as a whole.
    let cipher = asn1::value(asn1::SEQUENCE, &[parts.locked_key]);
    let symmetric = sign_key.decrypt(&cipher).map_err(KeyFileError::Envelope)?;
    let symmetric: &[u8; 16] = symmetric
        .as_slice()
        .try_into()
        .map_err(|_length| KeyFileError::Envelope(KeyError::Operation(sm2::Error::Ciphertext)))?;
    let mut secret = Zeroizing::new(parts.private.to_vec());
    let cipher = Sm4Cbc::new(symmetric);
    for block in secret.chunks_exact_mut(16) {
        // CBC of one block without an IV is ECB.
        cipher.decrypt(&[0; 16], block);
    }
    let key = sec1::from_secret(&secret)?;
    if *parts.public != key.public_key().to_uncompressed() {
        return Err(KeyFileError::Mismatch);
    }
    Ok(key)
}

/// Writes the contents of an `SM2 ENVELOPED KEY` for the owner of `sign_key`.
pub fn to_enveloped_der(
    key: &PrivateKey,
    sign_key: &PublicKey,
) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let mut symmetric = Zeroizing::new([0; 16]);
    sm2::fill_random(&mut *symmetric).map_err(KeyFileError::Write)?;
    let locked_key = sign_key.encrypt(&*symmetric).map_err(KeyFileError::Write)?;
    let mut secret = key.to_bytes();
    let cipher = Sm4Cbc::new(&symmetric);
    for block in secret.chunks_exact_mut(16) {
        cipher.encrypt(&[0; 16], block);
    }
    let algorithm = asn1::value(asn1::SEQUENCE, &[SM4_ECB]);
    let public = asn1::bit_string(&key.public_key().to_uncompressed());
    Ok(asn1::value(
        asn1::SEQUENCE,
        &[&algorithm, &locked_key, &public, &asn1::bit_string(&*secret)],
    ))
}

struct Parts<'a> {
    algorithm: &'a [u8],
    /// The contents of the SM2Cipher.
    locked_key: &'a [u8],
    public: &'a [u8],
    private: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(der: &'a [u8]) -> Result<Self, Malformed> {
        let mut inner = Reader::whole(der, asn1::SEQUENCE)?;
        let parts = Self {
            algorithm: inner.value(asn1::SEQUENCE)?,
            locked_key: inner.value(asn1::SEQUENCE)?,
            public: inner.bit_string()?,
            private: inner.bit_string()?,
        };
        inner.finish()?;
        Ok(parts)
    }
}
