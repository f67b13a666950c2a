//! Our own certificates: loaded once, chosen per handshake by server name and key type.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use palanquin_config::ir::tls::OcspPolicy;
use palanquin_config::ir::tls::SecretSource;
use palanquin_config::ir::tls::SignatureScheme as SchemeNumber;
use palanquin_config::ir::tls::TlsCertificate;
use palanquin_filter_api::PeerIdentity;
use rustls::NamedGroup;
use rustls::SignatureAlgorithm;
use rustls::SignatureScheme;
use rustls::SupportedCipherSuite;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::UnixTime;
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
use crate::ocsp::Staple;
use crate::params;
use crate::sm;
use crate::sm::error::SmFault;

/// One certificate with its key.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// With the OCSP response, if there is one.
    pub(crate) certified: Arc<CertifiedKey>,
    /// Without it.
    bare: Arc<CertifiedKey>,
    staple: Option<Staple>,
    /// The certificate says that it must not be shown without a response (RFC 7633).
    must_staple: bool,
    pub(crate) identity: Arc<PeerIdentity>,
}

/// What becomes of the OCSP response of a chosen certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stapling {
    /// The client did not ask.
    NotAsked,
    /// It is sent.
    Sent,
    /// There is none that holds.
    Omitted,
    /// The certificate must not be shown.
    Refused,
}

impl Stapling {
    /// The counters below `ssl.`, by Envoy's names.
    pub(crate) fn counters(self) -> &'static [&'static str] {
        match self {
            Self::NotAsked => &[],
            Self::Sent => &["ocsp_staple_requests", "ocsp_staple_responses"],
            Self::Omitted => &["ocsp_staple_requests", "ocsp_staple_omitted"],
            Self::Refused => &["ocsp_staple_requests", "ocsp_staple_failed"],
        }
    }
}

impl Loaded {
    /// A certificate with its key. `index` is its place in the configuration, for messages.
    ///
    /// # Errors
    /// The key is another certificate's, or the chain or the OCSP response cannot be used.
    pub(crate) fn of(
        index: usize,
        secret: &TlsCertificate,
        key: Arc<dyn SigningKey>,
        schemes: &[SchemeNumber],
    ) -> Result<Self, TlsConfigError> {
        let field = |name: &str| format!("common_tls_context.tls_certificates[{index}]{name}");
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
        let schemes: Vec<SignatureScheme> = match schemes {
            [] if key.algorithm() == SignatureAlgorithm::RSA => params::SCHEMES.to_vec(),
            configured => configured.iter().map(|scheme| scheme.0.into()).collect(),
        };
        let key = if schemes.is_empty() { key } else { Arc::new(OrderedKey { key, schemes }) };
        let bare = CertifiedKey::new(secret.chain.clone(), key);
        let mut certified = bare.clone();
        certified.ocsp.clone_from(&secret.ocsp_staple);
        let staple = match &secret.ocsp_staple {
            None => None,
            Some(response) => {
                let serial = parsed.raw_serial();
                Some(Staple::read(response, serial).map_err(|reason| {
                    TlsConfigError::new(field(".ocsp_staple"), TlsConfigFault::BadStaple(reason))
                })?)
            }
        };
        let must_staple = parsed.extensions().iter().any(|one| one.oid == TLS_FEATURE);
        if must_staple && staple.is_none() {
            let fault =
                TlsConfigFault::BadStaple("OCSP response is required for must-staple certificate");
            return Err(TlsConfigError::new(field(".ocsp_staple"), fault));
        }
        let identity = identity::of(&secret.chain, true)
            .ok_or_else(|| bad(0, "it cannot be read".to_owned()))?;
        Ok(Self {
            certified: Arc::new(certified),
            bare: Arc::new(bare),
            staple,
            must_staple,
            identity,
        })
    }

    /// By Envoy's rules for its policies.
    pub(crate) fn stapling(&self, policy: OcspPolicy, asked: bool, now: u64) -> Stapling {
        if !asked {
            return Stapling::NotAsked;
        }
        let policy = if self.must_staple { OcspPolicy::Must } else { policy };
        match &self.staple {
            Some(staple) if staple.is_valid(now) => Stapling::Sent,
            None if policy == OcspPolicy::Must => Stapling::Refused,
            Some(_) if policy != OcspPolicy::Lenient => Stapling::Refused,
            _ => Stapling::Omitted,
        }
    }

    /// Whether it can sign for a client that takes these schemes, in TLS 1.3.
    pub(crate) fn signs_tls13(&self, offered: &[SignatureScheme]) -> bool {
        let of_tls13 = offered.iter().filter(|scheme| !is_pkcs1(**scheme)).copied();
        self.certified.key.choose_scheme(&of_tls13.collect::<Vec<_>>()).is_some()
    }

    fn shown(&self, now: u64) -> &Arc<CertifiedKey> {
        match &self.staple {
            Some(staple) if !staple.is_valid(now) => &self.bare,
            _ => &self.certified,
        }
    }
}

/// PKCS#1 v1.5 signs no handshake of TLS 1.3 (RFC 8446 §4.2.3).
fn is_pkcs1(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::RSA_PKCS1_SHA256
            | SignatureScheme::RSA_PKCS1_SHA384
            | SignatureScheme::RSA_PKCS1_SHA512
            | SignatureScheme::RSA_PKCS1_SHA1
    )
}

fn is_rsa(scheme: SignatureScheme) -> bool {
    is_pkcs1(scheme)
        || matches!(
            scheme,
            SignatureScheme::RSA_PSS_SHA256
                | SignatureScheme::RSA_PSS_SHA384
                | SignatureScheme::RSA_PSS_SHA512
        )
}

/// The offered schemes of which the key types fit a suite that both sides have: suites of TLS 1.2 name a key
/// type.
pub(crate) fn usable<'a>(
    hello: &'a ClientHello<'_>,
    crypto: &CryptoProvider,
    is_tls13: bool,
) -> Cow<'a, [SignatureScheme]> {
    let schemes = hello.signature_schemes();
    if is_tls13 {
        return Cow::Borrowed(schemes);
    }
    let offered = hello.cipher_suites();
    let shared = crypto.cipher_suites.iter().filter(|suite| offered.contains(&suite.suite()));
    let (mut ecdsa, mut rsa) = (false, false);
    for suite in shared {
        if let SupportedCipherSuite::Tls12(suite) = suite {
            rsa |= suite.sign.iter().any(|scheme| is_rsa(*scheme));
            ecdsa |= suite.sign.iter().any(|scheme| !is_rsa(*scheme));
        }
    }
    let fits = |scheme: &&SignatureScheme| if is_rsa(**scheme) { rsa } else { ecdsa };
    Cow::Owned(on_known_curves(schemes.iter().filter(fits).copied(), hello))
}

/// The schemes whose keys lie on a curve that the client names. Before TLS 1.3 the named groups limit the keys
/// of certificates as well (RFC 8422 §5.1.1); Envoy goes by what the client offers, not by what is agreed.
fn on_known_curves(
    schemes: impl Iterator<Item = SignatureScheme>,
    hello: &ClientHello<'_>,
) -> Vec<SignatureScheme> {
    let knows_tls13 = hello.cipher_suites().iter().any(|suite| u16::from(*suite) >> 8 == 0x13);
    let groups = hello.named_groups().filter(|_| !knows_tls13);
    let is_known = |scheme: &SignatureScheme| match (curve_of(*scheme), groups) {
        (Some(curve), Some(groups)) => groups.contains(&curve),
        _ => true,
    };
    schemes.filter(is_known).collect()
}

/// The curve on which we have keys for a scheme.
fn curve_of(scheme: SignatureScheme) -> Option<NamedGroup> {
    match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => Some(NamedGroup::secp256r1),
        SignatureScheme::ECDSA_NISTP384_SHA384 => Some(NamedGroup::secp384r1),
        SignatureScheme::ECDSA_NISTP521_SHA512 => Some(NamedGroup::secp521r1),
        _ => None,
    }
}

/// The certificates of a context, in configured order.
#[derive(Debug)]
pub(crate) struct Certificates {
    loaded: Vec<Loaded>,
    /// Places in `loaded` by lower-case name; wildcards as `.example.com`.
    by_name: HashMap<Box<str>, Vec<usize>>,
    full_scan: bool,
    ocsp: OcspPolicy,
}

impl Certificates {
    /// Loads all certificates.
    ///
    /// # Errors
    /// A key that cannot be used or is another certificate's, and a secret that has not arrived.
    pub(crate) fn load(
        sources: &[(usize, &SecretSource<TlsCertificate>)],
        schemes: &[SchemeNumber],
        crypto: &CryptoProvider,
        full_scan: bool,
    ) -> Result<Self, TlsConfigError> {
        let loaded =
            sources.iter().map(|(index, source)| load_one(*index, source, schemes, crypto));
        Ok(Self::of(loaded.collect::<Result<_, _>>()?, full_scan))
    }

    /// Of certificates that are loaded.
    pub(crate) fn of(loaded: Vec<Loaded>, full_scan: bool) -> Self {
        let mut by_name: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        for (place, certificate) in loaded.iter().enumerate() {
            for name in server_names(&certificate.identity) {
                by_name.entry(name).or_default().push(place);
            }
        }
        Self { loaded, by_name, full_scan, ocsp: OcspPolicy::Lenient }
    }

    /// With a policy for OCSP responses: a certificate that it may refuse is the last choice.
    pub(crate) fn with_policy(self, ocsp: OcspPolicy) -> Self {
        Self { ocsp, ..self }
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Loaded] {
        &self.loaded
    }

    /// The first, for a client, which has no other.
    pub(crate) fn into_first(self) -> Option<Loaded> {
        self.loaded.into_iter().next()
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
        let now = UnixTime::now().as_secs();
        let fits = |loaded: &&Loaded| {
            loaded.certified.key.choose_scheme(schemes).is_some()
                && loaded.stapling(self.ocsp, true, now) != Stapling::Refused
        };
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
        let schemes = on_known_curves(hello.signature_schemes().iter().copied(), &hello);
        let chosen = self.select(hello.server_name(), &schemes)?;
        Some(Arc::clone(chosen.shown(UnixTime::now().as_secs())))
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
    let key = sm::keys::standard_key(&secret.key)
        .map_err(|error| TlsConfigError::new(field(".private_key"), SmFault::Key(error)))?;
    let key = crypto
        .key_provider
        .load_private_key(key)
        .map_err(|e| TlsConfigError::new(field(".private_key"), TlsConfigFault::BadKey(e)))?;
    Loaded::of(index, secret, key, schemes)
}

/// DNS names, or the common name when there are none (as Envoy does it).
pub(crate) fn server_names(identity: &PeerIdentity) -> Vec<Box<str>> {
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

/// TLS feature extension (RFC 7633 §6).
const TLS_FEATURE: x509_parser::der_parser::Oid<'static> =
    x509_parser::der_parser::oid!(1.3.6.1.5.5.7.1.24);

/// A key that signs only with these schemes, and prefers them in this order.
#[derive(Debug)]
struct OrderedKey {
    key: Arc<dyn SigningKey>,
    schemes: Vec<SignatureScheme>,
}

impl SigningKey for OrderedKey {
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
