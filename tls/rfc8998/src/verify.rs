//! Verification: which algorithms verify what, and verifiers that know the difference.
//!
//! rustls hands one list of algorithms to chains and to CertificateVerify, but RFC 8998 §3.2.1 signs the two
//! with different SM2 identifiers. So a verifier takes [`CERTIFICATES`] for chains and revocation lists and
//! [`HANDSHAKE`] for [`rustls::crypto::verify_tls13_signature`]. [`ClientVerifier`] and [`ServerVerifier`] do
//! that around any verifier, such as rustls' own.
//!
//! KeyUsage is checked here too: webpki does not look at that of a leaf, and a certificate for encryption
//! (TLCP has pairs of them) must not sign a handshake.

use std::sync::Arc;

use palanquin_sm::x509;
use palanquin_sm::x509::Certificate;
use palanquin_sm::x509::KeyUsage;
use rustls::CertificateError;
use rustls::DigitallySignedStruct;
use rustls::DistinguishedName;
use rustls::Error;
use rustls::PeerMisbehaved;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerified;
use rustls::server::danger::ClientCertVerifier;

use crate::SM2SIG_SM3;

/// For chains and revocation lists: SM2 with SM3 and the default identifier, with and without NULL parameters.
pub const CERTIFICATES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[x509::SM2_SM3, x509::SM2_SM3_NULL],
    mapping: &[(SM2SIG_SM3, &[x509::SM2_SM3])],
};

/// For CertificateVerify: the identifier of TLS 1.3.
pub const HANDSHAKE: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[x509::SM2_SM3_TLS13],
    mapping: &[(SM2SIG_SM3, &[x509::SM2_SM3_TLS13])],
};

/// Whether a leaf may sign a handshake: without the extension KeyUsage, or with `digitalSignature` in it.
///
/// # Errors
/// It may not, or it cannot be read.
pub fn check_key_usage(leaf: &CertificateDer<'_>) -> Result<(), CertificateError> {
    let certificate = Certificate::from_der(leaf).ok_or(CertificateError::BadEncoding)?;
    if certificate.key_usage.is_none_or(KeyUsage::digital_signature) {
        Ok(())
    } else {
        Err(CertificateError::InvalidPurpose)
    }
}

/// Verifies CertificateVerify of either side.
///
/// # Errors
/// The signature is of another scheme, or wrong.
pub fn check_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    verify_tls13_signature(message, certificate, signature, &HANDSHAKE)
}

/// Checks clients: their chains by the verifier inside, which has to verify with [`CERTIFICATES`].
#[derive(Debug)]
pub struct ClientVerifier(pub Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.0.verify_client_cert(leaf, rest, now)?;
        check_key_usage(leaf)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        HANDSHAKE.supported_schemes()
    }
}

/// Checks servers: their chains by the verifier inside, which has to verify with [`CERTIFICATES`].
#[derive(Debug)]
pub struct ServerVerifier(pub Arc<dyn ServerCertVerifier>);

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.0.verify_server_cert(leaf, rest, name, ocsp_response, now)?;
        check_key_usage(leaf)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        HANDSHAKE.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.0.root_hint_subjects()
    }
}

/// The suites exist in TLS 1.3 only.
fn no_tls12() -> Error {
    PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into()
}
