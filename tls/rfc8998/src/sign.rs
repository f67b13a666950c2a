//! Signing CertificateVerify with an SM2 key, wherever the key lives.
//!
//! The key is behind [`KeyOps`], so it may be in a device behind SDF (GM/T 0018). rustls calls [`Signer::sign`]
//! in the middle of a handshake and waits for the answer. A key that says [`KeyOps::is_blocking`] must not be
//! waited for on a reactor: the step of the handshake that signs (`process_new_packets`) runs on a thread that
//! may block.

use std::sync::Arc;

use palanquin_sm::key_ops::KeyOps;
use palanquin_sm::keys;
use palanquin_sm::sm2::TLS13_ID;
use rustls::Error;
use rustls::SignatureAlgorithm;
use rustls::SignatureScheme;
use rustls::crypto::KeyProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::Signer;
use rustls::sign::SigningKey;

use crate::SM2SIG_SM3;

/// An SM2 key for TLS 1.3.
#[derive(Debug)]
pub struct Sm2SigningKey {
    key: Arc<dyn KeyOps>,
    public: SubjectPublicKeyInfoDer<'static>,
}

impl Sm2SigningKey {
    /// Signs with this key.
    pub fn new(key: Arc<dyn KeyOps>) -> Self {
        let mut public = SPKI_PREFIX.to_vec();
        public.extend_from_slice(&key.public_key().to_uncompressed());
        Self { key, public: SubjectPublicKeyInfoDer::from(public) }
    }
}

impl SigningKey for Sm2SigningKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SM2SIG_SM3).then(|| Box::new(Sm2Signer(Arc::clone(&self.key))) as _)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.public.as_ref()))
    }

    /// The second byte of sm2sig_sm3, as with all schemes of TLS 1.2; TLS 1.3 does not use it.
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::Unknown(8)
    }
}

#[derive(Debug)]
struct Sm2Signer(Arc<dyn KeyOps>);

impl Signer for Sm2Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self
            .0
            .sign(TLS13_ID, &[message])
            .map_err(|error| Error::General(format!("the SM2 key did not sign: {error}")))?;
        Ok(signature.to_der())
    }

    fn scheme(&self) -> SignatureScheme {
        SM2SIG_SM3
    }
}

/// Reads keys of PKCS#8 and SEC1.
#[derive(Debug)]
pub(crate) struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, der: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let key = match &der {
            PrivateKeyDer::Pkcs8(der) => keys::from_pkcs8_der(der.secret_pkcs8_der()),
            PrivateKeyDer::Sec1(der) => keys::from_sec1_der(der.secret_sec1_der()),
            _ => return Err(Error::General("not an SM2 key in PKCS#8 or SEC1".to_owned())),
        };
        let key = key.map_err(|error| Error::General(error.to_string()))?;
        Ok(Arc::new(Sm2SigningKey::new(Arc::new(key))))
    }
}

/// SubjectPublicKeyInfo of id-ecPublicKey with the curve 1.2.156.10197.1.301, up to the point.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d, 0x03, 0x42, 0x00,
];
