//! Record protection (RFC 8446 §5.2) by SM4 in GCM and CCM, both with tags of 16 bytes.

use std::marker::PhantomData;

use palanquin_sm::sm4::Sm4Ccm;
use palanquin_sm::sm4::Sm4Gcm;
use rustls::ConnectionTrafficSecrets;
use rustls::ContentType;
use rustls::Error;
use rustls::ProtocolVersion;
use rustls::crypto::cipher::AeadKey;
use rustls::crypto::cipher::InboundOpaqueMessage;
use rustls::crypto::cipher::InboundPlainMessage;
use rustls::crypto::cipher::Iv;
use rustls::crypto::cipher::MessageDecrypter;
use rustls::crypto::cipher::MessageEncrypter;
use rustls::crypto::cipher::Nonce;
use rustls::crypto::cipher::OutboundOpaqueMessage;
use rustls::crypto::cipher::OutboundPlainMessage;
use rustls::crypto::cipher::PrefixedPayload;
use rustls::crypto::cipher::Tls13AeadAlgorithm;
use rustls::crypto::cipher::UnsupportedOperationError;
use rustls::crypto::cipher::make_tls13_aad;

pub(crate) static GCM: Algorithm<Sm4Gcm> = Algorithm(PhantomData);
pub(crate) static CCM: Algorithm<Sm4Ccm> = Algorithm(PhantomData);

const KEY: usize = 16;
const NONCE: usize = 12;
const TAG: usize = 16;
/// The byte for the content type, and the tag.
const OVERHEAD: usize = 1 + TAG;

/// A mode of SM4 that authenticates.
pub(crate) trait Mode: Send + Sync + 'static {
    fn with_key(key: &[u8; KEY]) -> Self;
    fn seal(&self, nonce: &[u8; NONCE], aad: &[u8], data: &mut [u8]) -> [u8; TAG];
    fn open(&self, nonce: &[u8; NONCE], aad: &[u8], data: &mut [u8], tag: &[u8; TAG]) -> bool;
}

macro_rules! mode {
    ($name:ident) => {
        impl Mode for $name {
            fn with_key(key: &[u8; KEY]) -> Self {
                Self::new(key)
            }

            fn seal(&self, nonce: &[u8; NONCE], aad: &[u8], data: &mut [u8]) -> [u8; TAG] {
                self.seal(nonce, aad, data)
            }

            fn open(
                &self,
                nonce: &[u8; NONCE],
                aad: &[u8],
                data: &mut [u8],
                tag: &[u8; TAG],
            ) -> bool {
                self.open(nonce, aad, data, tag).is_ok()
            }
        }
    };
}

mode!(Sm4Gcm);
mode!(Sm4Ccm);

pub(crate) struct Algorithm<M>(PhantomData<fn() -> M>);

impl<M: Mode> Algorithm<M> {
    fn records(key: &AeadKey, iv: Iv) -> Records<M> {
        // The length is what `key_len` asks for.
        let key = key.as_ref().first_chunk().expect("a key of key_len bytes");
        Records { mode: M::with_key(key), iv }
    }
}

impl<M: Mode> Tls13AeadAlgorithm for Algorithm<M> {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Self::records(&key, iv))
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Self::records(&key, iv))
    }

    fn key_len(&self) -> usize {
        KEY
    }

    /// The kernel's TLS knows SM4, but rustls has no name for such keys.
    fn extract_keys(
        &self,
        _: AeadKey,
        _: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

/// One direction of a connection.
struct Records<M> {
    mode: M,
    iv: Iv,
}

impl<M: Mode> MessageEncrypter for Records<M> {
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        sequence: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let length = self.encrypted_payload_len(message.payload.len());
        let mut payload = PrefixedPayload::with_capacity(length);
        payload.extend_from_chunks(&message.payload);
        payload.extend_from_slice(&message.typ.to_array());
        let nonce = Nonce::new(&self.iv, sequence).0;
        let tag = self.mode.seal(&nonce, &make_tls13_aad(length), payload.as_mut());
        payload.extend_from_slice(&tag);
        let (kind, version) = (ContentType::ApplicationData, ProtocolVersion::TLSv1_2);
        Ok(OutboundOpaqueMessage::new(kind, version, payload))
    }

    fn encrypted_payload_len(&self, plain: usize) -> usize {
        plain + OVERHEAD
    }
}

impl<M: Mode> MessageDecrypter for Records<M> {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        sequence: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let payload = &mut message.payload;
        let aad = make_tls13_aad(payload.len());
        let nonce = Nonce::new(&self.iv, sequence).0;
        let (data, tag) = payload.split_last_chunk_mut::<TAG>().ok_or(Error::DecryptError)?;
        if !self.mode.open(&nonce, &aad, data, tag) {
            return Err(Error::DecryptError);
        }
        let length = data.len();
        payload.truncate(length);
        message.into_tls13_unpadded_message()
    }
}
