//! One use of a key as a value, so that it can be carried to a thread that may block.

use zeroize::Zeroizing;

use super::Exchange;
use super::KeyError;
use super::KeyOps;
use super::Peer;
use crate::sm2::PublicKey;
use crate::sm2::Signature;

/// One call of a [`KeyOps`] with its inputs.
#[derive(Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "one value for each handshake, moved once or twice")]
pub enum Operation {
    /// [`KeyOps::decrypt`].
    Decrypt {
        /// The DER of the ciphertext.
        ciphertext: Vec<u8>,
    },
    /// [`KeyOps::initiate`].
    Initiate {
        /// The own identifier.
        own_id: Vec<u8>,
    },
    /// [`KeyOps::respond`].
    Respond {
        /// The own identifier.
        own_id: Vec<u8>,
        /// The peer's identifier.
        peer_id: Vec<u8>,
        /// The peer's long-term key.
        peer_static: PublicKey,
        /// The peer's ephemeral key.
        peer_ephemeral: PublicKey,
        /// The length of the key to derive, in bytes.
        length: usize,
    },
    /// [`KeyOps::sign`].
    Sign {
        /// The own identifier.
        id: Vec<u8>,
        /// What to sign.
        message: Vec<u8>,
    },
}

/// What an [`Operation`] came to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The plaintext.
    Decrypted(Plaintext),
    /// The exchange that was begun.
    Initiated(Box<dyn Exchange>),
    /// The own ephemeral key and the derived key.
    Responded(PublicKey, Plaintext),
    /// The signature.
    Signed(Signature),
}

/// Secret bytes that are wiped when dropped and do not show in `Debug` output.
pub struct Plaintext(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Plaintext(..)")
    }
}

impl Operation {
    /// Makes the call.
    pub fn run(self, key: &dyn KeyOps) -> Result<Outcome, KeyError> {
        match self {
            Self::Decrypt { ciphertext } => {
                Ok(Outcome::Decrypted(Plaintext(key.decrypt(&ciphertext)?)))
            }
            Self::Initiate { own_id } => Ok(Outcome::Initiated(key.initiate(&own_id)?)),
            Self::Respond { own_id, peer_id, peer_static, peer_ephemeral, length } => {
                let peer =
                    Peer { id: &peer_id, static_key: &peer_static, ephemeral: &peer_ephemeral };
                let mut out = Zeroizing::new(vec![0; length]);
                let ephemeral = key.respond(&own_id, &peer, &mut out)?;
                Ok(Outcome::Responded(ephemeral, Plaintext(out)))
            }
            Self::Sign { id, message } => Ok(Outcome::Signed(key.sign(&id, &[&message])?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sm2::DEFAULT_ID;
    use crate::sm2::PrivateKey;

    #[test]
    fn an_exchange_by_operations_gives_both_sides_one_key() {
        let (server, client) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let own_id = DEFAULT_ID.to_vec();
        let Outcome::Initiated(begun) =
            Operation::Initiate { own_id: own_id.clone() }.run(&server).unwrap()
        else {
            panic!("another outcome");
        };
        let respond = Operation::Respond {
            own_id: own_id.clone(),
            peer_id: own_id,
            peer_static: server.public_key().clone(),
            peer_ephemeral: begun.ephemeral().clone(),
            length: 48,
        };
        let Outcome::Responded(ephemeral, Plaintext(theirs)) = respond.run(&client).unwrap() else {
            panic!("another outcome");
        };
        let mut ours = [0; 48];
        let peer = Peer { id: DEFAULT_ID, static_key: client.public_key(), ephemeral: &ephemeral };
        begun.finish(&peer, &mut ours).unwrap();
        assert_eq!(ours[..], theirs[..]);
    }

    #[test]
    fn outcomes_show_no_secret() {
        let key = PrivateKey::generate().unwrap();
        let ciphertext = key.public_key().encrypt(b"secret").unwrap();
        let outcome = Operation::Decrypt { ciphertext }.run(&key).unwrap();
        assert_eq!(format!("{outcome:?}"), "Decrypted(Plaintext(..))");
    }
}
