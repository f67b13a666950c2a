//! The names of the national suites in the lists of `TlsParameters`, and the policy of a filter chain.

use palanquin_proto::envoy::config::core::v3::Metadata;
use palanquin_proto::envoy::extensions::transport_sockets::tls::v3 as pb;
use prost_types::value::Kind;

use super::super::Lowering;
use crate::ir::sm::SmCurve;
use crate::ir::sm::SmParams;
use crate::ir::sm::SmPolicy;
use crate::ir::tls::CipherSuite;
use crate::ir::tls::CommonTls;
use crate::ir::tls::SecretSource;
use crate::ir::tls::TlsCertificate;

/// The key in a filter chain's metadata. Envoy carries it along and does nothing with it.
const METADATA: &str = "palanquin.sm";

const POLICIES: &[(&str, SmPolicy)] = &[
    ("prefer_sm", SmPolicy::PreferSm),
    ("prefer_standard", SmPolicy::PreferStandard),
    ("sm_only", SmPolicy::SmOnly),
];

/// RFC 8998 and GB/T 38636.
pub(super) const SUITES: &[(&str, u16)] = &[
    ("TLS_SM4_GCM_SM3", 0x00c6),
    ("TLS_SM4_CCM_SM3", 0x00c7),
    ("ECC_SM4_GCM_SM3", 0xe053),
    ("ECC_SM4_CBC_SM3", 0xe013),
    ("ECDHE_SM4_GCM_SM3", 0xe051),
    ("ECDHE_SM4_CBC_SM3", 0xe011),
];

pub(super) const CURVES: &[(&str, SmCurve)] =
    &[("curveSM2MLKEM768", SmCurve::Sm2MlKem768), ("curveSM2", SmCurve::Sm2)];

/// Whether a list of suites or curves names one of SM.
pub(super) fn is_named(names: &[String]) -> bool {
    let mut names = names.iter().flat_map(|entry| alternatives(entry));
    names.any(|name| suite(name).is_some() || curve(name).is_some())
}

/// The only signature scheme.
pub(super) const SCHEME: &str = "sm2sig_sm3";

/// The suite of this name, if it is one of SM.
pub(super) fn suite(name: &str) -> Option<CipherSuite> {
    SUITES.iter().find(|(known, _)| *known == name).map(|(_, number)| CipherSuite(*number))
}

/// The group of this name, if it is one of SM.
pub(super) fn curve(name: &str) -> Option<SmCurve> {
    CURVES.iter().find(|(known, _)| *known == name).map(|(_, curve)| *curve)
}

/// The suites that an entry names: one, or a group of equals (`[A|B]`).
pub(super) fn alternatives(entry: &str) -> impl Iterator<Item = &str> {
    let group = entry.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    group.unwrap_or(entry).split('|')
}

/// What the lists say about SM. Names of other suites are not looked at.
pub(super) fn params(message: &pb::TlsParameters) -> SmParams {
    let suites = message.cipher_suites.iter().flat_map(|entry| alternatives(entry));
    let named = unique(suites.filter_map(suite));
    let curves = unique(message.ecdh_curves.iter().filter_map(|name| curve(name)));
    let has_scheme = message.signature_algorithms.iter().any(|name| name == SCHEME);
    let mut params = SmParams {
        is_named: !named.is_empty() || !curves.is_empty() || has_scheme,
        ..SmParams::default()
    };
    if !named.is_empty() {
        (params.tls13_suites, params.tlcp_suites) =
            named.into_iter().partition(|suite| SmParams::TLS13_SUITES.contains(suite));
    }
    if !curves.is_empty() {
        params.curves = curves;
    }
    params
}

fn unique<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.fold(Vec::new(), |mut unique, item| {
        if !unique.contains(&item) {
            unique.push(item);
        }
        unique
    })
}

/// Whether a client's certificates can be the two of a pair. Those of a secret that has yet to come are looked
/// at when it has come.
pub(super) fn is_pair(common: &CommonTls) -> bool {
    let is_sm2 = |leaf: &[u8]| leaf.windows(SM2_CURVE.len()).any(|window| window == SM2_CURVE);
    let possible = |source: &SecretSource<TlsCertificate>| match source.value() {
        Some(certificate) => certificate.chain.first().is_some_and(|leaf| is_sm2(leaf)),
        None => common.params.sm.is_named,
    };
    common.certificates.len() == 2 && common.certificates.iter().all(possible)
}

/// The object identifier of SM2 keys, 1.2.156.10197.1.301.
const SM2_CURVE: &[u8] = &[0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d];

impl Lowering<'_> {
    /// The policy of a filter chain; `None` when it says none.
    pub(in super::super) fn sm_policy(&mut self, metadata: Option<&Metadata>) -> Option<SmPolicy> {
        let fields = &metadata?.filter_metadata.get(METADATA)?.fields;
        self.field("metadata", |cx| {
            cx.field(METADATA, |cx| {
                for name in fields.keys().filter(|name| *name != "policy") {
                    cx.error(format!("unknown field {name:?}")).hint("known: policy");
                }
                let text = match fields.get("policy").and_then(|value| value.kind.as_ref()) {
                    Some(Kind::StringValue(text)) => text.as_str(),
                    Some(_) => {
                        cx.error_in("policy", "is not a string");
                        return None;
                    }
                    None => return None,
                };
                let known = POLICIES.iter().find(|(name, _)| *name == text);
                if known.is_none() {
                    cx.error_in("policy", format!("{text:?} is not a policy"))
                        .did_you_mean(text, POLICIES.iter().map(|(name, _)| *name));
                }
                known.map(|(_, policy)| *policy)
            })
        })
    }

    /// A client speaks one protocol, so its suites have to be of one.
    pub(super) fn check_sm_client(&mut self, params: &SmParams, message: &pb::TlsParameters) {
        if !params.is_named {
            return;
        }
        let entries = || message.cipher_suites.iter().flat_map(|entry| alternatives(entry));
        let names_suite = entries().any(|name| suite(name).is_some());
        self.field("tls_params", |cx| {
            if names_suite && !params.tls13_suites.is_empty() && !params.tlcp_suites.is_empty() {
                cx.error_in("cipher_suites", "a client speaks either TLS 1.3 (RFC 8998) or TLCP")
                    .hint("name suites of one of them only");
            }
            let has_standard = entries().any(|name| suite(name).is_none())
                || message.ecdh_curves.iter().any(|name| curve(name).is_none())
                || message.signature_algorithms.iter().any(|name| name != SCHEME);
            if has_standard {
                cx.warning("only the SM suites, curves and signatures are offered")
                    .hint("an upstream is spoken to either by SM or by standard TLS");
            }
        });
    }
}
