//! The key exchange of GB/T 32918.3: two static and two ephemeral keys give both sides one key.
//!
//! TLCP's ECDHE suites use it with the encryption keys as static ones, the server as initiator. The optional confirmation
//! values of the standard are left out: TLS-like protocols confirm with their Finished messages.

use zeroize::Zeroizing;

use super::Error;
use super::PrivateKey;
use super::PublicKey;
use super::encryption::derive;
use super::group;
use super::group::Point;
use super::group::Scalar;

/// Which side of the exchange one is: both must agree who is who, as the key depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The side called A in the standard (TLCP: the server).
    Initiator,
    /// The side called B in the standard (TLCP: the client).
    Responder,
}

/// The longest key that is derived, in bytes; TLCP takes 48.
const MAX_LENGTH: usize = 64 * 1024;

/// Fills `out` with the key that both sides come to.
///
/// # Errors
/// [`Error::Agreement`] when the values of the peer cancel out, [`Error::Length`] when an identifier is longer than 8191 bytes
/// or `out` is empty or beyond 64 KiB.
#[expect(
    clippy::too_many_arguments,
    reason = "the standard's inputs, each of a meaning of its own"
)]
pub fn agree(
    role: Role,
    static_key: &PrivateKey,
    ephemeral: &PrivateKey,
    own_id: &[u8],
    peer_static: &PublicKey,
    peer_ephemeral: &PublicKey,
    peer_id: &[u8],
    out: &mut [u8],
) -> Result<(), Error> {
    if out.is_empty() || out.len() > MAX_LENGTH {
        return Err(Error::Length);
    }
    let own = static_key.public_key().identity(own_id)?;
    let peer = peer_static.identity(peer_id)?;
    // t = d + x̄ r
    let weighted = Zeroizing::new(truncated(&ephemeral.public_key().point).mul(&ephemeral.secret));
    let t = Zeroizing::new(static_key.secret.add(&weighted));
    // U = t (P + x̄ R); the cofactor is 1.
    let base = group::add_mul_vartime(
        &peer_static.point,
        &truncated(&peer_ephemeral.point),
        &peer_ephemeral.point,
    )
    .ok_or(Error::Agreement)?;
    let shared = Zeroizing::new(group::mul(&t, &base).ok_or(Error::Agreement)?);
    let (x, y) = shared.coordinates();
    let (x, y) = (Zeroizing::new(x), Zeroizing::new(y));
    let (initiator, responder) = match role {
        Role::Initiator => (own, peer),
        Role::Responder => (peer, own),
    };
    derive(&[&*x, &*y, &initiator, &responder], out.len(), |at, block| {
        out[at..at + block.len()].copy_from_slice(block);
    });
    Ok(())
}

/// x̄ = 2^127 + (x mod 2^127).
fn truncated(point: &Point) -> Scalar {
    let mut x = point.coordinates().0;
    x[..16].fill(0);
    x[16] |= 0x80;
    Scalar::reduce(&x)
}
