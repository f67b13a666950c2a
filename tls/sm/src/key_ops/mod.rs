//! The seam between the protocols and wherever a private key lives: in this process, or in an HSM or card behind SDF (GM/T 0018).
//!
//! Everything the suites do with a long-term key goes through [`KeyOps`]; [`PrivateKey`] is the implementation in software. The
//! methods are shaped after what SDF offers, so that a key need not leave its device: an ephemeral key of an exchange is made by
//! the same device (`SDF_GenerateAgreementDataWithECC` and its like), never handed in.
//!
//! # Keys that block
//! The methods are synchronous. A call to a device takes milliseconds, and an event loop must not wait that long: an
//! implementation that talks to a device says so with [`KeyOps::is_blocking`], and an engine on a reactor then runs the call on a
//! thread that may block. Two ways, for which everything here is `Send + Sync + 'static` behind an `Arc`:
//! - An engine without I/O of its own stops at an [`Operation`], which owns its inputs; the driver runs
//!   [`Operation::run`] on such a thread (`tokio::task::spawn_blocking`) and feeds the [`Outcome`] back.
//! - A library that signs synchronously inside its handshake (rustls) has the whole step of the handshake run on such a thread.
//!
//! The driver bounds how many calls are under way, which is also the device's number of sessions.

mod operation;
mod software;

use std::fmt::Debug;

use zeroize::Zeroizing;

use crate::sm2;
use crate::sm2::PublicKey;
use crate::sm2::Signature;

pub use operation::Operation;
pub use operation::Outcome;

#[cfg(doc)]
use crate::sm2::PrivateKey;

/// A private SM2 key that can be used and not seen.
///
/// `Debug` must show nothing secret.
pub trait KeyOps: Debug + Send + Sync {
    /// The public half, known without asking the device.
    fn public_key(&self) -> &PublicKey;

    /// Signs the concatenated `message` as the signer with the identifier `id`: [`PrivateKey::sign`].
    fn sign(&self, id: &[u8], message: &[&[u8]]) -> Result<Signature, KeyError>;

    /// Decrypts a ciphertext of GM/T 0009: [`PrivateKey::decrypt`], with the same rule that all failures but malformed DER
    /// look alike.
    fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError>;

    /// The x coordinate of plain ECDH: [`PrivateKey::agree`].
    fn agree(&self, peer: &PublicKey) -> Result<Zeroizing<[u8; 32]>, KeyError>;

    /// Begins a key exchange of GB/T 32918.3 as initiator, with an ephemeral key of its own.
    fn initiate(&self, own_id: &[u8]) -> Result<Box<dyn Exchange>, KeyError>;

    /// Answers a key exchange of GB/T 32918.3: fills `out` with the key and returns the ephemeral public key to send.
    fn respond(
        &self,
        own_id: &[u8],
        peer: &Peer<'_>,
        out: &mut [u8],
    ) -> Result<PublicKey, KeyError>;

    /// Whether the other methods may take longer than a computation does, so that no event loop may call them.
    fn is_blocking(&self) -> bool {
        false
    }
}

/// A key exchange that was begun and waits for the responder's values.
pub trait Exchange: Debug + Send {
    /// The ephemeral public key to send.
    fn ephemeral(&self) -> &PublicKey;

    /// Fills `out` with the key.
    fn finish(self: Box<Self>, peer: &Peer<'_>, out: &mut [u8]) -> Result<(), KeyError>;
}

/// The public values of the other side of a key exchange.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// The identifier, [`sm2::DEFAULT_ID`] in TLCP.
    pub id: &'a [u8],
    /// The long-term key; in TLCP that of the encryption certificate.
    pub static_key: &'a PublicKey,
    /// The ephemeral key.
    pub ephemeral: &'a PublicKey,
}

/// Why a key was not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The operation failed for its inputs.
    #[error(transparent)]
    Operation(#[from] sm2::Error),
    /// The device or service that holds the key failed; the inputs may be good.
    #[error("the device that holds the SM2 key failed")]
    Device(#[source] Box<dyn std::error::Error + Send + Sync>),
}
