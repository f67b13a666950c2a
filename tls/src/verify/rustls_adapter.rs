//! [`PeerVerifier`] as rustls wants it, for both sides.

use std::sync::Arc;

use rustls::CertificateError;
use rustls::DigitallySignedStruct;
use rustls::DistinguishedName;
use rustls::Error;
use rustls::OtherError;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::verify_tls12_signature;
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerified;
use rustls::server::danger::ClientCertVerifier;

use super::PeerVerifier;
use super::VerifyError;
use crate::describe;

impl PeerVerifier {
    fn decide(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
        name: Option<&str>,
    ) -> Result<(), Error> {
        match self.check(leaf, rest, now, name) {
            Err(error @ VerifyError::KeyUsage) => Err(to_rustls(error)),
            // Envoy's validator for SPIFFE has one alert for everything.
            Err(error) if !self.accepts_untrusted() && self.domains.is_some() => {
                Err(unspecific(error))
            }
            Err(error) if !self.accepts_untrusted() => Err(to_rustls(error)),
            _ => Ok(()),
        }
    }
}

/// Checks clients.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    /// `None`: any certificate is taken, as a proof of nothing.
    pub(crate) peer: Option<Arc<PeerVerifier>>,
    /// A client must present a certificate.
    pub(crate) mandatory: bool,
    /// The issuers that clients are told of.
    pub(crate) hints: Vec<DistinguishedName>,
    /// For the proof that the client has the key.
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(peer) = &self.peer {
            peer.decide(leaf, rest, now, None)?;
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        describe::remember_signature(certificate, signature.scheme);
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        describe::remember_signature(certificate, signature.scheme);
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Checks servers.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    /// `None`: any certificate is taken, as a proof of nothing.
    pub(crate) peer: Option<Arc<PeerVerifier>>,
    /// The certificate must carry the name that was asked for.
    pub(crate) check_name: bool,
    /// For the proof that the server has the key.
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let name = match server_name {
            ServerName::DnsName(name) if self.check_name => Some(name.as_ref()),
            // There is no name to check against; nothing can be right.
            _ if self.check_name => return Err(unnamed()),
            _ => None,
        };
        match &self.peer {
            Some(peer) => peer.decide(leaf, rest, now, name)?,
            // A name in a certificate that nobody vouches for proves nothing.
            None if self.check_name => return Err(unnamed()),
            None => {}
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        describe::remember_signature(certificate, signature.scheme);
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        describe::remember_signature(certificate, signature.scheme);
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// A name was to be checked that cannot be.
fn unnamed() -> Error {
    to_rustls(VerifyError::San { presented: String::new() })
}

/// Faults of the chain keep their own alerts; the others become `certificate_unknown`, as in Envoy.
fn to_rustls(error: VerifyError) -> Error {
    Error::InvalidCertificate(match error {
        VerifyError::Chain(error) => error,
        other => return unspecific(other),
    })
}

/// With the alert `certificate_unknown`, whatever the fault.
fn unspecific(error: VerifyError) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error))))
}
