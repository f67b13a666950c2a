//! SM2 by key, and by the kind of a bad ciphertext.
//!
//! The fixed keys are as unlike random ones as can be: few bits set. Keys are made before the clock starts.

use palanquin_sm::sm2::DEFAULT_ID;
use palanquin_sm::sm2::PrivateKey;

use super::Class;
use super::Random;
use super::Subject;
use super::timed;

pub(crate) fn subjects() -> Vec<Subject> {
    let peer = PrivateKey::from_bytes(&[0x39; 32]).expect("in range").public_key().clone();
    let mut subjects = vec![
        Subject::new("sm2 sign by key", move |class, random| {
            let key = key(class, random);
            timed(|| key.sign(DEFAULT_ID, &[b"a message"]))
        }),
        Subject::new("sm2 key from bytes, by key", move |class, random| {
            let bytes = key_bytes(class, random);
            timed(|| PrivateKey::from_bytes(&bytes))
        }),
        Subject::new("sm2 ecdh by key", move |class, random| {
            let key = key(class, random);
            timed(|| key.agree(&peer))
        }),
        Subject::new("sm2 decrypt by key", move |class, random| {
            let key = key(class, random);
            let ciphertext = key.public_key().encrypt(&[3; 48]).expect("randomness");
            timed(|| key.decrypt(&ciphertext).is_ok())
        }),
    ];
    // Offsets from the end: C2 is 48 bytes with two in front, C3 32 with two in front, y 32.
    for (name, fixed, other) in [
        ("off curve / wrong check value", 48 + 2 + 32 + 2 + 1, 48 + 2 + 1),
        ("wrong first / last byte of check value", 48 + 2 + 32, 48 + 2 + 1),
        ("wrong check value / wrong text", 48 + 2 + 1, 1),
        ("right / wrong text", 0, 1),
    ] {
        let key = PrivateKey::from_bytes(&[0x39; 32]).expect("in range");
        let mut ciphertext = Vec::new();
        subjects.push(Subject::new(format!("sm2 decrypt, {name}"), move |class, _| {
            if ciphertext.is_empty() {
                ciphertext = key.public_key().encrypt(&[3; 48]).expect("randomness");
            }
            let back = if class == Class::Fixed { fixed } else { other };
            let mut changed = ciphertext.clone();
            changed.push(0);
            // Nothing to change is a change of the byte that was pushed, which is taken away again.
            let at = ciphertext.len() - back;
            changed[at] ^= 1;
            changed.truncate(ciphertext.len());
            timed(|| key.decrypt(&changed).is_ok())
        }));
    }
    subjects
}

fn key(class: Class, random: &mut Random) -> PrivateKey {
    PrivateKey::from_bytes(&key_bytes(class, random)).expect("below n: the first byte is")
}

fn key_bytes(class: Class, random: &mut Random) -> [u8; 32] {
    let mut bytes = [0; 32];
    random.fill(class, &mut bytes, 0);
    bytes[0] &= 0x7f;
    bytes[31] |= 1;
    bytes[30] |= 2;
    bytes
}
