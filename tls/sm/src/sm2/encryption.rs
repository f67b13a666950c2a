//! Public key encryption (GB/T 32918.4) in the DER of GM/T 0009 §7.2, order C1 C3 C2.

use subtle::Choice;
use subtle::ConditionallySelectable as _;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::Error;
use super::PrivateKey;
use super::PublicKey;
use super::group;
use super::group::Point;
use super::random;
use crate::asn1;
use crate::sm3::Sm3;

/// The longest plaintext and ciphertext that is taken, in bytes. TLCP needs 48 and key files 16; the bound is there so that
/// no peer can ask for unbounded work.
const MAX_LENGTH: usize = 64 * 1024;

impl PublicKey {
    /// Encrypts `message` for the owner of this key.
    ///
    /// # Errors
    /// [`Error::Length`] for an empty message, for which the standard has no ciphertext, and beyond 64 KiB.
    pub fn encrypt(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        if message.is_empty() || message.len() > MAX_LENGTH {
            return Err(Error::Length);
        }
        loop {
            if let Some(ciphertext) = self.encrypt_with(message, &*random::scalar()?) {
                return Ok(ciphertext);
            }
        }
    }

    /// One attempt with the nonce `k`; none when the key stream is all zero, for which the standard asks for another `k`.
    pub(super) fn encrypt_with(&self, message: &[u8], k: &group::Scalar) -> Option<Vec<u8>> {
        let (x1, y1) = group::mul_base(k)?.coordinates();
        let shared = Zeroizing::new(group::mul(k, &self.point)?);
        let mut c2 = Zeroizing::new(message.to_vec());
        let (c3, zero) = {
            let coordinates = Coordinates::of(&shared);
            let c3 = coordinates.check_value(message);
            (c3, coordinates.apply_key_stream(&mut c2))
        };
        if bool::from(zero) {
            return None;
        }
        Some(Ciphertext { x: x1, y: y1, check: c3, encrypted: &c2 }.to_der())
    }
}

impl PrivateKey {
    /// Decrypts what [`PublicKey::encrypt`] or a peer's like of it made.
    ///
    /// # Errors
    /// [`Error::CiphertextEncoding`] at once when the bytes are not the DER of a ciphertext, which anybody can see.
    /// [`Error::Ciphertext`] otherwise, and always after the same work for a given length: a point off the curve, a wrong
    /// check value and a key stream of zeros are not told apart by value or time. A caller that must not tell even that
    /// decryption failed (TLCP, GB/T 38636 §6.4.5.9) goes on with random bytes for either error.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let Ciphertext { x, y, check, encrypted } = Ciphertext::from_der(ciphertext)?;
        // A point off the curve must never meet the key; the generator stands in so that the time is the same.
        let (point, on_curve) = match Point::from_bytes(&x, &y) {
            Some(point) => (point, Choice::from(1)),
            None => (Point::GENERATOR, Choice::from(0)),
        };
        let shared = Zeroizing::new(group::mul(&self.secret, &point).ok_or(Error::Ciphertext)?);
        let coordinates = Coordinates::of(&shared);
        let mut message = Zeroizing::new(encrypted.to_vec());
        let zero = coordinates.apply_key_stream(&mut message);
        let matches = coordinates.check_value(&message).ct_eq(&check);
        let good = on_curve & !zero & matches;
        // What did not verify is wiped before anybody can look at it.
        for byte in message.iter_mut() {
            byte.conditional_assign(&0, !good);
        }
        if bool::from(good) { Ok(message) } else { Err(Error::Ciphertext) }
    }
}

/// The parts of a ciphertext.
pub(crate) struct Ciphertext<'a> {
    pub(crate) x: [u8; 32],
    pub(crate) y: [u8; 32],
    /// C3.
    pub(crate) check: [u8; 32],
    /// C2.
    pub(crate) encrypted: &'a [u8],
}

impl<'a> Ciphertext<'a> {
    /// Reads `SEQUENCE { x INTEGER, y INTEGER, hash OCTET STRING (32), cipher OCTET STRING }`.
    pub(crate) fn from_der(der: &'a [u8]) -> Result<Self, Error> {
        let read = || {
            let mut inner = asn1::Reader::whole(der, asn1::SEQUENCE)?;
            let (x, y) = (inner.u256()?, inner.u256()?);
            let check =
                inner.value(asn1::OCTET_STRING)?.try_into().map_err(|_length| asn1::Malformed)?;
            let encrypted = inner.value(asn1::OCTET_STRING)?;
            inner.finish()?;
            Ok(Self { x, y, check, encrypted })
        };
        let read = read().map_err(|_: asn1::Malformed| Error::CiphertextEncoding)?;
        if read.encrypted.is_empty() || read.encrypted.len() > MAX_LENGTH {
            return Err(Error::CiphertextEncoding);
        }
        Ok(read)
    }

    pub(crate) fn to_der(&self) -> Vec<u8> {
        let (x, y) = (asn1::unsigned(&self.x), asn1::unsigned(&self.y));
        let check = asn1::value(asn1::OCTET_STRING, &[&self.check]);
        let encrypted = asn1::value(asn1::OCTET_STRING, &[self.encrypted]);
        asn1::value(asn1::SEQUENCE, &[&x, &y, &check, &encrypted]).to_vec()
    }
}

/// x2 and y2: the secret that both sides come to.
struct Coordinates {
    x: Zeroizing<[u8; 32]>,
    y: Zeroizing<[u8; 32]>,
}

impl Coordinates {
    fn of(point: &Point) -> Self {
        let (x, y) = point.coordinates();
        Self { x: Zeroizing::new(x), y: Zeroizing::new(y) }
    }

    /// C3 = SM3(x2 || M || y2).
    fn check_value(&self, message: &[u8]) -> [u8; 32] {
        let mut hash = Sm3::new();
        hash.update(&*self.x);
        hash.update(message);
        hash.update(&*self.y);
        hash.finalize()
    }

    /// XORs KDF(x2 || y2) onto `data` and tells whether that key stream was all zero.
    fn apply_key_stream(&self, data: &mut [u8]) -> Choice {
        let mut all = 0;
        derive(&[&*self.x, &*self.y], data.len(), |at, stream| {
            for (byte, key) in data[at..].iter_mut().zip(stream) {
                *byte ^= key;
                all |= key;
            }
        });
        all.ct_eq(&0)
    }
}

/// The key derivation function of GB/T 32918.3 §5.4.3: `length` bytes in blocks of at most 32, each given to `take` with its offset.
pub(super) fn derive(secret: &[&[u8]], length: usize, mut take: impl FnMut(usize, &[u8])) {
    let mut begun = Sm3::new();
    for part in secret {
        begun.update(part);
    }
    for (counter, at) in (1_u32..).zip((0..length).step_by(32)) {
        let mut hash = begun.clone();
        hash.update(&counter.to_be_bytes());
        let block = Zeroizing::new(hash.finalize());
        take(at, &block[..32.min(length - at)]);
    }
}
