//! The keys that verified on this thread lately: those that come again get tables ([`PreparedKey`]).
//!
//! An authority's key verifies in every handshake with a client certificate. The cache belongs to the thread, so that nothing is
//! shared or locked, and has a bound: 16 prepared keys (64 KiB) and the names of 64 keys seen once. A key is noted when it verified
//! something and prepared the second time, so that what strangers send costs little; at worst they push out what was prepared.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::sm2::Error;
use crate::sm2::PreparedKey;
use crate::sm2::PublicKey;
use crate::sm2::Signature;

const PREPARED: usize = 16;
const SEEN: usize = 64;

thread_local! {
    static RECENT: RefCell<Recent> = const { RefCell::new(Recent::new()) };
}

/// Verifies as [`PublicKey::verify`] does, by the key's encoding.
pub(super) fn verify(
    encoded: &[u8],
    id: &[u8],
    message: &[u8],
    signature: &Signature,
) -> Result<(), Error> {
    if let Some(key) = RECENT.with_borrow_mut(|recent| recent.prepared(encoded)) {
        return key.verify(id, &[message], signature);
    }
    let key = PublicKey::from_uncompressed(encoded)?;
    key.verify(id, &[message], signature)?;
    RECENT.with_borrow_mut(|recent| recent.note(&key));
    Ok(())
}

struct Recent {
    /// The latest first.
    prepared: VecDeque<Rc<PreparedKey>>,
    /// The latest last.
    seen: VecDeque<[u8; 65]>,
}

impl Recent {
    const fn new() -> Self {
        Self { prepared: VecDeque::new(), seen: VecDeque::new() }
    }

    fn prepared(&mut self, encoded: &[u8]) -> Option<Rc<PreparedKey>> {
        let at =
            self.prepared.iter().position(|key| key.public_key().to_uncompressed() == *encoded)?;
        let key = self.prepared.remove(at)?;
        self.prepared.push_front(Rc::clone(&key));
        Some(key)
    }

    fn note(&mut self, key: &PublicKey) {
        let encoded = key.to_uncompressed();
        if let Some(at) = self.seen.iter().position(|seen| *seen == encoded) {
            self.seen.remove(at);
            self.prepared.truncate(PREPARED - 1);
            self.prepared.push_front(Rc::new(PreparedKey::new(key)));
        } else {
            if self.seen.len() == SEEN {
                self.seen.pop_front();
            }
            self.seen.push_back(encoded);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sm2::DEFAULT_ID;
    use crate::sm2::PrivateKey;

    #[test]
    fn a_key_that_comes_again_is_prepared_and_verifies_the_same() {
        let key = PrivateKey::generate().unwrap();
        let signature = key.sign(DEFAULT_ID, &[b"message"]).unwrap();
        let encoded = key.public_key().to_uncompressed();
        for _ in 0..4 {
            assert_eq!(verify(&encoded, DEFAULT_ID, b"message", &signature), Ok(()));
            assert_eq!(verify(&encoded, DEFAULT_ID, b"massage", &signature), Err(Error::Signature));
        }
        assert!(RECENT.with_borrow_mut(|recent| recent.prepared(&encoded)).is_some());
    }

    #[test]
    fn the_cache_keeps_the_latest_and_no_more_than_its_bound() {
        let mut recent = Recent::new();
        let keys: Vec<_> =
            (0..SEEN + 10).map(|_| PrivateKey::generate().unwrap().public_key().clone()).collect();
        for key in &keys {
            recent.note(key);
        }
        assert_eq!((recent.seen.len(), recent.prepared.len()), (SEEN, 0));
        for key in &keys[20..50] {
            recent.note(key);
        }
        assert_eq!(recent.prepared.len(), PREPARED);
        assert!(recent.prepared(&keys[49].to_uncompressed()).is_some());
        assert!(recent.prepared(&keys[20].to_uncompressed()).is_none());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let signature = PrivateKey::generate().unwrap().sign(DEFAULT_ID, &[]).unwrap();
        assert_eq!(verify(&[4; 65], DEFAULT_ID, b"", &signature), Err(Error::Point));
    }
}
