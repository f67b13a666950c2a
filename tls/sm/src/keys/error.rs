//! What can be wrong with a key file.

use crate::key_ops::KeyError;
use crate::sm2;

/// Why a private key could not be read or written. The texts are for the operator whose file it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// There is no block with a private key.
    #[error(
        "no private key found; accepted are the PEM blocks `EC PRIVATE KEY`, `PRIVATE KEY`, `ENCRYPTED PRIVATE KEY` and `SM2 ENVELOPED KEY`"
    )]
    NoKey,
    /// A block ends nowhere, or its base64 is broken.
    #[error("the PEM block `{label}` is damaged; copy the file again")]
    Pem {
        /// The label of the block.
        label: &'static str,
    },
    /// Encryption of the old OpenSSL kind.
    #[error(
        "the private key is encrypted the old OpenSSL way (`Proc-Type: 4,ENCRYPTED`), which is weak; convert it with `openssl pkcs8 -topk8`"
    )]
    LegacyEncryption,
    /// The block's contents are not the DER that its label promises.
    #[error("the private key is not valid {form}; write it again with the tool that made it")]
    Der {
        /// The form that was expected.
        form: &'static str,
    },
    /// The key is for another algorithm or curve.
    #[error("the private key is not one of SM2 (curve 1.2.156.10197.1.301)")]
    NotSm2,
    /// The scalar is out of range.
    #[error("the private key is out of range; it cannot be an SM2 key")]
    Range,
    /// The file's public half is of another key.
    #[error(
        "the public key inside the private key file belongs to another private key; write the file again"
    )]
    Mismatch,
    /// Another form where an encrypted key was expected.
    #[error("the private key is not an `ENCRYPTED PRIVATE KEY`")]
    NotEncrypted,
    /// An encrypted key and no passphrase.
    #[error("the private key is encrypted; give its passphrase")]
    PassphraseMissing,
    /// The passphrase does not fit, which cannot be told from a damaged file.
    #[error("the passphrase does not open the private key, or the file is damaged")]
    Passphrase,
    /// Encryption that is not supported.
    #[error(
        "the private key is encrypted with {what} that is not supported; encrypt it with PBES2, PBKDF2 with HMAC of SHA-1, SHA-256, SHA-384, SHA-512 or SM3, and AES-128-CBC, AES-256-CBC or SM4-CBC"
    )]
    Encryption {
        /// The part that is not known.
        what: &'static str,
    },
    /// So many rounds that opening would take too long, or none.
    #[error(
        "the private key asks for {iterations} rounds of PBKDF2; between 1 and {} are accepted: encrypt it again with fewer",
        super::MAX_ITERATIONS
    )]
    Iterations {
        /// What the file says.
        iterations: u32,
    },
    /// An enveloped key and no key to open it.
    #[error(
        "the private key is an SM2 enveloped key; give the sign key of the pair, which opens it"
    )]
    SignKeyMissing,
    /// The envelope was made for another sign key, or is damaged.
    #[error(
        "the sign key does not open the SM2 enveloped key: it was made for another sign key, or is damaged"
    )]
    Envelope(#[source] KeyError),
    /// The envelope uses another cipher.
    #[error(
        "the SM2 enveloped key is locked with a cipher other than SM4-ECB, which GM/T 0010 asks for; have it issued again"
    )]
    EnvelopeCipher,
    /// The system gave no randomness, or the like.
    #[error("the private key cannot be written")]
    Write(#[source] sm2::Error),
}
