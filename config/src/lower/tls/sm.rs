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

#[cfg(test)]
mod tests {
    use palanquin_filter_api::stats;
    use palanquin_proto::envoy::config::core::v3::Metadata;
    use prost_types::Struct;
    use prost_types::Value;

    use super::super::super::Environment;
    use super::*;
    use crate::extension::Registry;
    use crate::ir::tls::Curve;
    use crate::ir::tls::TlsParams;

    fn lower<T>(step: impl FnOnce(&mut Lowering<'_>) -> Option<T>) -> Result<(T, String), String> {
        let (stats, filters) = (stats::Registry::new(1), Registry::new());
        let mut lowering = Lowering::new(Environment { filters: &filters, stats: &stats });
        let value = step(&mut lowering);
        let lines = |lines: Vec<String>| lines.join("\n");
        match lowering.finish("Tls", "", value) {
            Ok(lowered) => {
                let warnings = lowered.warnings.warnings().map(ToString::to_string);
                Ok((lowered.value, lines(warnings.collect())))
            }
            Err(rejected) => {
                Err(lines(rejected.problems.errors().map(ToString::to_string).collect()))
            }
        }
    }

    fn message(suites: &[&str], curves: &[&str], schemes: &[&str]) -> pb::TlsParameters {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        pb::TlsParameters {
            cipher_suites: owned(suites),
            ecdh_curves: owned(curves),
            signature_algorithms: owned(schemes),
            ..Default::default()
        }
    }

    fn params_of(suites: &[&str], curves: &[&str], schemes: &[&str]) -> TlsParams {
        lower(|cx| cx.tls_params(&message(suites, curves, schemes))).unwrap().0
    }

    #[test]
    fn without_a_name_everything_is_allowed_and_nothing_asked() {
        let params = params_of(&["ECDHE-RSA-AES128-GCM-SHA256"], &["X25519"], &[]);
        assert_eq!(params.sm, SmParams::default());
        assert_eq!((params.cipher_suites.len(), params.curves), (1, vec![Curve::X25519]));
    }

    #[test]
    fn names_of_one_world_restrict_that_world_only() {
        let params = params_of(
            &["TLS_SM4_CCM_SM3", "[ECC_SM4_CBC_SM3|ECC_SM4_GCM_SM3]", "ECC_SM4_CBC_SM3"],
            &["curveSM2", "P-256"],
            &["sm2sig_sm3"],
        );
        assert!(params.sm.is_named);
        assert_eq!(params.sm.tls13_suites, [CipherSuite(0x00c7)]);
        assert_eq!(params.sm.tlcp_suites, [CipherSuite(0xe013), CipherSuite(0xe053)]);
        assert_eq!(params.sm.curves, [SmCurve::Sm2]);
        assert_eq!(params.curves, [Curve::P256]);
        // The standard lists that hold nothing of their world are as if they were not set.
        assert!(params.cipher_suites.is_empty() && params.signature_schemes.is_empty());
        let params = params_of(&[], &["curveSM2MLKEM768"], &[]);
        assert_eq!(params.curves, TlsParams::default().curves);
        assert_eq!(params.sm.tls13_suites, SmParams::TLS13_SUITES);
    }

    #[test]
    fn a_name_that_is_nearly_one_of_sm_is_still_an_error() {
        let error = lower(|cx| cx.tls_params(&message(&["TLS_SM4_GCM_SM4"], &[], &[])));
        assert!(error.unwrap_err().contains("cipher_suites[0]"));
    }

    fn upstream(params: pb::TlsParameters) -> Result<String, String> {
        let common = pb::CommonTlsContext { tls_params: Some(params), ..Default::default() };
        let context =
            pb::UpstreamTlsContext { common_tls_context: Some(common), ..Default::default() };
        lower(|cx| cx.upstream_tls(&context)).map(|(_, warnings)| warnings)
    }

    #[test]
    fn a_client_speaks_one_protocol() {
        let error = upstream(message(&["TLS_SM4_GCM_SM3", "ECC_SM4_GCM_SM3"], &[], &[]));
        assert!(error.unwrap_err().contains("either TLS 1.3 (RFC 8998) or TLCP"));
        let warnings = upstream(message(&["TLS_SM4_GCM_SM3"], &["X25519"], &[])).unwrap();
        assert!(warnings.contains("only the SM suites"), "{warnings}");
        let warnings = upstream(message(&["ECC_SM4_GCM_SM3"], &[], &[])).unwrap();
        assert!(!warnings.contains("only the SM suites"), "{warnings}");
    }

    fn policy(fields: &[(&str, Kind)]) -> Result<Option<SmPolicy>, String> {
        let value = |kind: &Kind| Value { kind: Some(kind.clone()) };
        let fields = fields.iter().map(|(name, kind)| ((*name).to_owned(), value(kind))).collect();
        let mut metadata = Metadata::default();
        metadata.filter_metadata.insert(METADATA.to_owned(), Struct { fields });
        lower(|cx| {
            let policy = cx.sm_policy(Some(&metadata));
            Some(policy)
        })
        .map(|(policy, _)| policy)
    }

    #[test]
    fn the_policy_is_one_of_three() {
        let text = |text: &str| Kind::StringValue(text.to_owned());
        assert_eq!(policy(&[("policy", text("sm_only"))]), Ok(Some(SmPolicy::SmOnly)));
        assert_eq!(policy(&[]), Ok(None));
        let error = policy(&[("policy", text("sm_olny"))]).unwrap_err();
        assert!(error.contains("metadata.palanquin.sm.policy"), "{error}");
        assert!(policy(&[("policy", Kind::BoolValue(true))]).unwrap_err().contains("string"));
        assert!(policy(&[("polcy", text("sm_only"))]).unwrap_err().contains("unknown field"));
    }
}
