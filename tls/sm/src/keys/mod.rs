//! Private keys in files: reading and writing what operators have.
//!
//! | PEM label | form | read | written |
//! |---|---|---|---|
//! | `EC PRIVATE KEY`, OpenSSL's `SM2 PRIVATE KEY` | SEC1 (RFC 5915) | yes | [`to_sec1_pem`] |
//! | `PRIVATE KEY` | PKCS#8 (RFC 5208) around SEC1 | yes | [`to_pkcs8_pem`] |
//! | `ENCRYPTED PRIVATE KEY` | PBES2 (RFC 8018) with AES-CBC or SM4-CBC | with a passphrase | [`to_encrypted_pem`] |
//! | `SM2 ENVELOPED KEY` | SM2EnvelopedKey (GM/T 0009 §7.4, GM/T 0010) | with the sign key of the pair | [`to_enveloped_pem`] |
//!
//! An encryption key comes from the CA's key management centre inside an envelope for the sign key, so a pair of files may be an
//! ordinary sign key and an enveloped encryption key.
//!
//! Other blocks around the key (`EC PARAMETERS`, certificates) are passed over. Legacy OpenSSL encryption (`Proc-Type:
//! 4,ENCRYPTED`) rests on MD5 and is refused with advice. Error texts say what is wrong and what to do.

mod enveloped;
mod error;
mod pbes2;
mod pem;
mod pkcs8;
mod sec1;

#[cfg(test)]
mod tests;

use zeroize::Zeroizing;

use crate::key_ops::KeyOps;
use crate::sm2::PrivateKey;

pub use enveloped::from_enveloped_der;
pub use enveloped::to_enveloped_der;
pub use error::KeyFileError;
pub use pbes2::Cipher;
pub use pbes2::MAX_ITERATIONS;
pub use pbes2::Prf;
pub use pbes2::Protection;
pub use pbes2::decrypt_pkcs8;
pub use pkcs8::from_pkcs8_der;
pub use pkcs8::to_pkcs8_der;
pub use sec1::from_sec1_der;
pub use sec1::to_sec1_der;

/// What a locked key file is opened with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unlock<'a> {
    /// For `ENCRYPTED PRIVATE KEY`.
    pub passphrase: Option<Passphrase<'a>>,
    /// The sign key of the pair, for `SM2 ENVELOPED KEY`.
    pub sign_key: Option<&'a dyn KeyOps>,
}

/// A passphrase that does not show in `Debug` output.
#[derive(Clone, Copy)]
pub struct Passphrase<'a>(pub &'a [u8]);

impl std::fmt::Debug for Passphrase<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// What the first private key of a PEM file is, as far as it shows without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `ENCRYPTED PRIVATE KEY`: the kind shows once it is decrypted ([`decrypt_pkcs8`]).
    Encrypted,
    /// A readable key of another algorithm or curve.
    Other,
    /// A readable SM2 key.
    Sm2,
    /// An enveloped SM2 key.
    Sm2Enveloped,
}

/// Tells what the first private key of a PEM file is.
///
/// # Errors
/// When there is no private key, or its base64 is broken.
pub fn kind_of_pem(text: &[u8]) -> Result<Kind, KeyFileError> {
    let (label, der) = pem::first_key(text)?;
    Ok(match label {
        pem::Label::Encrypted => Kind::Encrypted,
        pem::Label::Enveloped => Kind::Sm2Enveloped,
        pem::Label::Pkcs8 if pkcs8::is_sm2(&der) => Kind::Sm2,
        pem::Label::Sec1 if sec1::is_sm2(&der) => Kind::Sm2,
        pem::Label::Other | pem::Label::Pkcs8 | pem::Label::Sec1 => Kind::Other,
    })
}

/// Reads the first private key of a PEM file that is not locked.
pub fn from_pem(text: &[u8]) -> Result<PrivateKey, KeyFileError> {
    from_pem_with(text, &Unlock::default())
}

/// Reads the first private key of a PEM file, opening it with what `unlock` has.
pub fn from_pem_with(text: &[u8], unlock: &Unlock<'_>) -> Result<PrivateKey, KeyFileError> {
    let (label, der) = pem::first_key(text)?;
    match label {
        pem::Label::Encrypted => {
            let Passphrase(passphrase) =
                unlock.passphrase.ok_or(KeyFileError::PassphraseMissing)?;
            from_pkcs8_der(&decrypt_pkcs8(&der, passphrase)?)
        }
        pem::Label::Enveloped => {
            from_enveloped_der(&der, unlock.sign_key.ok_or(KeyFileError::SignKeyMissing)?)
        }
        pem::Label::Other => Err(KeyFileError::NotSm2),
        pem::Label::Pkcs8 => from_pkcs8_der(&der),
        pem::Label::Sec1 => from_sec1_der(&der),
    }
}

/// Decrypts the first private key of a PEM file, an `ENCRYPTED PRIVATE KEY` of whatever algorithm. What returns is a PKCS#8
/// PrivateKeyInfo.
pub fn decrypt_pem(text: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    match pem::first_key(text)? {
        (pem::Label::Encrypted, der) => decrypt_pkcs8(&der, passphrase),
        _ => Err(KeyFileError::NotEncrypted),
    }
}

/// Writes `EC PRIVATE KEY`.
pub fn to_sec1_pem(key: &PrivateKey) -> Zeroizing<String> {
    pem::write("EC PRIVATE KEY", &to_sec1_der(key))
}

/// Writes `PRIVATE KEY`.
pub fn to_pkcs8_pem(key: &PrivateKey) -> Zeroizing<String> {
    pem::write("PRIVATE KEY", &to_pkcs8_der(key))
}

/// Writes `ENCRYPTED PRIVATE KEY`.
///
/// # Errors
/// When the system gives no randomness, or `protection` asks for no or too many iterations.
pub fn to_encrypted_pem(
    key: &PrivateKey,
    passphrase: &[u8],
    protection: &Protection,
) -> Result<Zeroizing<String>, KeyFileError> {
    Ok(pem::write(
        "ENCRYPTED PRIVATE KEY",
        &pbes2::encrypt_pkcs8(&to_pkcs8_der(key), passphrase, protection)?,
    ))
}

/// Writes `SM2 ENVELOPED KEY`, to be opened with the sign key of `sign_key`.
pub fn to_enveloped_pem(
    key: &PrivateKey,
    sign_key: &crate::sm2::PublicKey,
) -> Result<Zeroizing<String>, KeyFileError> {
    Ok(pem::write("SM2 ENVELOPED KEY", &to_enveloped_der(key, sign_key)?))
}
