//! Our own pairs: loaded once, chosen per handshake by server name.

use std::collections::HashMap;
use std::sync::Arc;

use palanquin_filter_api::PeerIdentity;
use palanquin_tlcp::DualCertificate;
use palanquin_tlcp::DualCertificateError;
use palanquin_tlcp::Hello;
use palanquin_tlcp::KeyedCertificate;
use palanquin_tlcp::ResolveCertificate;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

use crate::certificates::server_names;
use crate::error::TlsConfigError;
use crate::error::TlsConfigFault;
use crate::sm::error::SmFault;
use crate::sm::pairs::SmCertificate;
use crate::sm::pairs::SmPair;

/// One pair with the identity of its certificate for signing.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) dual: Arc<DualCertificate>,
    pub(crate) identity: Arc<PeerIdentity>,
}

impl Pair {
    /// Makes a pair of an SM certificate and its companion; without one it is good for clients only.
    ///
    /// # Errors
    /// When a KeyUsage is missing, or both allow signatures.
    pub(crate) fn load(pair: &SmPair) -> Result<Self, TlsConfigError> {
        let identity = Arc::clone(&pair.sign.identity);
        let keyed = |one: &SmCertificate| {
            let leaf = one.source.chain.first().cloned();
            leaf.map(|leaf| KeyedCertificate::new(leaf, Arc::clone(&one.key)))
        };
        let fault = |error: DualCertificateError| {
            let field = format!("common_tls_context.tls_certificates[{}]", pair.sign.index);
            TlsConfigError::new(field, TlsConfigFault::Sm(SmFault::Pair(error)))
        };
        let empty = || fault(palanquin_tlcp::CertificateFault::Malformed.into());
        let sign = keyed(&pair.sign).ok_or_else(empty)?;
        let chain = issuers(pair);
        let dual = match &pair.encryption {
            Some(companion) => {
                let enc = keyed(companion).ok_or_else(empty)?;
                DualCertificate::new(sign, enc, chain).map_err(fault)?
            }
            None => DualCertificate::sign_only(sign, chain).map_err(fault)?,
        };
        Ok(Self { dual: Arc::new(dual), identity })
    }
}

/// The issuers of both, each once, and without roots: gmtls compares the host name with every certificate it gets.
fn issuers(pair: &SmPair) -> Vec<CertificateDer<'static>> {
    let mut issuers: Vec<CertificateDer<'static>> = Vec::new();
    for one in std::iter::once(&pair.sign).chain(&pair.encryption) {
        for der in one.source.chain.iter().skip(1) {
            if !issuers.contains(der) && !is_root(der) {
                issuers.push(der.clone());
            }
        }
    }
    issuers
}

fn is_root(der: &[u8]) -> bool {
    X509Certificate::from_der(der)
        .is_ok_and(|(_, certificate)| certificate.subject() == certificate.issuer())
}

/// The pairs of a server, in configured order. Never empty.
#[derive(Debug)]
pub(crate) struct Pairs {
    pairs: Vec<Pair>,
    /// Places in `pairs` by lower-case name; wildcards as `.example.com`.
    by_name: HashMap<Box<str>, usize>,
}

impl Pairs {
    /// `None` when there are none.
    pub(crate) fn new(pairs: Vec<Pair>) -> Option<Self> {
        if pairs.is_empty() {
            return None;
        }
        let mut by_name = HashMap::new();
        for (place, pair) in pairs.iter().enumerate() {
            for name in server_names(&pair.identity) {
                by_name.entry(name).or_insert(place);
            }
        }
        Some(Self { pairs, by_name })
    }

    /// Chooses by name, exact before wildcard; the first of all when no pair carries the name, as with TLS.
    pub(crate) fn select(&self, name: Option<&str>) -> Option<&Pair> {
        let named = name.and_then(|name| {
            let lower = name.to_ascii_lowercase();
            let lower = lower.strip_suffix('.').unwrap_or(&lower);
            let wildcard = || lower.find('.').and_then(|dot| self.by_name.get(lower.get(dot..)?));
            self.by_name.get(lower).or_else(wildcard)
        });
        self.pairs.get(named.copied().unwrap_or_default())
    }
}

impl ResolveCertificate for Pairs {
    fn resolve(&self, hello: &Hello<'_>) -> Option<Arc<DualCertificate>> {
        self.select(hello.server_name).map(|pair| Arc::clone(&pair.dual))
    }

    fn is_blocking(&self) -> bool {
        self.pairs.iter().any(|pair| pair.dual.is_blocking())
    }
}
