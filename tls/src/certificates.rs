//! Our own certificates: loaded once, chosen per handshake by server name and key type.

use std::collections::HashMap;
use std::sync::Arc;

use palanquin_config::ir::tls::SecretSource;
use palanquin_config::ir::tls::SignatureScheme as SchemeNumber;
use palanquin_config::ir::tls::TlsCertificate;
use palanquin_filter_api::PeerIdentity;
use rustls::SignatureAlgorithm;
use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::server::ClientHello;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;
use rustls::sign::Signer;
use rustls::sign::SigningKey;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

use crate::error::TlsConfigError;
use crate::error::TlsConfigFault;
use crate::identity;

/// One certificate with its key.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) certified: Arc<CertifiedKey>,
    pub(crate) identity: Arc<PeerIdentity>,
}

/// The certificates of a context, in configured order.
#[derive(Debug)]
pub(crate) struct Certificates {
    loaded: Vec<Loaded>,
    /// Places in `loaded` by lower-case name; wildcards as `.example.com`.
    by_name: HashMap<Box<str>, Vec<usize>>,
    full_scan: bool,
}

impl Certificates {
    /// Loads all certificates.
    ///
    /// # Errors
    /// A key that cannot be used or is another certificate's, and a secret that has not arrived.
    pub(crate) fn load(
        sources: &[SecretSource<TlsCertificate>],
        schemes: &[SchemeNumber],
        crypto: &CryptoProvider,
        full_scan: bool,
    ) -> Result<Self, TlsConfigError> {
        let mut loaded: Vec<Loaded> = Vec::new();
        let mut by_name: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        for (index, source) in sources.iter().enumerate() {
            let certificate = load_one(index, source, schemes, crypto)?;
            for name in server_names(&certificate.identity) {
                by_name.entry(name).or_default().push(index);
            }
            loaded.push(certificate);
        }
        Ok(Self { loaded, by_name, full_scan })
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Loaded] {
        &self.loaded
    }

    /// Chooses by name, exact before wildcard, then by the key types that the peer can verify. When no
    /// certificate carries the name, the first of all is taken; without a name, or with
    /// `full_scan_certs_on_sni_mismatch`, the best for the key types (all as in Envoy).
    pub(crate) fn select(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<&Loaded> {
        let first = match self.loaded.as_slice() {
            [] => return None,
            [only] => return Some(only),
            [first, ..] => first,
        };
        let fits = |loaded: &&Loaded| loaded.certified.key.choose_scheme(schemes).is_some();
        let named = name.and_then(|name| self.named(name));
        if let Some(places) = named {
            let candidates = || places.iter().filter_map(|place| self.loaded.get(*place));
            return best(candidates().filter(fits)).or_else(|| candidates().next());
        }
        if name.is_some() && !self.full_scan {
            return Some(first);
        }
        best(self.loaded.iter().filter(fits)).or(Some(first))
    }

    fn named(&self, name: &str) -> Option<&Vec<usize>> {
        let lower = name.to_ascii_lowercase();
        let lower = lower.strip_suffix('.').unwrap_or(&lower);
        let wildcard = || lower.find('.').and_then(|dot| self.by_name.get(lower.get(dot..)?));
        self.by_name.get(lower).or_else(wildcard)
    }
}

/// ECDSA is preferred to RSA: its handshake costs a tenth.
fn best<'a>(candidates: impl Iterator<Item = &'a Loaded>) -> Option<&'a Loaded> {
    let mut first = None;
    for loaded in candidates {
        if is_elliptic(loaded) {
            return Some(loaded);
        }
        first = first.or(Some(loaded));
    }
    first
}

fn is_elliptic(loaded: &Loaded) -> bool {
    !matches!(loaded.certified.key.algorithm(), SignatureAlgorithm::RSA)
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = self.select(hello.server_name(), hello.signature_schemes())?;
        Some(Arc::clone(&chosen.certified))
    }
}

fn load_one(
    index: usize,
    source: &SecretSource<TlsCertificate>,
    schemes: &[SchemeNumber],
    crypto: &CryptoProvider,
) -> Result<Loaded, TlsConfigError> {
    let field = |name: &str| format!("common_tls_context.tls_certificates[{index}]{name}");
    let Some(secret) = source.value() else {
        let name = source.sds_name().map_or_else(String::new, ToString::to_string);
        let field = format!("common_tls_context.tls_certificate_sds_secret_configs[{index}]");
        return Err(TlsConfigError::new(field, TlsConfigFault::SecretMissing(name)));
    };
    let key = crypto
        .key_provider
        .load_private_key(secret.key.clone_key())
        .map_err(|e| TlsConfigError::new(field(".private_key"), TlsConfigFault::BadKey(e)))?;
    let bad = |index: usize, reason: String| {
        let fault = TlsConfigFault::BadCertificate { index, reason };
        TlsConfigError::new(field(".certificate_chain"), fault)
    };
    for (place, der) in secret.chain.iter().enumerate() {
        X509Certificate::from_der(der).map_err(|e| bad(place, e.to_string()))?;
    }
    let leaf = secret.chain.first().ok_or_else(|| bad(0, "the chain is empty".to_owned()))?;
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|e| bad(0, e.to_string()))?;
    // Not by rustls, whose parser refuses certificates of version 1.
    let belongs = match key.public_key() {
        Some(public) => public.as_ref() == parsed.tbs_certificate.subject_pki.raw,
        None => true,
    };
    if !belongs {
        return Err(TlsConfigError::new(field(".private_key"), TlsConfigFault::KeyMismatch));
    }
    let key = if schemes.is_empty() {
        key
    } else {
        Arc::new(RestrictedKey { key, schemes: schemes.iter().map(|s| s.0.into()).collect() })
    };
    let mut certified = CertifiedKey::new(secret.chain.clone(), key);
    certified.ocsp.clone_from(&secret.ocsp_staple);
    let identity =
        identity::of(&secret.chain, true).ok_or_else(|| bad(0, "it cannot be read".to_owned()))?;
    Ok(Loaded { certified: Arc::new(certified), identity })
}

/// DNS names, or the common name when there are none (as Envoy does it).
fn server_names(identity: &PeerIdentity) -> Vec<Box<str>> {
    let normal = |name: &str| -> Box<str> {
        let lower = name.to_ascii_lowercase();
        match lower.strip_prefix('*') {
            Some(rest) if rest.starts_with('.') => rest.into(),
            _ => lower.into(),
        }
    };
    if identity.dns_sans.is_empty() {
        let common = identity::common_name(&identity.der);
        return common.iter().map(|name| normal(name)).collect();
    }
    identity.dns_sans.iter().map(|name| normal(name)).collect()
}

/// A key that signs only with the configured schemes, in their order.
#[derive(Debug)]
struct RestrictedKey {
    key: Arc<dyn SigningKey>,
    schemes: Vec<SignatureScheme>,
}

impl SigningKey for RestrictedKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let mut both = self.schemes.iter().filter(|scheme| offered.contains(scheme));
        both.find_map(|scheme| self.key.choose_scheme(&[*scheme]))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.key.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}
