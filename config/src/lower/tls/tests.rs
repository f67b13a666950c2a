//! TLS contexts, from message to typed values and to the text of their errors.

use std::sync::Arc;

use palanquin_filter_api::stats;
use palanquin_proto::envoy::config::core::v3::DataSource;
use palanquin_proto::envoy::config::core::v3::TypedExtensionConfig;
use palanquin_proto::envoy::config::core::v3::data_source::Specifier;
use palanquin_proto::envoy::extensions::transport_sockets::tls::v3 as pb;
use palanquin_proto::envoy::r#type::matcher::v3::StringMatcher;
use palanquin_proto::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use pb::common_tls_context::ValidationContextType;
use pb::subject_alt_name_matcher::SanType;

use super::super::Environment;
use super::super::Lowered;
use super::super::Lowering;
use crate::extension::Registry;
use crate::ir::tls::CipherSuite;
use crate::ir::tls::Curve;
use crate::ir::tls::DownstreamTls;
use crate::ir::tls::Secret;
use crate::ir::tls::SecretId;
use crate::ir::tls::TlsVersion;
use crate::ir::tls::UpstreamTls;

fn lower<T>(step: impl FnOnce(&mut Lowering<'_>) -> Option<T>) -> Result<Lowered<T>, String> {
    let stats = stats::Registry::new(1);
    let filters = Registry::new();
    let mut lowering = Lowering::new(Environment { filters: &filters, stats: &stats });
    let value = step(&mut lowering);
    lowering.finish("Tls", "", value).map_err(|rejected| {
        let lines: Vec<_> = rejected.problems.errors().map(ToString::to_string).collect();
        lines.join("\n")
    })
}

fn downstream(common: pb::CommonTlsContext) -> Result<Lowered<DownstreamTls>, String> {
    let message =
        pb::DownstreamTlsContext { common_tls_context: Some(common), ..Default::default() };
    lower(|cx| cx.downstream_tls(&message))
}

fn upstream(message: &pb::UpstreamTlsContext) -> Result<Lowered<UpstreamTls>, String> {
    lower(|cx| cx.upstream_tls(message))
}

fn warnings<T>(lowered: &Lowered<T>) -> String {
    let lines: Vec<_> = lowered.warnings.warnings().map(ToString::to_string).collect();
    lines.join("\n")
}

#[expect(clippy::unnecessary_wraps, reason = "the fields it fills are optional")]
fn source(specifier: Specifier) -> Option<DataSource> {
    Some(DataSource { specifier: Some(specifier), watched_directory: None })
}

fn text(text: &str) -> Option<DataSource> {
    source(Specifier::InlineString(text.to_owned()))
}

/// A certificate and its key, in PEM.
fn pem() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn certificate() -> pb::TlsCertificate {
    let (certificate, key) = pem();
    pb::TlsCertificate {
        certificate_chain: text(&certificate),
        private_key: text(&key),
        ..Default::default()
    }
}

fn common() -> pb::CommonTlsContext {
    pb::CommonTlsContext { tls_certificates: vec![certificate()], ..Default::default() }
}

fn validated(context: pb::CertificateValidationContext) -> pb::CommonTlsContext {
    let validation = ValidationContextType::ValidationContext(context);
    pb::CommonTlsContext { validation_context_type: Some(validation), ..common() }
}

#[test]
fn a_plain_context_gets_the_defaults() {
    let tls = downstream(common()).unwrap().value;
    assert_eq!(tls.common.params.min_version, TlsVersion::Tls12);
    assert_eq!(tls.common.params.curves[0], Curve::X25519MlKem768);
    assert!(!tls.require_client_certificate);
    assert!(tls.resumption.tickets.is_some() && tls.resumption.stateful);
    assert_eq!(tls.resumption.timeout.as_secs(), 7200);
    assert_eq!(tls.secret_ids().len(), 0);
}

#[test]
fn a_server_needs_a_certificate_and_the_certificate_needs_a_key() {
    let error = downstream(pb::CommonTlsContext::default()).unwrap_err();
    assert!(error.starts_with("No TLS certificates found for server context"), "{error}");
    let mut without_key = common();
    without_key.tls_certificates[0].private_key = None;
    assert_eq!(
        downstream(without_key).unwrap_err(),
        "common_tls_context.tls_certificates[0].private_key: is necessary"
    );
}

#[test]
fn files_are_read_now_and_named_for_watching() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = pem();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("tls.crt"), certificate).unwrap();
    std::fs::write(path("tls.key"), key).unwrap();
    let named = |key: &str| pb::TlsCertificate {
        certificate_chain: source(Specifier::Filename(path("tls.crt"))),
        private_key: source(Specifier::Filename(path(key))),
        ..Default::default()
    };
    let context =
        |key| pb::CommonTlsContext { tls_certificates: vec![named(key)], ..Default::default() };
    let tls = downstream(context("tls.key")).unwrap().value;
    assert_eq!(tls.common.certificates[0].files().unwrap().paths.len(), 2);
    let error = downstream(context("gone.key")).unwrap_err();
    assert!(
        error.starts_with(
            "common_tls_context.tls_certificates[0].private_key.filename: cannot read"
        ),
        "{error}"
    );
}

#[test]
fn broken_or_encrypted_keys_are_refused_without_repeating_them() {
    let with_key = |key: &str| {
        let mut context = common();
        context.tls_certificates[0].private_key = text(key);
        downstream(context).unwrap_err()
    };
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let error = with_key(encrypted);
    assert!(error.contains("the private key is encrypted, and there is no password"), "{error}");
    assert!(!error.contains("c2VjcmV0"), "{error}");
    let broken = with_key("-----BEGIN PRIVATE KEY-----\nS3cr3t!\n-----END PRIVATE KEY-----\n");
    assert!(broken.contains("the PEM of the private key is broken"), "{broken}");
    assert!(!broken.contains("S3cr3t"), "{broken}");
    assert!(with_key("hello").contains("there is no private key in it"));
}

#[test]
fn an_empty_ca_is_an_error_and_never_open() {
    let context = pb::CertificateValidationContext {
        trusted_ca: text("no certificate"),
        ..Default::default()
    };
    let error = downstream(validated(context)).unwrap_err();
    assert!(
        error.starts_with(
            "common_tls_context.validation_context.trusted_ca: there is no CA certificate in it"
        ),
        "{error}"
    );
    let missing = pb::CertificateValidationContext {
        trusted_ca: source(Specifier::Filename("/nonexistent/ca.pem".to_owned())),
        ..Default::default()
    };
    assert!(downstream(validated(missing)).is_err());
}

#[test]
fn names_without_a_ca_are_refused() {
    let matcher = StringMatcher {
        match_pattern: Some(MatchPattern::Exact("a".to_owned())),
        ignore_case: false,
    };
    let san = pb::SubjectAltNameMatcher {
        san_type: SanType::Uri as i32,
        matcher: Some(matcher),
        oid: String::new(),
    };
    let context = pb::CertificateValidationContext {
        match_typed_subject_alt_names: vec![san],
        ..Default::default()
    };
    let error = downstream(validated(context)).unwrap_err();
    assert!(error.contains("SAN-based verification of peer certificates without"), "{error}");
}

#[test]
fn what_decides_about_trust_and_does_not_exist_is_an_error() {
    let context = pb::CertificateValidationContext {
        custom_validator_config: Some(TypedExtensionConfig::default()),
        ..Default::default()
    };
    let error = downstream(validated(context)).unwrap_err();
    assert!(error.contains("custom_validator_config.typed_config: is necessary"), "{error}");
    let shaker = pb::CommonTlsContext {
        custom_handshaker: Some(TypedExtensionConfig::default()),
        ..common()
    };
    assert!(downstream(shaker).is_err());
}

#[test]
fn suites_and_curves_are_read_by_boringssls_names() {
    let params = pb::TlsParameters {
        cipher_suites: vec![
            "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]".to_owned(),
            "ECDHE-RSA-AES128-SHA".to_owned(),
        ],
        ecdh_curves: vec!["P-521".to_owned(), "P-256".to_owned()],
        ..Default::default()
    };
    let lowered =
        downstream(pb::CommonTlsContext { tls_params: Some(params), ..common() }).unwrap();
    let read = &lowered.value.common.params;
    assert_eq!(read.cipher_suites, [CipherSuite(0xc02b), CipherSuite(0xcca9)]);
    assert_eq!(read.curves, [Curve::P521, Curve::P256]);
    let text = warnings(&lowered);
    assert!(text.contains("cipher_suites[1]: \"ECDHE-RSA-AES128-SHA\" is not supported"), "{text}");
}

#[test]
fn a_misspelled_suite_and_versions_that_cross_are_errors() {
    let params = pb::TlsParameters {
        tls_minimum_protocol_version: 4,
        tls_maximum_protocol_version: 3,
        cipher_suites: vec!["ECDHE-RSA-AES128-GCM-SHA265".to_owned()],
        ..Default::default()
    };
    let context = pb::CommonTlsContext { tls_params: Some(params), ..common() };
    let error = downstream(context).unwrap_err();
    assert!(error.contains("did you mean \"ECDHE-RSA-AES128-GCM-SHA256\"?"), "{error}");
    assert!(error.contains("the minimum version is above the maximum"), "{error}");
}

#[test]
fn an_upstream_without_trust_is_warned_about() {
    let lowered = upstream(&pb::UpstreamTlsContext::default()).unwrap();
    assert!(warnings(&lowered).starts_with("the server is not authenticated"));
    assert_eq!(lowered.value.max_session_keys, 1);
    let checked = pb::UpstreamTlsContext { auto_sni_san_validation: true, ..Default::default() };
    assert!(upstream(&checked).unwrap_err().contains("without a validation context"));
}

#[test]
fn a_secret_by_name_is_put_in_when_it_is_known() {
    let config = pb::SdsSecretConfig { name: "web".to_owned(), sds_config: None };
    let overlay = pb::SdsSecretConfig { name: "ROOTCA".to_owned(), sds_config: None };
    let combined = pb::common_tls_context::CombinedCertificateValidationContext {
        default_validation_context: Some(pb::CertificateValidationContext {
            verify_certificate_hash: vec!["0a".repeat(32)],
            ..Default::default()
        }),
        validation_context_sds_secret_config: Some(overlay),
        ..Default::default()
    };
    let context = pb::CommonTlsContext {
        tls_certificate_sds_secret_configs: vec![config],
        validation_context_type: Some(ValidationContextType::CombinedValidationContext(combined)),
        ..Default::default()
    };
    let tls = downstream(context).unwrap().value;
    let names: Vec<_> = tls.common.sds_names().map(|name| &**name).collect();
    assert_eq!(names, ["web", "ROOTCA"]);

    let secret = |message: pb::Secret| lower(|cx| cx.secret(&message)).unwrap().value;
    let web = secret(pb::Secret {
        name: "web".to_owned(),
        r#type: Some(pb::secret::Type::TlsCertificate(certificate())),
    });
    let root = secret(pb::Secret {
        name: "ROOTCA".to_owned(),
        r#type: Some(pb::secret::Type::ValidationContext(pb::CertificateValidationContext {
            trusted_ca: text(&pem().0),
            ..Default::default()
        })),
    });
    let find = |id: &SecretId| -> Option<Secret> {
        match id.to_string().as_str() {
            "web" => Some(web.clone()),
            "ROOTCA" => Some(root.clone()),
            _ => None,
        }
    };
    let complete = tls.with_secrets(&find);
    assert_eq!(complete.common.sds_names().count(), 0);
    let validation = complete.common.validation.as_ref().unwrap();
    let merged: &Arc<_> = validation.context.value().unwrap();
    assert!(merged.trusted_ca.is_some());
    assert_eq!(merged.certificate_hashes, [[10; 32]]);
}

#[test]
fn a_ticket_key_has_80_bytes() {
    let keys = |length: usize| pb::TlsSessionTicketKeys {
        keys: vec![source(Specifier::InlineBytes(vec![1; length].into())).unwrap()],
    };
    assert!(lower(|cx| cx.ticket_keys(&keys(80))).is_ok());
    let error = lower(|cx| cx.ticket_keys(&keys(48))).unwrap_err();
    assert!(error.starts_with("keys[0]: a ticket key has 80 bytes, this has 48"), "{error}");
    assert!(lower(|cx| cx.ticket_keys(&pb::TlsSessionTicketKeys::default())).is_err());
}
