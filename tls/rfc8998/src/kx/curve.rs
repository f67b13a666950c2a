//! curveSM2 (RFC 8998 §3.3.2): Diffie-Hellman; the secret is the x coordinate.

use palanquin_sm::sm2::PrivateKey;
use palanquin_sm::sm2::PublicKey;
use rustls::Error;
use rustls::NamedGroup;
use rustls::ProtocolVersion;
use rustls::crypto::ActiveKeyExchange;
use rustls::crypto::SharedSecret;
use rustls::crypto::SupportedKxGroup;
use rustls::ffdhe_groups::FfdheGroup;
use zeroize::Zeroizing;

use super::COORDINATE;
use super::INVALID_SHARE;
use super::POINT;
use super::unavailable;
use crate::CURVE_SM2;

/// The group curveSM2.
#[derive(Debug)]
pub(crate) struct CurveSm2;

impl SupportedKxGroup for CurveSm2 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(Ephemeral::generate()?))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        CURVE_SM2
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

/// A key for one handshake.
pub(super) struct Ephemeral {
    key: PrivateKey,
    share: [u8; POINT],
}

impl Ephemeral {
    pub(super) fn generate() -> Result<Self, Error> {
        let key = PrivateKey::generate().map_err(|_| unavailable())?;
        let share = key.public_key().to_uncompressed();
        Ok(Self { key, share })
    }

    pub(super) fn share(&self) -> &[u8; POINT] {
        &self.share
    }

    /// The secret shared with the peer whose share this is.
    pub(super) fn agree(&self, peer: &[u8]) -> Result<Zeroizing<[u8; COORDINATE]>, Error> {
        let peer = PublicKey::from_uncompressed(peer).map_err(|_| INVALID_SHARE)?;
        Ok(self.key.agree(&peer))
    }
}

impl ActiveKeyExchange for Ephemeral {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        Ok(SharedSecret::from(self.agree(peer)?.as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        CURVE_SM2
    }
}
