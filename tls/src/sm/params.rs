//! The SM provider narrowed to what a configuration allows.

use std::sync::Arc;

use palanquin_config::ir::sm::SmCurve;
use palanquin_config::ir::sm::SmParams;
use palanquin_rfc8998 as rfc8998;
use rustls::NamedGroup;
use rustls::crypto::CryptoProvider;

/// The provider with only the configured suites and groups, in their order; `None` when no suite of TLS 1.3 is
/// left.
pub(crate) fn narrowed(params: &SmParams) -> Option<Arc<CryptoProvider>> {
    let all = rfc8998::provider();
    let suite = |number| all.cipher_suites.iter().find(|known| u16::from(known.suite()) == number);
    let group = |name| all.kx_groups.iter().find(|known| known.name() == name);
    let suites: Vec<_> =
        params.tls13_suites.iter().filter_map(|wanted| suite(wanted.0)).copied().collect();
    let groups = params.curves.iter().filter_map(|curve| group(named_group(*curve))).copied();
    (!suites.is_empty()).then(|| {
        Arc::new(CryptoProvider {
            cipher_suites: suites,
            kx_groups: groups.collect(),
            ..CryptoProvider::clone(all)
        })
    })
}

fn named_group(curve: SmCurve) -> NamedGroup {
    match curve {
        SmCurve::Sm2 => rfc8998::CURVE_SM2,
        SmCurve::Sm2MlKem768 => rfc8998::CURVE_SM2_MLKEM768,
    }
}
