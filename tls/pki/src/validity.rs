//! When a certificate holds.

use std::time::Duration;
use std::time::SystemTime;

use crate::Error;
use crate::asn1;

/// From when until when a certificate, or a list of revoked ones, holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: SystemTime,
    /// The last second.
    pub not_after: SystemTime,
}

impl Validity {
    /// From an hour ago, as clocks differ, until `days` after `now`.
    pub fn days(now: SystemTime, days: u32) -> Self {
        Self { not_before: now - HOUR, not_after: now + 24 * days * HOUR }
    }

    /// Ended an hour before `now`.
    pub fn expired(now: SystemTime) -> Self {
        Self { not_before: now - 48 * HOUR, not_after: now - HOUR }
    }

    /// Begins a day after `now`.
    pub fn future(now: SystemTime) -> Self {
        Self { not_before: now + 24 * HOUR, not_after: now + 48 * HOUR }
    }

    /// `Validity` of RFC 5280 §4.1.2.5.
    pub(crate) fn encode(self) -> Result<Vec<u8>, Error> {
        Ok(asn1::sequence(&[&encode_time(self.not_before)?, &encode_time(self.not_after)?]))
    }
}

const HOUR: Duration = Duration::from_hours(1);

pub(crate) fn encode_time(at: SystemTime) -> Result<Vec<u8>, Error> {
    let date = der::DateTime::from_system_time(at).map_err(|_| Error::Time(at))?;
    Ok(asn1::time(date))
}
