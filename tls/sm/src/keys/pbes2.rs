//! `EncryptedPrivateKeyInfo` (RFC 5208 §6) under PBES2 with PBKDF2 (RFC 8018), with AES as OpenSSL writes it and with SM4 and
//! HMAC-SM3 as GmSSL does (GM/T 0091).

use std::num::NonZeroU32;

use aws_lc_rs::cipher::AES_128;
use aws_lc_rs::cipher::AES_256;
use aws_lc_rs::cipher::DecryptingKey;
use aws_lc_rs::cipher::DecryptionContext;
use aws_lc_rs::cipher::EncryptingKey;
use aws_lc_rs::cipher::EncryptionContext;
use aws_lc_rs::cipher::UnboundCipherKey;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

use super::KeyFileError;
use crate::asn1;
use crate::asn1::Malformed;
use crate::asn1::Reader;
use crate::sm2;
use crate::sm3::HmacSm3;
use crate::sm4::Sm4Cbc;

/// The most rounds of PBKDF2 that a file may ask for: a few seconds. OpenSSL writes 2,048, GmSSL 65,536, careful operators a million.
pub const MAX_ITERATIONS: u32 = if cfg!(fuzzing) { 1_000 } else { 10_000_000 };

/// What a file may say at most as salt, in bytes.
const MAX_SALT: usize = 1024;

/// How a key file is encrypted.
#[derive(Clone, Debug)]
pub struct Protection {
    /// The cipher.
    pub cipher: Cipher,
    /// The function of PBKDF2.
    pub prf: Prf,
    /// The rounds of PBKDF2, 1 to [`MAX_ITERATIONS`].
    pub iterations: u32,
}

impl Default for Protection {
    /// SM4-CBC and HMAC-SM3 with 600,000 rounds.
    fn default() -> Self {
        Self { cipher: Cipher::Sm4Cbc, prf: Prf::HmacSm3, iterations: 600_000 }
    }
}

/// The ciphers of key files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES-128-CBC.
    Aes128Cbc,
    /// AES-256-CBC.
    Aes256Cbc,
    /// SM4-CBC.
    Sm4Cbc,
}

/// The pseudo-random functions of PBKDF2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prf {
    /// HMAC-SHA1: PBKDF2's default, for old files only.
    HmacSha1,
    /// HMAC-SHA256.
    HmacSha256,
    /// HMAC-SHA384.
    HmacSha384,
    /// HMAC-SHA512.
    HmacSha512,
    /// HMAC-SM3.
    HmacSm3,
}

/// Decrypts the contents of an `ENCRYPTED PRIVATE KEY`, of whatever algorithm the key is: what returns is a PKCS#8 PrivateKeyInfo.
pub fn decrypt_pkcs8(der: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let locked = Locked::read(der)?;
    let mut key = Zeroizing::new(vec![0; locked.cipher.key_length()]);
    derive(locked.prf, locked.iterations, locked.salt, passphrase, &mut key);
    let mut data = Zeroizing::new(locked.data.to_vec());
    if data.is_empty() || data.len() % 16 != 0 {
        return Err(KeyFileError::Passphrase);
    }
    locked.cipher.decrypt(&key, &locked.iv, &mut data)?;
    // PKCS#7 padding. No timing rule applies: who opens the file holds both the file and the passphrase.
    let padding = usize::from(*data.last().expect("not empty: checked above"));
    if !(1..=16).contains(&padding)
        || data[data.len() - padding..].iter().any(|&b| usize::from(b) != padding)
    {
        return Err(KeyFileError::Passphrase);
    }
    let length = data.len() - padding;
    data.truncate(length);
    // A wrong passphrase passes the padding once in 256 times; the next byte of what comes out tells.
    if Reader::whole(&data, asn1::SEQUENCE).is_err() {
        return Err(KeyFileError::Passphrase);
    }
    Ok(data)
}

/// Encrypts a PrivateKeyInfo into the contents of an `ENCRYPTED PRIVATE KEY`.
pub(super) fn encrypt_pkcs8(
    info: &[u8],
    passphrase: &[u8],
    protection: &Protection,
) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let &Protection { cipher, prf, iterations } = protection;
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    sm2::fill_random(&mut salt).map_err(KeyFileError::Write)?;
    sm2::fill_random(&mut iv).map_err(KeyFileError::Write)?;
    let mut key = Zeroizing::new(vec![0; cipher.key_length()]);
    derive(prf, checked(iterations)?, &salt, passphrase, &mut key);
    let padding = 16 - info.len() % 16;
    let mut data = Zeroizing::new(Vec::with_capacity(info.len() + padding));
    data.extend_from_slice(info);
    data.resize(info.len() + padding, u8::try_from(padding).expect("1 to 16"));
    cipher.encrypt(&key, &iv, &mut data)?;

    // GmSSL reads HMAC-SM3 without parameters only, and RFC 8018 wants NULL for the others.
    let prf = match prf {
        Prf::HmacSm3 => asn1::value(asn1::SEQUENCE, &[&asn1::value(asn1::OID, &[prf.oid()])]),
        _ => {
            asn1::value(asn1::SEQUENCE, &[&asn1::value(asn1::OID, &[prf.oid()]), &[asn1::NULL, 0]])
        }
    };
    let salt = asn1::value(asn1::OCTET_STRING, &[&salt]);
    let rounds = asn1::unsigned(&iterations.to_be_bytes());
    let pbkdf2 = asn1::value(asn1::SEQUENCE, &[&salt, &rounds, &prf]);
    let pbkdf2 = asn1::value(asn1::SEQUENCE, &[&asn1::value(asn1::OID, &[PBKDF2]), &pbkdf2]);
    let iv = asn1::value(asn1::OCTET_STRING, &[&iv]);
    let scheme = asn1::value(asn1::SEQUENCE, &[&asn1::value(asn1::OID, &[cipher.oid()]), &iv]);
    let pbes2 = asn1::value(asn1::SEQUENCE, &[&pbkdf2, &scheme]);
    let algorithm = asn1::value(asn1::SEQUENCE, &[&asn1::value(asn1::OID, &[PBES2]), &pbes2]);
    Ok(asn1::value(asn1::SEQUENCE, &[&algorithm, &asn1::value(asn1::OCTET_STRING, &[&data])]))
}

/// The parts of an EncryptedPrivateKeyInfo.
struct Locked<'a> {
    cipher: Cipher,
    iv: [u8; 16],
    prf: Prf,
    iterations: NonZeroU32,
    salt: &'a [u8],
    data: &'a [u8],
}

impl<'a> Locked<'a> {
    fn read(der: &'a [u8]) -> Result<Self, KeyFileError> {
        let damaged = |Malformed| KeyFileError::Der { form: "PKCS#8 (`ENCRYPTED PRIVATE KEY`)" };
        let outer = || {
            let mut outer = Reader::whole(der, asn1::SEQUENCE)?;
            let mut algorithm = outer.nested(asn1::SEQUENCE)?;
            let data = outer.value(asn1::OCTET_STRING)?;
            outer.finish()?;
            let id = algorithm.value(asn1::OID)?;
            Ok((id, algorithm, data))
        };
        let (id, mut algorithm, data) = outer().map_err(damaged)?;
        if id != PBES2 {
            return Err(KeyFileError::Encryption { what: "a scheme" });
        }
        let mut schemes = || {
            let mut pbes2 = algorithm.nested(asn1::SEQUENCE)?;
            let mut derivation = pbes2.nested(asn1::SEQUENCE)?;
            let mut scheme = pbes2.nested(asn1::SEQUENCE)?;
            pbes2.finish()?;
            Ok((derivation.value(asn1::OID)?, derivation, scheme.value(asn1::OID)?, scheme))
        };
        let (derivation_id, mut derivation, cipher_id, mut scheme) = schemes().map_err(damaged)?;
        if derivation_id != PBKDF2 {
            return Err(KeyFileError::Encryption { what: "a key derivation" });
        }
        let cipher = [Cipher::Aes128Cbc, Cipher::Aes256Cbc, Cipher::Sm4Cbc]
            .into_iter()
            .find(|cipher| cipher.oid() == cipher_id)
            .ok_or(KeyFileError::Encryption { what: "a cipher" })?;
        let mut parameters = || {
            let iv = scheme.value(asn1::OCTET_STRING)?.try_into().map_err(|_length| Malformed)?;
            let mut pbkdf2 = derivation.nested(asn1::SEQUENCE)?;
            let salt = pbkdf2.value(asn1::OCTET_STRING)?;
            let iterations = pbkdf2.small()?;
            let length =
                if pbkdf2.peek() == Some(asn1::INTEGER) { Some(pbkdf2.small()?) } else { None };
            let prf = match pbkdf2.optional(asn1::SEQUENCE)? {
                Some(prf) => Some(Reader::new(prf).value(asn1::OID)?),
                None => None,
            };
            pbkdf2.finish()?;
            if salt.len() > MAX_SALT
                || length.is_some_and(|length| length as usize != cipher.key_length())
            {
                return Err(Malformed);
            }
            Ok((iv, salt, iterations, prf))
        };
        let (iv, salt, iterations, prf_id) = parameters().map_err(damaged)?;
        let prf = match prf_id {
            None => Prf::HmacSha1,
            Some(id) => {
                [Prf::HmacSha1, Prf::HmacSha256, Prf::HmacSha384, Prf::HmacSha512, Prf::HmacSm3]
                    .into_iter()
                    .find(|prf| prf.oid() == id || (*prf == Prf::HmacSm3 && id == HMAC_SM3_SHORT))
                    .ok_or(KeyFileError::Encryption { what: "a function of PBKDF2" })?
            }
        };
        Ok(Self { cipher, iv, prf, iterations: checked(iterations)?, salt, data })
    }
}

fn checked(iterations: u32) -> Result<NonZeroU32, KeyFileError> {
    NonZeroU32::new(iterations)
        .filter(|n| n.get() <= MAX_ITERATIONS)
        .ok_or(KeyFileError::Iterations { iterations })
}

/// PBKDF2 (RFC 8018 §5.2).
fn derive(prf: Prf, iterations: NonZeroU32, salt: &[u8], passphrase: &[u8], out: &mut [u8]) {
    let algorithm = match prf {
        Prf::HmacSha1 => pbkdf2::PBKDF2_HMAC_SHA1,
        Prf::HmacSha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        Prf::HmacSha384 => pbkdf2::PBKDF2_HMAC_SHA384,
        Prf::HmacSha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        Prf::HmacSm3 => return derive_sm3(iterations, salt, passphrase, out),
    };
    pbkdf2::derive(algorithm, iterations, salt, passphrase, out);
}

fn derive_sm3(iterations: NonZeroU32, salt: &[u8], passphrase: &[u8], out: &mut [u8]) {
    let keyed = HmacSm3::new(passphrase);
    for (counter, block) in (1_u32..).zip(out.chunks_mut(32)) {
        let mut mac = keyed.clone();
        mac.update(salt);
        mac.update(&counter.to_be_bytes());
        let mut u = Zeroizing::new(mac.finalize());
        let mut sum = u.clone();
        for _ in 1..iterations.get() {
            let mut mac = keyed.clone();
            mac.update(&*u);
            *u = mac.finalize();
            for (sum, u) in sum.iter_mut().zip(u.iter()) {
                *sum ^= u;
            }
        }
        block.copy_from_slice(&sum[..block.len()]);
    }
}

impl Cipher {
    const fn key_length(self) -> usize {
        match self {
            Self::Aes128Cbc | Self::Sm4Cbc => 16,
            Self::Aes256Cbc => 32,
        }
    }

    /// The contents of its OID.
    const fn oid(self) -> &'static [u8] {
        match self {
            Self::Aes128Cbc => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x02],
            Self::Aes256Cbc => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a],
            Self::Sm4Cbc => &[0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x68, 0x02],
        }
    }

    /// Decrypts whole blocks in place.
    fn decrypt(self, key: &[u8], iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyFileError> {
        if let Some(sm4) = self.sm4(key) {
            sm4.decrypt(iv, data);
            return Ok(());
        }
        let context = DecryptionContext::Iv128(FixedLength::from(*iv));
        DecryptingKey::cbc(self.aes(key)?)
            .and_then(|cipher| cipher.decrypt(data, context).map(|_plaintext| ()))
            .map_err(|_unspecified| KeyFileError::Passphrase)
    }

    /// Encrypts whole blocks in place.
    fn encrypt(self, key: &[u8], iv: &[u8; 16], data: &mut [u8]) -> Result<(), KeyFileError> {
        if let Some(sm4) = self.sm4(key) {
            sm4.encrypt(iv, data);
            return Ok(());
        }
        let context = EncryptionContext::Iv128(FixedLength::from(*iv));
        EncryptingKey::cbc(self.aes(key)?)
            .and_then(|cipher| cipher.less_safe_encrypt(data, context).map(|_context| ()))
            .map_err(|_unspecified| KeyFileError::Passphrase)
    }

    fn sm4(self, key: &[u8]) -> Option<Sm4Cbc> {
        match self {
            Self::Sm4Cbc => Some(Sm4Cbc::new(
                key.try_into().expect("derive made as many bytes as key_length says"),
            )),
            Self::Aes128Cbc | Self::Aes256Cbc => None,
        }
    }

    fn aes(self, key: &[u8]) -> Result<UnboundCipherKey, KeyFileError> {
        let algorithm = if self.key_length() == 16 { &AES_128 } else { &AES_256 };
        UnboundCipherKey::new(algorithm, key).map_err(|_unspecified| KeyFileError::Passphrase)
    }
}

impl Prf {
    /// The contents of its OID.
    const fn oid(self) -> &'static [u8] {
        match self {
            Self::HmacSha1 => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x07],
            Self::HmacSha256 => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09],
            Self::HmacSha384 => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0a],
            Self::HmacSha512 => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0b],
            // 1.2.156.10197.1.401.2
            Self::HmacSm3 => &[0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x11, 0x02],
        }
    }
}

/// 1.2.156.10197.1.401, SM3 itself, which some writers put where HMAC-SM3 belongs.
const HMAC_SM3_SHORT: &[u8] = &[0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x83, 0x11];
/// 1.2.840.113549.1.5.13
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
/// 1.2.840.113549.1.5.12
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
