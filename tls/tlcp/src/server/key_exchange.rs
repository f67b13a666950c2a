//! The premaster secret from the client's key exchange.

use aws_lc_rs::rand;
use palanquin_sm::key_ops::Exchange;
use palanquin_sm::key_ops::KeyError;
use palanquin_sm::key_ops::Peer;
use palanquin_sm::sm2;
use palanquin_sm::sm2::DEFAULT_ID;
use palanquin_sm::sm2::PublicKey;
use subtle::Choice;
use subtle::ConditionallySelectable;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::certificates::DualCertificate;
use crate::certificates::PeerCertificates;
use crate::codec::VERSION;
use crate::codec::read_client_point;
use crate::codec::read_signature;
use crate::error::CertificateFault;
use crate::error::Error;

/// ECC: the client encrypted the secret, which begins with the version.
///
/// Nobody must learn from the server whether a ciphertext is good (Bleichenbacher 1998). So a bad one, and one
/// that holds something else than a secret, is taken for a random secret: the handshake goes on and fails at the
/// client's Finished, as it does when the client does not know what it encrypted.
pub(super) fn ecc_premaster(
    certificate: &DualCertificate,
    body: &[u8],
) -> Result<Zeroizing<[u8; 48]>, Error> {
    let ciphertext = read_signature(body, "ClientKeyExchange")?;
    let key = certificate.enc().ok_or(CertificateFault::NoEncryption)?.key();
    let mut random = Zeroizing::new([0; 48]);
    rand::fill(&mut random[..]).map_err(|_| Error::Key("no random numbers"))?;
    // A device does not always tell a bad ciphertext from a fault of its own, so no failure may look different.
    let plain = key.decrypt(ciphertext).unwrap_or_default();
    let mut secret = Zeroizing::new([0; 48]);
    let mut good = plain.len().ct_eq(&secret.len());
    for (to, from) in secret.iter_mut().zip(plain.iter()) {
        *to = *from;
    }
    good &= secret[..2].ct_eq(&VERSION.to_be_bytes());
    Ok(choose(good, &secret, &random))
}

/// ECDHE: the key exchange of SM2 between the encryption keys, which the server began.
pub(super) fn ecdhe_premaster(
    exchange: Box<dyn Exchange>,
    peer: &PeerCertificates,
    body: &[u8],
) -> Result<Zeroizing<[u8; 48]>, Error> {
    let point = read_client_point(body)?;
    let ephemeral = PublicKey::from_uncompressed(&point)
        .map_err(|_| Error::IllegalParameter("the client's share is not a point of the curve"))?;
    let static_key = peer.enc_key()?;
    let mut secret = Zeroizing::new([0; 48]);
    let peer = Peer { id: DEFAULT_ID, static_key: &static_key, ephemeral: &ephemeral };
    exchange.finish(&peer, &mut secret[..]).map_err(agreement_error)?;
    Ok(secret)
}

/// What an agreement of keys failed from: the peer's values, or our device.
pub(crate) fn agreement_error(error: KeyError) -> Error {
    match error {
        KeyError::Operation(sm2::Error::Agreement) => {
            Error::IllegalParameter("the key exchange comes to nothing")
        }
        _ => Error::Key("the key exchange failed"),
    }
}

fn choose(first: Choice, yes: &[u8; 48], no: &[u8; 48]) -> Zeroizing<[u8; 48]> {
    let mut chosen = Zeroizing::new([0; 48]);
    for ((to, yes), no) in chosen.iter_mut().zip(yes).zip(no) {
        *to = u8::conditional_select(no, yes, first);
    }
    chosen
}
