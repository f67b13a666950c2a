//! Secret scalars: fresh ones and the nonces of signatures.

use aws_lc_rs::rand;
use zeroize::Zeroize;
use zeroize::Zeroizing;

use super::Error;
use super::group::Scalar;
use crate::sm3::HmacSm3;

/// Fills `out` from the system's generator.
pub(crate) fn fill(out: &mut [u8]) -> Result<(), Error> {
    rand::fill(out).map_err(|_unspecified| Error::Random)
}

/// A secret scalar, uniform in 1..n-1.
///
/// Candidates are 256 bits and those that are no scalar are thrown away (once in 2^32), so that nothing is biased.
pub(crate) fn scalar() -> Result<Zeroizing<Scalar>, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    loop {
        fill(&mut *bytes)?;
        if let Some(k) = accept(&bytes) {
            return Ok(k);
        }
    }
}

/// The nonce of one signature, hedged: uniform when the system's randomness is sound, and still secret and never the same for
/// two digests when it is not, as it is HMAC-SM3 of randomness and digest under the private key.
///
/// `keyed` is the HMAC begun with the private key.
pub(crate) fn nonce(keyed: &HmacSm3, digest: &[u8; 32]) -> Result<Zeroizing<Scalar>, Error> {
    let mut random = Zeroizing::new([0; 32]);
    loop {
        fill(&mut *random)?;
        if let Some(k) = nonce_from(keyed, digest, &random) {
            return Ok(k);
        }
    }
}

fn nonce_from(keyed: &HmacSm3, digest: &[u8; 32], random: &[u8; 32]) -> Option<Zeroizing<Scalar>> {
    let mut mac = keyed.clone();
    mac.update(random);
    mac.update(digest);
    let mut bytes = Zeroizing::new([0; 32]);
    let mut output = mac.finalize();
    bytes.copy_from_slice(&output);
    output.zeroize();
    accept(&bytes)
}

fn accept(bytes: &[u8; 32]) -> Option<Zeroizing<Scalar>> {
    let k = Zeroizing::new(Scalar::from_bytes(bytes)?);
    if bool::from(k.is_zero()) { None } else { Some(k) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_differ_by_key_digest_and_randomness() {
        let nonce = |key: &[u8], digest, random| {
            nonce_from(&HmacSm3::new(key), &[digest; 32], &[random; 32])
                .expect("one in 2^32 fails")
                .to_bytes()
        };
        let all = [nonce(b"a", 1, 1), nonce(b"b", 1, 1), nonce(b"a", 2, 1), nonce(b"a", 1, 2)];
        for (i, one) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other != one));
        }
    }

    #[test]
    fn values_outside_the_group_are_no_nonce() {
        assert!(accept(&[0; 32]).is_none());
        assert!(accept(&[0xff; 32]).is_none());
        assert!(accept(&[1; 32]).is_some());
    }
}
