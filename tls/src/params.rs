//! Versions and algorithms: a provider narrowed to what a configuration allows.

use std::borrow::Cow;
use std::sync::Arc;

use palanquin_config::ir::tls::CipherSuite;
use palanquin_config::ir::tls::Curve;
use palanquin_config::ir::tls::TlsParams;
use palanquin_config::ir::tls::TlsVersion;
use rustls::NamedGroup;
use rustls::SignatureScheme;
use rustls::SupportedCipherSuite;
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;

use crate::kx;
use crate::provider::Provider;

/// The versions between the configured bounds.
pub(crate) fn versions(params: &TlsParams) -> Vec<&'static SupportedProtocolVersion> {
    let known = [
        (TlsVersion::Tls13, &rustls::version::TLS13),
        (TlsVersion::Tls12, &rustls::version::TLS12),
    ];
    let range = params.min_version..=params.max_version;
    known
        .into_iter()
        .filter(|(version, _)| range.contains(version))
        .map(|(_, known)| known)
        .collect()
}

/// The provider with only the configured suites, key exchanges and signature schemes, in their order.
pub(crate) fn narrowed(provider: &Provider, params: &TlsParams) -> Arc<CryptoProvider> {
    let all = &provider.crypto;
    let mut suites = Vec::new();
    // A client that lists suites of TLS 1.3 seems to speak it.
    if params.max_version >= TlsVersion::Tls13 {
        select_suites(&mut suites, &all.cipher_suites, &params.tls13_suites, DEFAULT_TLS13);
    }
    select_suites(&mut suites, &all.cipher_suites, &params.cipher_suites, DEFAULT_TLS12);
    let groups = params.curves.iter().filter_map(|curve| match curve {
        Curve::P521 => Some(kx::SECP521R1),
        _ => all.kx_groups.iter().find(|group| group.name() == named_group(*curve)).copied(),
    });
    let mut crypto = CryptoProvider {
        cipher_suites: suites,
        kx_groups: groups.collect(),
        ..CryptoProvider::clone(all)
    };
    if !params.signature_schemes.is_empty() {
        let known = crypto.signature_verification_algorithms.mapping;
        let wanted: Vec<_> = params
            .signature_schemes
            .iter()
            .filter_map(|scheme| known.iter().find(|(known, _)| u16::from(*known) == scheme.0))
            .copied()
            .collect();
        // rustls wants a static list. Few configurations set it, so the leak is of a hundred bytes for each
        // of their versions.
        crypto.signature_verification_algorithms.mapping = Vec::leak(wanted);
    }
    Arc::new(crypto)
}

/// The schemes by which peers may sign, with those that BoringSSL knows first and in its order.
pub(crate) fn in_boringssls_order<T: Copy>(
    known: &[(SignatureScheme, T)],
) -> Vec<(SignatureScheme, T)> {
    let find = |scheme| known.iter().find(|(one, _)| *one == scheme);
    let first = SCHEMES.iter().filter_map(|scheme| find(*scheme));
    first.chain(known.iter().filter(|(one, _)| !SCHEMES.contains(one))).copied().collect()
}

fn select_suites(
    selected: &mut Vec<SupportedCipherSuite>,
    known: &[SupportedCipherSuite],
    wanted: &[CipherSuite],
    default: &[u16],
) {
    let by_number =
        |number: u16| known.iter().find(|suite| u16::from(suite.suite()) == number).copied();
    if wanted.is_empty() {
        selected.extend(default.iter().filter_map(|number| by_number(*number)));
    } else {
        selected.extend(wanted.iter().filter_map(|suite| by_number(suite.0)));
    }
}

/// Suites among which the client's order decides, as pairs of neighbours in our order: Envoy writes them
/// `[A|B]`, also in its default list.
pub(crate) fn equals(params: &TlsParams) -> Vec<[u16; 2]> {
    if params.cipher_suites.is_empty() {
        return DEFAULT_EQUALS.to_vec();
    }
    params.equal_suites.iter().map(|[a, b]| [a.0, b.0]).collect()
}

/// The parameters with the suites of each pair of equals swapped.
pub(crate) fn swapped(params: &TlsParams) -> Cow<'_, TlsParams> {
    let pairs = equals(params);
    if pairs.is_empty() {
        return Cow::Borrowed(params);
    }
    let mut params = params.clone();
    if params.cipher_suites.is_empty() {
        params.cipher_suites = DEFAULT_TLS12.iter().map(|number| CipherSuite(*number)).collect();
    }
    for [first, second] in pairs {
        let place = |number| params.cipher_suites.iter().position(|suite| suite.0 == number);
        if let (Some(first), Some(second)) = (place(first), place(second)) {
            params.cipher_suites.swap(first, second);
        }
    }
    Cow::Owned(params)
}

fn named_group(curve: Curve) -> NamedGroup {
    match curve {
        Curve::P256 => NamedGroup::secp256r1,
        Curve::P384 => NamedGroup::secp384r1,
        Curve::P521 => NamedGroup::secp521r1,
        Curve::X25519 => NamedGroup::X25519,
        Curve::X25519MlKem768 => NamedGroup::X25519MLKEM768,
    }
}

/// AES first: every machine we run on has it in hardware.
const DEFAULT_TLS13: &[u16] = &[0x1301, 0x1302, 0x1303];

/// Envoy's order: ECDSA before RSA, 128 bits before 256.
const DEFAULT_TLS12: &[u16] = &[0xc02b, 0xcca9, 0xc02f, 0xcca8, 0xc02c, 0xc030];

/// AES-128 and ChaCha20 are equally good: a client without AES in hardware says so by its order.
const DEFAULT_EQUALS: &[[u16; 2]] = &[[0xc02b, 0xcca9], [0xc02f, 0xcca8]];

/// BoringSSL's order of signature schemes, for signing and for verifying.
pub(crate) const SCHEMES: [SignatureScheme; 8] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA512,
];
