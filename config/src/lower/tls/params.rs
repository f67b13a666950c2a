//! Versions, cipher suites, key exchanges and signature schemes by the names of BoringSSL.

use palanquin_proto::envoy::extensions::transport_sockets::tls::v3 as pb;
use pb::tls_parameters::CompliancePolicy;
use pb::tls_parameters::TlsProtocol;

use super::super::Lowering;
use super::sm;
use crate::ir::tls::CipherSuite;
use crate::ir::tls::Curve;
use crate::ir::tls::SignatureScheme;
use crate::ir::tls::TlsParams;
use crate::ir::tls::TlsVersion;

impl Lowering<'_> {
    pub(super) fn tls_params(&mut self, message: &pb::TlsParameters) -> Option<TlsParams> {
        let before = self.error_count();
        let default = TlsParams::default();
        let min_version = self.min_version(message.tls_minimum_protocol_version);
        let max_version = self.max_version(message.tls_maximum_protocol_version);
        if min_version > max_version {
            self.error("the minimum version is above the maximum");
        }
        let mut equal_suites = Vec::new();
        let cipher_suites = self.cipher_suites(&message.cipher_suites, &mut equal_suites);
        let mut seen = Vec::new();
        let curves = self.list("ecdh_curves", &message.ecdh_curves, |cx, name| {
            if sm::curve(name).is_some() {
                return None; // see sm::params
            }
            let curve = cx.curve(name)?;
            if seen.contains(&curve) {
                cx.error(format!("{name:?} is there twice"));
            }
            seen.push(curve);
            Some(curve)
        });
        let mut curves = curves;
        if curves.is_empty() {
            if !message.ecdh_curves.is_empty() && !sm::is_named(&message.ecdh_curves) {
                self.error_in("ecdh_curves", "none of them is supported").hint(known(CURVES));
            }
            curves = default.curves;
        }
        let signature_schemes =
            self.list("signature_algorithms", &message.signature_algorithms, |cx, name| {
                (name != sm::SCHEME).then(|| cx.signature_scheme(name)).flatten()
            });
        let mut params = TlsParams {
            min_version,
            max_version,
            cipher_suites,
            equal_suites,
            curves,
            signature_schemes,
            tls13_suites: Vec::new(),
            sm: sm::params(message),
        };
        for (index, policy) in message.compliance_policies.iter().enumerate() {
            self.item("compliance_policies", index, |cx| cx.comply(*policy, &mut params));
        }
        (self.error_count() == before).then_some(params)
    }

    fn min_version(&mut self, version: i32) -> TlsVersion {
        match TlsProtocol::try_from(version) {
            Ok(TlsProtocol::TlSv13) => TlsVersion::Tls13,
            Ok(TlsProtocol::TlSv10 | TlsProtocol::TlSv11) => {
                self.warning_in(
                    "tls_minimum_protocol_version",
                    "TLS 1.0 and 1.1 are not supported; TLS 1.2 is the lowest",
                );
                TlsVersion::Tls12
            }
            Ok(TlsProtocol::TlsAuto | TlsProtocol::TlSv12) => TlsVersion::Tls12,
            Err(_) => {
                self.error_in("tls_minimum_protocol_version", "is not a version");
                TlsVersion::Tls12
            }
        }
    }

    fn max_version(&mut self, version: i32) -> TlsVersion {
        match TlsProtocol::try_from(version) {
            Ok(TlsProtocol::TlSv12) => TlsVersion::Tls12,
            Ok(TlsProtocol::TlsAuto | TlsProtocol::TlSv13) => TlsVersion::Tls13,
            Ok(TlsProtocol::TlSv10 | TlsProtocol::TlSv11) | Err(_) => {
                self.error_in("tls_maximum_protocol_version", "only TLS 1.2 and 1.3 are supported");
                TlsVersion::Tls13
            }
        }
    }

    /// A list of suites, each perhaps a group of equals: `[A|B]`.
    fn cipher_suites(
        &mut self,
        names: &[String],
        equals: &mut Vec<[CipherSuite; 2]>,
    ) -> Vec<CipherSuite> {
        let mut suites = Vec::new();
        for (index, entry) in names.iter().enumerate() {
            let group = entry.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
            let before = suites.len();
            for name in group.unwrap_or(entry).split('|') {
                if sm::suite(name).is_some() {
                    continue; // see sm::params
                }
                self.item("cipher_suites", index, |cx| suites.extend(cx.cipher_suite(name)));
            }
            match suites.get(before..) {
                Some([first, second]) => equals.push([*first, *second]),
                Some([_, _, _, ..]) => {
                    self.item("cipher_suites", index, |cx| {
                        cx.warning("in a group of more than two, our order decides");
                    });
                }
                _ => {}
            }
        }
        if suites.is_empty() && !names.is_empty() && !sm::is_named(names) {
            self.error_in("cipher_suites", "none of them is supported").hint(known(SUITES));
        }
        suites
    }

    fn cipher_suite(&mut self, name: &str) -> Option<CipherSuite> {
        if let Some((_, _, number)) = SUITES.iter().find(|(a, b, _)| *a == name || *b == name) {
            return Some(CipherSuite(*number));
        }
        if UNSUPPORTED_SUITES.contains(&name) {
            self.warning(format!("{name:?} is not supported: no forward secrecy, or no AEAD"));
            return None;
        }
        let problem = self.error(format!("unknown cipher suite {name:?}"));
        if name.starts_with("TLS_AES_") || name.starts_with("TLS_CHACHA20_") {
            problem.hint("the suites of TLS 1.3 are always on and not listed here");
        } else {
            problem.did_you_mean(name, SUITES.iter().map(|(name, _, _)| *name));
        }
        None
    }

    fn curve(&mut self, name: &str) -> Option<Curve> {
        if let Some((_, _, curve)) = CURVES.iter().find(|(a, b, _)| *a == name || *b == name) {
            return Some(*curve);
        }
        if name == "MLKEM1024" {
            self.warning(format!("{name:?} is not supported"));
            return None;
        }
        self.error(format!("unknown curve {name:?}"))
            .did_you_mean(name, CURVES.iter().map(|(name, _, _)| *name));
        None
    }

    fn signature_scheme(&mut self, name: &str) -> Option<SignatureScheme> {
        if let Some((_, number)) = SCHEMES.iter().find(|(known, _)| *known == name) {
            return Some(SignatureScheme(*number));
        }
        if ["rsa_pkcs1_sha1", "ecdsa_sha1"].contains(&name) {
            self.warning(format!("{name:?} is not supported: SHA-1 is broken (RFC 9155)"));
            return None;
        }
        self.error(format!("unknown or unsupported signature algorithm {name:?}"))
            .did_you_mean(name, SCHEMES.iter().map(|(name, _)| *name));
        None
    }

    fn comply(&mut self, policy: i32, params: &mut TlsParams) {
        match CompliancePolicy::try_from(policy) {
            // BoringSSL's ssl_compliance_policy_fips_202205.
            Ok(CompliancePolicy::Fips202205) => {
                params.min_version = TlsVersion::Tls12;
                params.max_version = TlsVersion::Tls13;
                params.tls13_suites = [0x1301, 0x1302].map(CipherSuite).to_vec();
                params.cipher_suites = [0xc02b, 0xc02c, 0xc02f, 0xc030].map(CipherSuite).to_vec();
                params.curves = vec![Curve::P256, Curve::P384];
                params.signature_schemes =
                    [0x0401, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806, 0x0403, 0x0503]
                        .map(SignatureScheme)
                        .to_vec();
                if params.sm.is_named {
                    self.error("the SM suites do not comply with it");
                }
                params.sm.tls13_suites.clear();
                params.sm.tlcp_suites.clear();
            }
            _ => {
                self.error("this policy is not supported yet").hint("supported: FIPS_202205");
            }
        }
    }
}

/// A client that is not told otherwise offers TLS 1.2 at most, as in Envoy (`TLS_AUTO`). SM suites are of TLS 1.3,
/// and who asks for at least TLS 1.3 does not mean nothing at all.
pub(super) fn limit_client(params: &mut TlsParams, message: Option<&pb::TlsParameters>) {
    let maximum = message.map_or(0, |message| message.tls_maximum_protocol_version);
    if TlsProtocol::try_from(maximum) == Ok(TlsProtocol::TlsAuto) && !params.sm.is_named {
        params.max_version = TlsVersion::Tls12.max(params.min_version);
    }
}

fn known<T>(names: &[(&str, &str, T)]) -> String {
    let names: Vec<_> = names.iter().map(|(name, _, _)| *name).collect();
    format!("supported: {}", names.join(", "))
}

const CURVES: &[(&str, &str, Curve)] = &[
    ("X25519MLKEM768", "X25519MLKEM768", Curve::X25519MlKem768),
    ("X25519", "x25519", Curve::X25519),
    ("P-256", "prime256v1", Curve::P256),
    ("P-384", "secp384r1", Curve::P384),
    ("P-521", "secp521r1", Curve::P521),
];

/// OpenSSL's name, IANA's name, number.
const SUITES: &[(&str, &str, u16)] = &[
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xc02b),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca9),
    ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xc02f),
    ("ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca8),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 0xc02c),
    ("ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 0xc030),
];

/// Known to BoringSSL, not to us.
const UNSUPPORTED_SUITES: &[&str] = &[
    "AES128-GCM-SHA256",
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA",
    "DES-CBC3-SHA",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-PSK-AES128-CBC-SHA",
    "ECDHE-PSK-AES256-CBC-SHA",
    "ECDHE-PSK-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-RSA-AES256-SHA",
    "PSK-AES128-CBC-SHA",
    "PSK-AES256-CBC-SHA",
];

const SCHEMES: &[(&str, u16)] = &[
    ("ecdsa_secp256r1_sha256", 0x0403),
    ("ecdsa_secp384r1_sha384", 0x0503),
    ("ecdsa_secp521r1_sha512", 0x0603),
    ("ed25519", 0x0807),
    ("rsa_pkcs1_sha256", 0x0401),
    ("rsa_pkcs1_sha384", 0x0501),
    ("rsa_pkcs1_sha512", 0x0601),
    ("rsa_pss_rsae_sha256", 0x0804),
    ("rsa_pss_rsae_sha384", 0x0805),
    ("rsa_pss_rsae_sha512", 0x0806),
];
