//! What goes wrong: when a configuration is built, and in a handshake.

use std::io;

use rustls::AlertDescription;
use rustls::CertificateError;
use thiserror::Error;

use crate::sm::error::SmFault;
use crate::verify::VerifyError;

/// A configuration of TLS that cannot be used. Found when it is read, never in a handshake.
#[derive(Debug, Error)]
#[error("{field}: {fault}")]
pub struct TlsConfigError {
    /// The field below the TLS context, such as `common_tls_context.tls_certificates[0].private_key`.
    pub field: String,
    /// What is wrong with it.
    pub fault: TlsConfigFault,
}

impl TlsConfigError {
    pub(crate) fn new(field: impl Into<String>, fault: impl Into<TlsConfigFault>) -> Self {
        Self { field: field.into(), fault: fault.into() }
    }
}

/// What is wrong with a field.
#[derive(Debug, Error)]
pub enum TlsConfigFault {
    /// The key cannot be used at all.
    #[error("the private key cannot be used: {0}")]
    BadKey(#[source] rustls::Error),
    /// A certificate cannot be read.
    #[error("certificate {index} cannot be read: {reason}")]
    BadCertificate {
        /// Its place in the chain or bundle, from 0.
        index: usize,
        /// Why.
        reason: String,
    },
    /// A revocation list cannot be read.
    #[error("revocation list {index} cannot be read: {reason}")]
    BadCrl {
        /// Its place in the file, from 0.
        index: usize,
        /// Why.
        reason: String,
    },
    /// The OCSP response is none for this certificate, or is missing.
    #[error("{0}")]
    BadStaple(&'static str),
    /// The key log cannot be written.
    #[error("cannot be opened for writing: {0}")]
    KeyLog(#[source] io::Error),
    /// The key is not the certificate's.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// There is no certificate.
    #[error("a server needs at least one certificate")]
    NoCertificate,
    /// Versions, suites and key exchanges leave nothing to negotiate.
    #[error("the versions and algorithms do not fit together: {0}")]
    Nothing(#[source] rustls::Error),
    /// A secret of a discovery service has not arrived.
    #[error("the secret {0:?} is not there yet")]
    SecretMissing(String),
    /// SM certificates, keys and suites do not fit together.
    #[error(transparent)]
    Sm(#[from] SmFault),
    /// The server name to ask for is none.
    #[error("{0:?} is not a server name")]
    ServerName(String),
}

/// What a client spoke instead of TLS, as far as BoringSSL tells it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleartext {
    /// A request of HTTP.
    Http,
    /// A `CONNECT` request.
    Proxy,
}

impl Cleartext {
    /// By the first five bytes.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes.first_chunk::<5>()? {
            b"CONNE" => Some(Self::Proxy),
            [b'G', b'E', b'T', b' ', _] | [b'P', b'U', b'T', b' ', _] | b"POST " | b"HEAD " => {
                Some(Self::Http)
            }
            _ => None,
        }
    }
}

/// A handshake that failed. The connection is gone.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The peer ended the handshake with this alert.
    #[error("the peer sent the alert {0:?}")]
    Alert(AlertDescription),
    /// The peer closed the connection in the middle.
    #[error("the peer closed the connection during the handshake")]
    Closed,
    /// The OCSP response of our certificate does not hold, and the policy demands one.
    #[error("there is no OCSP response to staple")]
    NoStaple,
    /// The client spoke no TLS.
    #[error("the client spoke {0:?} in the clear")]
    Cleartext(Cleartext),
    /// The server ended the handshake with this alert as its first word.
    #[error("the server answered the ClientHello with the alert {0:?}")]
    Refused(AlertDescription),
    /// The connection failed.
    #[error("the connection failed during the handshake")]
    Io(#[source] io::Error),
    /// The peer showed no certificate although one is required.
    #[error("the peer presented no certificate")]
    NoPeerCertificate,
    /// The peer broke the protocol, or nothing could be agreed on.
    #[error("the handshake failed")]
    Protocol(#[source] rustls::Error),
    /// The same under TLCP.
    #[error("the TLCP handshake failed: {0}")]
    Tlcp(#[source] palanquin_tlcp::Error),
    /// The peer's certificate was refused.
    #[error("the peer's certificate was refused")]
    Verify(#[source] VerifyError),
}

impl TlsError {
    /// The counter below `ssl.` that counts this failure; `None`: the peer just went away, which Envoy does not
    /// count either.
    pub fn stat(&self) -> Option<&'static str> {
        match self {
            Self::NoPeerCertificate => Some("fail_verify_no_cert"),
            Self::Verify(error) => Some(error.stat()),
            Self::Alert(_)
            | Self::Cleartext(_)
            | Self::Protocol(_)
            | Self::NoStaple
            | Self::Refused(_)
            | Self::Tlcp(_) => Some("connection_error"),
            Self::Closed | Self::Io(_) => None,
        }
    }

    /// The text for `%DOWNSTREAM_TRANSPORT_FAILURE_REASON%` and response details, in the form that Envoy's
    /// users know: `TLS_error:|<code>:SSL routines:OPENSSL_internal:<REASON>:TLS_error_end`. Code and reason
    /// are BoringSSL's where the cause is the same.
    pub fn transport_failure_reason(&self) -> String {
        let (number, name) = match self {
            Self::Alert(alert) => {
                return boring_text(1000 + u32::from(u8::from(*alert)), &alert_name(*alert));
            }
            // Envoy has nothing to say of a peer that just went away.
            Self::Closed | Self::Io(_) => return String::new(),
            Self::Verify(VerifyError::KeyUsage) => (302, "KEY_USAGE_BIT_INCORRECT".to_owned()),
            Self::NoStaple => (184, "NO_SHARED_CIPHER".to_owned()),
            Self::Cleartext(text) => match text {
                Cleartext::Http => (156, "HTTP_REQUEST".to_owned()),
                Cleartext::Proxy => (155, "HTTPS_PROXY_REQUEST".to_owned()),
            },
            Self::Refused(alert) => {
                let code = boring_code(1000 + u32::from(u8::from(*alert)));
                let name = alert_name(*alert);
                let why = boring_code(154);
                return format!(
                    "TLS_error:|{code}:SSL routines:OPENSSL_internal:{name}\
                     |{why}:SSL routines:OPENSSL_internal:HANDSHAKE_FAILURE_ON_CLIENT_HELLO\
                     :TLS_error_end"
                );
            }
            Self::NoPeerCertificate => (
                192,
                "PEER_DID_NOT_RETURN_A_CERTIFICATE:peer did not provide required client certificate"
                    .to_owned(),
            ),
            Self::Protocol(error) => protocol_reason(error),
            Self::Tlcp(error) => tlcp_reason(error),
            Self::Verify(error) => {
                (125, format!("CERTIFICATE_VERIFY_FAILED:verify cert failed: {error}"))
            }
        };
        boring_text(number, &name)
    }

    /// Sorts an error of tokio-rustls.
    pub(crate) fn from_io(error: io::Error) -> Self {
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
        else {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof => Self::Closed,
                _ => Self::Io(error),
            };
        };
        Self::from(tls.clone())
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::AlertReceived(alert) => Self::Alert(alert),
            rustls::Error::NoCertificatesPresented => Self::NoPeerCertificate,
            rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
                match other.0.downcast_ref::<VerifyError>() {
                    Some(error) => Self::Verify(error.clone()),
                    None => Self::Verify(VerifyError::Chain(CertificateError::Other(other))),
                }
            }
            rustls::Error::InvalidCertificate(error) => Self::Verify(VerifyError::Chain(error)),
            error => Self::Protocol(error),
        }
    }
}

/// A reason of the library SSL, which has the number 16.
fn boring_code(reason: u32) -> u32 {
    (16 << 24) + reason
}

/// A line of BoringSSL's error queue.
fn boring_text(reason: u32, name: &str) -> String {
    let code = boring_code(reason);
    format!("TLS_error:|{code}:SSL routines:OPENSSL_internal:{name}:TLS_error_end")
}

fn protocol_reason(error: &rustls::Error) -> (u32, String) {
    use rustls::Error;
    use rustls::PeerIncompatible as Incompatible;
    let (number, name) = match error {
        Error::PeerIncompatible(
            Incompatible::NoCipherSuitesInCommon
            | Incompatible::NoCertificateRequestSignatureSchemesInCommon,
        ) => (184, "NO_SHARED_CIPHER"),
        Error::PeerIncompatible(Incompatible::NoKxGroupsInCommon) => (266, "NO_SHARED_GROUP"),
        Error::PeerIncompatible(Incompatible::NoSignatureSchemesInCommon) => {
            (253, "NO_COMMON_SIGNATURE_ALGORITHMS")
        }
        Error::PeerIncompatible(
            Incompatible::Tls12NotOffered
            | Incompatible::Tls12NotOfferedOrEnabled
            | Incompatible::Tls13RequiredForQuic
            | Incompatible::ServerDoesNotSupportTls12Or13
            | Incompatible::ServerTlsVersionIsDisabledByOurConfig
            | Incompatible::SupportedVersionsExtensionRequired,
        ) => (240, "UNSUPPORTED_PROTOCOL"),
        Error::InvalidMessage(_) => (247, "WRONG_VERSION_NUMBER"),
        other => return (226, format!("SSL_HANDSHAKE_FAILURE:{other}")),
    };
    (number, name.to_owned())
}

/// BoringSSL's words for the same causes.
fn tlcp_reason(error: &palanquin_tlcp::Error) -> (u32, String) {
    use palanquin_tlcp::Error;
    let (number, name) = match error {
        Error::NothingInCommon(_) => (184, "NO_SHARED_CIPHER"),
        Error::Renegotiation => (182, "NO_RENEGOTIATION"),
        Error::Version(_) => (247, "WRONG_VERSION_NUMBER"),
        other => return (226, format!("SSL_HANDSHAKE_FAILURE:{other}")),
    };
    (number, name.to_owned())
}

/// BoringSSL's name of a received alert.
fn alert_name(alert: AlertDescription) -> String {
    // Alerts that SSL 3.0 already had keep its prefix.
    let prefix = if u8::from(alert) < 48 { "SSLV3" } else { "TLSV1" };
    let mut name = format!("{prefix}_ALERT_");
    if alert == AlertDescription::UnrecognisedName {
        return "TLSV1_ALERT_UNRECOGNIZED_NAME".to_owned();
    }
    let words = format!("{alert:?}");
    let mut previous_lower = false;
    for letter in words.chars() {
        if letter.is_uppercase() && previous_lower {
            name.push('_');
        }
        previous_lower = letter.is_lowercase();
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use rustls::AlertDescription;

    use super::TlsError;

    #[test]
    fn a_received_alert_reads_as_in_boringssl() {
        let text = |alert| TlsError::Alert(alert).transport_failure_reason();
        assert_eq!(
            text(AlertDescription::UnknownCA),
            "TLS_error:|268436504:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA:TLS_error_end"
        );
        assert_eq!(
            text(AlertDescription::CertificateExpired),
            "TLS_error:|268436501:SSL routines:OPENSSL_internal:SSLV3_ALERT_CERTIFICATE_EXPIRED:TLS_error_end"
        );
    }
}
