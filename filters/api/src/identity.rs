//! Who the peer of a TLS connection proved to be.

use std::sync::Arc;
use std::sync::OnceLock;

use crate::certificate::{ChainFacts, FindIssuer, Issuer};

/// What a TLS handshake established. Shared by all streams of a connection.
#[derive(Debug, Clone, Default)]
pub struct TlsInfo {
    /// The negotiated version as Envoy names it: `TLSv1.3`, `TLSv1.2`, `TLCPv1.1`.
    pub version: &'static str,
    /// The cipher suite as OpenSSL names it: `TLS_AES_128_GCM_SHA256`, `ECDHE-ECDSA-AES128-GCM-SHA256`.
    pub cipher: &'static str,
    /// The server name the client asked for.
    pub sni: Option<Arc<str>>,
    /// The protocol agreed by ALPN.
    pub alpn: Option<Arc<[u8]>>,
    /// The peer's certificate, when it presented one.
    pub peer: Option<Arc<PeerIdentity>>,
    /// Our own certificate's URI and DNS names, for XFCC `By`.
    pub local: Option<Arc<PeerIdentity>>,
    /// Whether the session was resumed.
    pub resumed: bool,
    /// The key exchange as BoringSSL names it: `X25519`, `P-256`; empty when none was made.
    pub group: &'static str,
    /// How the peer signed the handshake: `ecdsa_secp256r1_sha256`; empty when it did not.
    pub peer_signature: &'static str,
    /// What became of an OCSP response that the client asked for: the counters below `ssl.`.
    pub stapled: &'static [&'static str],
    /// The counter below `ssl.` for a fault of the peer's certificate, which was accepted all the same.
    pub forgiven: Option<&'static str>,
    /// Who issued the peer's certificate, when somebody asks.
    pub verified_by: VerifiedBy,
}

impl TlsInfo {
    /// The certificate that signed the peer's, of a chain that was verified. Looked for once.
    pub fn issuer(&self) -> Option<&Issuer> {
        let VerifiedBy { verifier, found } = &self.verified_by;
        let (verifier, peer) = (verifier.as_deref()?, self.peer.as_deref()?);
        found.get_or_init(|| verifier.issuer(peer)).as_ref()
    }
}

/// What a chain was verified with, and what was found with it.
#[derive(Debug, Clone, Default)]
pub struct VerifiedBy {
    verifier: Option<Arc<dyn FindIssuer>>,
    found: OnceLock<Option<Issuer>>,
}

impl VerifiedBy {
    /// Asks this verifier when it is time.
    pub fn new(verifier: Option<Arc<dyn FindIssuer>>) -> Self {
        Self { verifier, found: OnceLock::new() }
    }
}

/// One certificate, as far as routing, tenants, policy and logs ask about it.
#[derive(Debug, Clone, Default)]
pub struct PeerIdentity {
    /// The chain was verified against a trusted CA. Nothing may be decided on an unverified identity.
    pub validated: bool,
    /// URI SANs in the order of the certificate; a SPIFFE certificate has exactly one.
    pub uri_sans: Vec<Arc<str>>,
    /// DNS SANs in the order of the certificate.
    pub dns_sans: Vec<Arc<str>>,
    /// IP address SANs in text form.
    pub ip_sans: Vec<Arc<str>>,
    /// E-mail SANs.
    pub email_sans: Vec<Arc<str>>,
    /// The values of `otherName` SANs, whatever their types.
    pub other_sans: Vec<Arc<str>>,
    /// The subject in RFC 2253 form.
    pub subject: String,
    /// The issuer in RFC 2253 form.
    pub issuer: String,
    /// The serial number in lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate in lower-case hexadecimal.
    pub sha256: String,
    /// Start of validity, seconds since the Unix epoch.
    pub not_before: i64,
    /// End of validity, seconds since the Unix epoch.
    pub not_after: i64,
    /// The certificate as DER.
    pub der: Vec<u8>,
    /// The rest of the presented chain as DER.
    pub chain: Vec<Vec<u8>>,
    /// What is read from the chain later; see [`PeerIdentity::chain_facts`].
    pub later: Later,
}

/// How facts of a chain are computed at the first question, and what came out.
#[derive(Debug, Clone, Default)]
pub struct Later {
    read: Option<fn(&PeerIdentity) -> ChainFacts>,
    facts: OnceLock<ChainFacts>,
}

impl Later {
    /// By this function.
    pub fn new(read: fn(&PeerIdentity) -> ChainFacts) -> Self {
        Self { read: Some(read), facts: OnceLock::new() }
    }
}

impl PeerIdentity {
    /// Digests and serial numbers of the presented chain. Computed once.
    pub fn chain_facts(&self) -> &ChainFacts {
        self.later
            .facts
            .get_or_init(|| self.later.read.map_or_else(ChainFacts::default, |read| read(self)))
    }

    /// The SPIFFE id, if the certificate was verified and carries exactly one URI SAN of that scheme
    /// (SPIFFE X.509-SVID §2).
    pub fn spiffe_id(&self) -> Option<&str> {
        match self.uri_sans.as_slice() {
            [only] if self.validated && only.starts_with("spiffe://") => Some(only),
            _ => None,
        }
    }
}
