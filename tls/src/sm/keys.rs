//! Opens private keys: of SM2 in all their forms, and others under a passphrase.

use palanquin_config::ir::private_key::PrivateKey;
use palanquin_sm::key_ops::KeyOps;
use palanquin_sm::keys;
use palanquin_sm::keys::KeyFileError;
use palanquin_sm::keys::Passphrase;
use palanquin_sm::keys::Unlock;
use palanquin_sm::sm2;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::PrivatePkcs8KeyDer;

/// An SM2 key. `sign_key` is that of the pair, which opens an enveloped key.
pub(crate) fn sm2_key(
    key: &PrivateKey,
    sign_key: Option<&dyn KeyOps>,
) -> Result<sm2::PrivateKey, KeyFileError> {
    match key {
        PrivateKey::Open(PrivateKeyDer::Pkcs8(der)) => keys::from_pkcs8_der(der.secret_pkcs8_der()),
        PrivateKey::Open(PrivateKeyDer::Sec1(der)) => keys::from_sec1_der(der.secret_sec1_der()),
        PrivateKey::Open(_) => Err(KeyFileError::NotSm2),
        PrivateKey::Locked(locked) => {
            let passphrase = locked.passphrase().map(Passphrase);
            keys::from_pem_with(locked.pem(), &Unlock { passphrase, sign_key })
        }
    }
}

/// Whether only the sign key of the pair opens it.
pub(crate) fn is_enveloped(key: &PrivateKey) -> bool {
    let PrivateKey::Locked(locked) = key else { return false };
    matches!(keys::kind_of_pem(locked.pem()), Ok(keys::Kind::Sm2Enveloped))
}

/// A key of another algorithm.
pub(crate) fn standard_key(key: &PrivateKey) -> Result<PrivateKeyDer<'static>, KeyFileError> {
    match key {
        PrivateKey::Open(der) => Ok(der.clone_key()),
        PrivateKey::Locked(locked) => {
            let passphrase = locked.passphrase().ok_or(KeyFileError::PassphraseMissing)?;
            let der = keys::decrypt_pem(locked.pem(), passphrase)?;
            Ok(PrivatePkcs8KeyDer::from(der.to_vec()).into())
        }
    }
}
