//! curveSM2MLKEM768: both secrets, one after the other, so that breaking one of the two is not enough.
//!
//! A client's share is its point and its encapsulation key, a server's its point and the ciphertext; the
//! secret is the x coordinate and then the secret of ML-KEM-768 (FIPS 203).

use aws_lc_rs::kem::Ciphertext;
use aws_lc_rs::kem::DecapsulationKey;
use aws_lc_rs::kem::EncapsulationKey;
use aws_lc_rs::kem::ML_KEM_768;
use rustls::Error;
use rustls::NamedGroup;
use rustls::ProtocolVersion;
use rustls::crypto::ActiveKeyExchange;
use rustls::crypto::CompletedKeyExchange;
use rustls::crypto::SharedSecret;
use rustls::crypto::SupportedKxGroup;
use rustls::ffdhe_groups::FfdheGroup;

use super::COORDINATE;
use super::INVALID_SHARE;
use super::POINT;
use super::curve::Ephemeral;
use super::unavailable;
use crate::CURVE_SM2;
use crate::CURVE_SM2_MLKEM768;

/// An encapsulation key of ML-KEM-768.
const ENCAPSULATION_KEY: usize = 1184;
/// A ciphertext of ML-KEM-768.
const CIPHERTEXT: usize = 1088;
/// A secret of ML-KEM-768.
const ML_KEM_SECRET: usize = 32;

/// The group curveSM2MLKEM768.
#[derive(Debug)]
pub(crate) struct CurveSm2MlKem768;

impl SupportedKxGroup for CurveSm2MlKem768 {
    /// The client's side.
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let curve = Ephemeral::generate()?;
        let ml_kem = DecapsulationKey::generate(&ML_KEM_768).map_err(|_| unavailable())?;
        let public = ml_kem
            .encapsulation_key()
            .and_then(|key| key.key_bytes())
            .map_err(|_| unavailable())?;
        let share = [curve.share(), public.as_ref()].concat();
        Ok(Box::new(Client { curve, ml_kem, share }))
    }

    /// The server's side, which cannot start without the client's key.
    fn start_and_complete(&self, client_share: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let (point, key) = split(client_share, ENCAPSULATION_KEY)?;
        let key = EncapsulationKey::new(&ML_KEM_768, key).map_err(|_| INVALID_SHARE)?;
        let curve = Ephemeral::generate()?;
        let first = curve.agree(point)?;
        // The only error that a peer can cause is a key that is not reduced.
        let (ciphertext, second) = key.encapsulate().map_err(|_| INVALID_SHARE)?;
        Ok(CompletedKeyExchange {
            group: CURVE_SM2_MLKEM768,
            pub_key: [curve.share(), ciphertext.as_ref()].concat(),
            secret: join(first.as_slice(), second.as_ref()),
        })
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        CURVE_SM2_MLKEM768
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

/// A client that waits for the server's share.
struct Client {
    curve: Ephemeral,
    ml_kem: DecapsulationKey,
    share: Vec<u8>,
}

impl ActiveKeyExchange for Client {
    fn complete(self: Box<Self>, server_share: &[u8]) -> Result<SharedSecret, Error> {
        let (point, ciphertext) = split(server_share, CIPHERTEXT)?;
        let first = self.curve.agree(point)?;
        let second =
            self.ml_kem.decapsulate(Ciphertext::from(ciphertext)).map_err(|_| INVALID_SHARE)?;
        Ok(join(first.as_slice(), second.as_ref()))
    }

    /// The point is offered a second time as a share of curveSM2, so that a server without the hybrid group
    /// needs no second hello.
    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        Some((CURVE_SM2, self.curve.share()))
    }

    fn complete_hybrid_component(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        Ok(SharedSecret::from(self.curve.agree(peer)?.as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        CURVE_SM2_MLKEM768
    }
}

/// The point and the rest, which must be of this length.
fn split(share: &[u8], rest: usize) -> Result<(&[u8], &[u8]), Error> {
    share.split_at_checked(POINT).filter(|(_, tail)| tail.len() == rest).ok_or(INVALID_SHARE)
}

fn join(first: &[u8], second: &[u8]) -> SharedSecret {
    // Of the final size at once: a vector that grows leaves copies behind.
    let mut secret = Vec::with_capacity(COORDINATE + ML_KEM_SECRET);
    secret.extend_from_slice(first);
    secret.extend_from_slice(second);
    SharedSecret::from(secret)
}
