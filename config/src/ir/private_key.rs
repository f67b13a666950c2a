//! Private keys as they were configured: open, or locked until they are used.

use std::fmt;
use std::hash::Hash;
use std::hash::Hasher;

use rustls_pki_types::PrivateKeyDer;
use zeroize::Zeroize;

/// A private key. Its `Debug` form hides it.
#[derive(Debug)]
pub enum PrivateKey {
    /// In the clear: PKCS#8, SEC1 or PKCS#1.
    Open(PrivateKeyDer<'static>),
    /// `ENCRYPTED PRIVATE KEY` or `SM2 ENVELOPED KEY`, opened where the cryptography is.
    Locked(LockedKey),
}

/// The PEM of a locked key, with what opens it.
pub struct LockedKey {
    pem: Vec<u8>,
    passphrase: Option<Vec<u8>>,
}

impl LockedKey {
    /// Labels of PEM sections that are keys under a lock.
    pub const LABELS: [&str; 2] = ["ENCRYPTED PRIVATE KEY", "SM2 ENVELOPED KEY"];

    /// The PEM, and the passphrase if one is configured. An enveloped key needs none.
    pub fn new(pem: Vec<u8>, passphrase: Option<Vec<u8>>) -> Self {
        Self { pem, passphrase }
    }

    /// The PEM text with the section of the key.
    pub fn pem(&self) -> &[u8] {
        &self.pem
    }

    /// The passphrase.
    pub fn passphrase(&self) -> Option<&[u8]> {
        self.passphrase.as_deref()
    }
}

impl fmt::Debug for LockedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedKey").finish_non_exhaustive()
    }
}

/// Over everything secret: two that hash alike are the same key, opened the same way.
impl Hash for PrivateKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Open(der) => der.secret_der().hash(state),
            Self::Locked(locked) => (&locked.pem, &locked.passphrase).hash(state),
        }
    }
}

/// Nothing of a key stays in memory that is given back.
impl Drop for PrivateKey {
    fn drop(&mut self) {
        match self {
            Self::Open(der) => der.zeroize(),
            Self::Locked(locked) => {
                locked.pem.zeroize();
                locked.passphrase.zeroize();
            }
        }
    }
}

impl<K: Into<PrivateKeyDer<'static>>> From<K> for PrivateKey {
    fn from(key: K) -> Self {
        Self::Open(key.into())
    }
}
