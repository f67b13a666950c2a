//! Versions and algorithms: a provider narrowed to what a configuration allows.

use std::sync::Arc;

use palanquin_config::ir::tls::CipherSuite;
use palanquin_config::ir::tls::Curve;
use palanquin_config::ir::tls::TlsParams;
use palanquin_config::ir::tls::TlsVersion;
use rustls::NamedGroup;
use rustls::SupportedCipherSuite;
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;

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
    select_suites(&mut suites, &all.cipher_suites, &params.tls13_suites, DEFAULT_TLS13);
    select_suites(&mut suites, &all.cipher_suites, &params.cipher_suites, DEFAULT_TLS12);
    let groups = params.curves.iter().filter_map(|curve| {
        all.kx_groups.iter().find(|group| group.name() == named_group(*curve)).copied()
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

fn named_group(curve: Curve) -> NamedGroup {
    match curve {
        Curve::P256 => NamedGroup::secp256r1,
        Curve::P384 => NamedGroup::secp384r1,
        Curve::X25519 => NamedGroup::X25519,
        Curve::X25519MlKem768 => NamedGroup::X25519MLKEM768,
    }
}

/// AES first: every machine we run on has it in hardware.
const DEFAULT_TLS13: &[u16] = &[0x1301, 0x1302, 0x1303];

/// Envoy's order: ECDSA before RSA, 128 bits before 256.
const DEFAULT_TLS12: &[u16] = &[0xc02b, 0xcca9, 0xc02f, 0xcca8, 0xc02c, 0xc030];
