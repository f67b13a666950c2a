//! The key in this process.

use zeroize::Zeroizing;

use super::Exchange;
use super::KeyError;
use super::KeyOps;
use super::Peer;
use crate::sm2::PrivateKey;
use crate::sm2::PublicKey;
use crate::sm2::Signature;
use crate::sm2::exchange;
use crate::sm2::exchange::Role;

impl KeyOps for PrivateKey {
    fn public_key(&self) -> &PublicKey {
        Self::public_key(self)
    }

    fn sign(&self, id: &[u8], message: &[&[u8]]) -> Result<Signature, KeyError> {
        Ok(Self::sign(self, id, message)?)
    }

    fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        Ok(Self::decrypt(self, ciphertext)?)
    }

    fn agree(&self, peer: &PublicKey) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        Ok(Self::agree(self, peer))
    }

    fn initiate(&self, own_id: &[u8]) -> Result<Box<dyn Exchange>, KeyError> {
        let ephemeral = Self::generate()?;
        Ok(Box::new(Begun { static_key: self.clone(), ephemeral, own_id: own_id.to_vec() }))
    }

    fn respond(
        &self,
        own_id: &[u8],
        peer: &Peer<'_>,
        out: &mut [u8],
    ) -> Result<PublicKey, KeyError> {
        let ephemeral = Self::generate()?;
        run(Role::Responder, self, &ephemeral, own_id, peer, out)?;
        Ok(ephemeral.public_key().clone())
    }
}

/// An exchange begun with a key of this process.
#[derive(Debug)]
struct Begun {
    static_key: PrivateKey,
    ephemeral: PrivateKey,
    own_id: Vec<u8>,
}

impl Exchange for Begun {
    fn ephemeral(&self) -> &PublicKey {
        self.ephemeral.public_key()
    }

    fn finish(self: Box<Self>, peer: &Peer<'_>, out: &mut [u8]) -> Result<(), KeyError> {
        run(Role::Initiator, &self.static_key, &self.ephemeral, &self.own_id, peer, out)
    }
}

fn run(
    role: Role,
    static_key: &PrivateKey,
    ephemeral: &PrivateKey,
    own_id: &[u8],
    peer: &Peer<'_>,
    out: &mut [u8],
) -> Result<(), KeyError> {
    exchange::agree(
        role,
        static_key,
        ephemeral,
        own_id,
        peer.static_key,
        peer.ephemeral,
        peer.id,
        out,
    )?;
    Ok(())
}
