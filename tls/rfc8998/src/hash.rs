//! SM3 as the hash, MAC and key derivation of the handshake.

use palanquin_sm::sm3;
use palanquin_sm::sm3::HmacSm3;
use rustls::crypto::hash;
use rustls::crypto::hash::HashAlgorithm;
use rustls::crypto::hash::Output;
use rustls::crypto::hmac;

/// The length of a digest in bytes.
const SIZE: usize = 32;

/// SM3 (GB/T 32905).
pub(crate) struct Sm3;

impl hash::Hash for Sm3 {
    fn start(&self) -> Box<dyn hash::Context> {
        Box::new(Running(sm3::Sm3::new()))
    }

    fn hash(&self, data: &[u8]) -> Output {
        Output::new(&sm3::digest(data))
    }

    fn output_len(&self) -> usize {
        SIZE
    }

    /// The registry of TLS 1.2 has no number for SM3; 7 is the first byte of sm2sig_sm3. It only has to
    /// differ from the others: it never goes over the wire.
    fn algorithm(&self) -> HashAlgorithm {
        HashAlgorithm::Unknown(7)
    }
}

struct Running(sm3::Sm3);

impl hash::Context for Running {
    fn fork_finish(&self) -> Output {
        Output::new(&self.0.clone().finalize())
    }

    fn fork(&self) -> Box<dyn hash::Context> {
        Box::new(Self(self.0.clone()))
    }

    fn finish(self: Box<Self>) -> Output {
        Output::new(&self.0.finalize())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

/// HMAC-SM3; rustls makes HKDF of it.
pub(crate) struct Hmac;

impl hmac::Hmac for Hmac {
    fn with_key(&self, key: &[u8]) -> Box<dyn hmac::Key> {
        Box::new(Keyed(HmacSm3::new(key)))
    }

    fn hash_output_len(&self) -> usize {
        SIZE
    }
}

struct Keyed(HmacSm3);

impl hmac::Key for Keyed {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> hmac::Tag {
        let mut mac = self.0.clone();
        mac.update(first);
        for part in middle {
            mac.update(part);
        }
        mac.update(last);
        hmac::Tag::new(&mac.finalize())
    }

    fn tag_len(&self) -> usize {
        SIZE
    }
}
