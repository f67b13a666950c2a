//! The private key: where it comes from, signatures and plain ECDH.

use std::sync::OnceLock;

use zeroize::Zeroize;
use zeroize::Zeroizing;

use super::Error;
use super::PublicKey;
use super::Signature;
use super::group;
use super::group::Scalar;
use super::random;
use crate::sm3::HmacSm3;

/// A private key d, 1 <= d <= n-2, with what signing needs again and again. Wiped when dropped; never shown.
#[derive(Clone)]
pub struct PrivateKey {
    pub(super) secret: Scalar,
    public: PublicKey,
    /// Made by the first signature: ephemeral keys never sign.
    signing: OnceLock<Signing>,
}

/// What only signing needs.
#[derive(Clone)]
struct Signing {
    /// (1 + d)^-1.
    inverse: Scalar,
    /// HMAC-SM3 begun with d, for nonces.
    nonces: HmacSm3,
}

impl PrivateKey {
    /// The key whose scalar is these 32 big-endian bytes.
    ///
    /// # Errors
    /// [`Error::PrivateKey`] for 0 and for n-1 and above (n-1 cannot sign: GB/T 32918.2 §6.1).
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, Error> {
        let secret = Zeroizing::new(Scalar::from_bytes(bytes).ok_or(Error::PrivateKey)?);
        let next = Zeroizing::new(secret.add(&Scalar::ONE));
        if bool::from(secret.is_zero() | next.is_zero()) {
            return Err(Error::PrivateKey);
        }
        let point = group::mul_base(&secret).ok_or(Error::PrivateKey)?;
        let public = PublicKey::from_point(point);
        Ok(Self { secret: *secret, public, signing: OnceLock::new() })
    }

    /// A new key from the system's randomness.
    pub fn generate() -> Result<Self, Error> {
        loop {
            let bytes = Zeroizing::new(random::scalar()?.to_bytes());
            // n-1 alone is refused, and does not come up.
            if let Ok(key) = Self::from_bytes(&bytes) {
                return Ok(key);
            }
        }
    }

    /// The scalar as 32 big-endian bytes.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes())
    }

    /// The public key that belongs to it.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs the concatenated `message` as the signer with the identifier `id` (GB/T 32918.2 §6).
    pub fn sign(&self, id: &[u8], message: &[&[u8]]) -> Result<Signature, Error> {
        self.sign_digest(&self.public.digest(id, message)?)
    }

    /// Signs `digest`, which is SM3(Z_A || message) already ([`PublicKey::digest`]).
    pub fn sign_digest(&self, digest: &[u8; 32]) -> Result<Signature, Error> {
        loop {
            let k = random::nonce(&self.signing().nonces, digest)?;
            if let Some(signature) = self.sign_with(digest, &k) {
                return Ok(signature);
            }
        }
    }

    /// The x coordinate of d·P: ECDH as RFC 8998 uses it.
    pub fn agree(&self, peer: &PublicKey) -> Zeroizing<[u8; 32]> {
        let shared = Zeroizing::new(
            group::mul(&self.secret, &peer.point)
                .expect("the order is prime, d is not zero and no key is infinity"),
        );
        Zeroizing::new(shared.coordinates().0)
    }

    fn signing(&self) -> &Signing {
        self.signing.get_or_init(|| {
            let next = Zeroizing::new(self.secret.add(&Scalar::ONE));
            Signing { inverse: next.invert(), nonces: HmacSm3::new(&*self.to_bytes()) }
        })
    }

    /// One attempt with the nonce `k`; none in the cases in which the standard asks for another (they do not come up in practice).
    pub(super) fn sign_with(&self, digest: &[u8; 32], k: &Scalar) -> Option<Signature> {
        let x = group::mul_base(k)?.coordinates().0;
        let r = Scalar::reduce(digest).add(&Scalar::reduce(&x));
        let sum = Zeroizing::new(r.add(k));
        // s = (1+d)^-1 (k - r d) = (1+d)^-1 (k + r) - r: one multiplication.
        let s = self.signing().inverse.mul(&sum).sub(&r);
        if bool::from(r.is_zero() | sum.is_zero() | s.is_zero()) {
            None
        } else {
            Some(Signature { r, s })
        }
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl Drop for Signing {
    fn drop(&mut self) {
        self.inverse.zeroize();
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}
