//! Alerts (GB/T 38636-2020, 6.4.3).

use std::fmt;

/// What an alert says. The numbers are those of the standard, which are those of TLS and six more.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Alert(pub u8);

impl Alert {
    /// The sender will send no more.
    pub const CLOSE_NOTIFY: Self = Self(0);
    /// A message that has no place here.
    pub const UNEXPECTED_MESSAGE: Self = Self(10);
    /// A record that does not open.
    pub const BAD_RECORD_MAC: Self = Self(20);
    /// A record that is too long.
    pub const RECORD_OVERFLOW: Self = Self(22);
    /// Nothing in common.
    pub const HANDSHAKE_FAILURE: Self = Self(40);
    /// A certificate that is broken or of the wrong use.
    pub const BAD_CERTIFICATE: Self = Self(42);
    /// A certificate of a type that is not supported.
    pub const UNSUPPORTED_CERTIFICATE: Self = Self(43);
    /// A revoked certificate.
    pub const CERTIFICATE_REVOKED: Self = Self(44);
    /// A certificate outside of its time.
    pub const CERTIFICATE_EXPIRED: Self = Self(45);
    /// A certificate that is refused for another reason.
    pub const CERTIFICATE_UNKNOWN: Self = Self(46);
    /// A value out of its range.
    pub const ILLEGAL_PARAMETER: Self = Self(47);
    /// No path to a trusted certificate.
    pub const UNKNOWN_CA: Self = Self(48);
    /// A good certificate of somebody who may not enter.
    pub const ACCESS_DENIED: Self = Self(49);
    /// A message that cannot be read.
    pub const DECODE_ERROR: Self = Self(50);
    /// A signature or a Finished that is wrong.
    pub const DECRYPT_ERROR: Self = Self(51);
    /// A version that is not spoken.
    pub const PROTOCOL_VERSION: Self = Self(70);
    /// A fault of the sender of the alert.
    pub const INTERNAL_ERROR: Self = Self(80);
    /// The user ended it.
    pub const USER_CANCELED: Self = Self(90);
    /// There is no second handshake.
    pub const NO_RENEGOTIATION: Self = Self(100);
    /// An extension that was not asked for (RFC 5246).
    pub const UNSUPPORTED_EXTENSION: Self = Self(110);
    /// A name that the server does not serve (RFC 6066).
    pub const UNRECOGNIZED_NAME: Self = Self(112);

    /// The standard's name, in the spelling of TLS.
    pub fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            21 => "decryption_failed",
            22 => "record_overflow",
            30 => "decompression_failure",
            40 => "handshake_failure",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            90 => "user_canceled",
            100 => "no_renegotiation",
            110 => "unsupported_extension",
            112 => "unrecognized_name",
            200 => "unsupported_site2site",
            201 => "no_area",
            202 => "unsupported_areatype",
            203 => "bad_ibcparam",
            204 => "unsupported_ibcparam",
            205 => "identity_need",
            _ => return None,
        })
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "alert {}", self.0),
        }
    }
}

impl fmt::Debug for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alert({self})")
    }
}

/// The first byte of an alert that ends the connection.
pub(crate) const FATAL: u8 = 2;
/// The first byte of an alert that does not.
pub(crate) const WARNING: u8 = 1;
