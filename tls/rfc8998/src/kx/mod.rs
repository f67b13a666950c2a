//! Key exchanges: curveSM2 alone, and with ML-KEM-768.
//!
//! A share that is not exactly what the group prescribes is refused, on both sides, and rustls ends the
//! handshake with `illegal_parameter`: no other length, no compressed or hybrid form of a point (RFC 8446
//! §4.2.8.2), no point off the curve, no encapsulation key that is not reduced (FIPS 203 §7.2).

mod curve;
mod hybrid;

pub(crate) use curve::CurveSm2;
pub(crate) use hybrid::CurveSm2MlKem768;

use rustls::Error;
use rustls::PeerMisbehaved;

/// A point in uncompressed form.
const POINT: usize = 65;
/// The x coordinate of a shared point.
const COORDINATE: usize = 32;

const INVALID_SHARE: Error = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);

/// The system has no randomness to give, or the library is out of memory.
fn unavailable() -> Error {
    Error::FailedToGetRandomBytes
}
