use std::time::Duration;

use super::{bootstrap, errors};
use crate::ir::tls::SecretId;
use crate::ir::tls::SecretKind;
use crate::ir::tls::SecretService;

/// A self-signed certificate of no worth, for tests only.
const CA: &str = include_str!("ca.pem");

fn yaml(secret: &str, more: &str) -> String {
    let ca = CA.replace('\n', "\\n");
    format!(
        r#"
static_resources:
  secrets:
  - name: roots
    validation_context: {{trusted_ca: {{inline_string: "{ca}"}}}}
  {more}
  clusters:
  - name: c
    type: STATIC
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context: {{validation_context_sds_secret_config: {{name: {secret}}}}}
"#
    )
}

#[test]
fn a_static_secret_is_named_and_kept() {
    let lowered = bootstrap(&yaml("roots", "")).unwrap();
    let tls = lowered.value.clusters[0].tls.as_ref().unwrap();
    let ids = tls.secret_ids();
    assert_eq!(ids, [(SecretId::Named("roots".into()), SecretKind::Validation)]);
    let [secret] = &lowered.value.secrets[..] else { panic!("one secret") };
    assert_eq!(&*secret.name, "roots");
    let complete = tls.with_secrets(&|_| Some(secret.secret.clone()));
    assert!(complete.common.validation.unwrap().context.value().unwrap().trusted_ca.is_some());
}

#[test]
fn a_static_secret_must_exist_and_be_what_is_wanted() {
    let missing = errors(&yaml("elsewhere", ""));
    assert!(missing.contains("Unknown static secret: \"elsewhere\""), "{missing}");
    let generic = "- {name: word, generic_secret: {secret: {inline_string: x}}}";
    let wrong = errors(&yaml("word", generic));
    assert!(wrong.contains("is a generic_secret, and not a validation_context"), "{wrong}");
}

#[test]
fn static_secrets_have_names_of_their_own() {
    let twice = "- {name: roots, generic_secret: {secret: {inline_string: x}}}";
    assert_eq!(
        errors(&yaml("roots", twice)),
        "static_resources.secrets[1].name: duplicate static secret \"roots\""
    );
}

/// A cluster whose trust is a secret of this source; there are the clusters `c` and `agent`.
fn from(source: &str) -> String {
    let text = yaml("roots", "")
        .replace("{name: roots}", &format!("{{name: ROOTCA, sds_config: {source}}}"));
    text + "  - {name: agent, type: STATIC}\n"
}

#[test]
fn a_secret_is_found_by_ads_on_a_stream_or_in_a_file() {
    let service = |source: &str| {
        let lowered = bootstrap(&from(source)).unwrap();
        match &lowered.value.clusters[0].tls.as_ref().unwrap().secret_ids()[..] {
            [(SecretId::Named(secret), SecretKind::Validation)] => secret.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(service("{ads: {}}").service, SecretService::Ads);
    let waits = service("{ads: {}, initial_fetch_timeout: 0s}");
    assert_eq!(waits.initial_fetch_timeout, Duration::ZERO);
    let file = service("{path_config_source: {path: /etc/sds.yaml}}");
    assert_eq!(file.service, SecretService::File("/etc/sds.yaml".into()));
    assert_eq!(file.initial_fetch_timeout, Duration::from_secs(15));
    let stream = "{api_config_source: {api_type: DELTA_GRPC, grpc_services: [{envoy_grpc: {cluster_name: agent}}]}}";
    match service(stream).service {
        SecretService::Stream(stream) => assert!(stream.delta && *stream.clusters[0] == *"agent"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_service_of_secrets_must_be_one() {
    let service = |api: &str, cluster: &str| {
        errors(&from(&format!(
            "{{api_config_source: {{api_type: {api}, grpc_services: [{{envoy_grpc: {{cluster_name: {cluster}}}}}]}}}}"
        )))
    };
    let aggregated = service("AGGREGATED_GRPC", "agent");
    assert!(
        aggregated.contains("api_config_source.api_type: a service of secrets"),
        "{aggregated}"
    );
    let unknown = service("GRPC", "nobody");
    assert!(unknown.contains("cluster_name: unknown cluster \"nobody\""), "{unknown}");
}

#[test]
fn trust_that_cannot_be_read_is_told_once() {
    let text = yaml("roots", "").replace(
        "validation_context_sds_secret_config: {name: roots}",
        "validation_context: {trusted_ca: {filename: /nonexistent.pem}}",
    );
    let problems = bootstrap(&text).unwrap_err().problems;
    assert_eq!(problems.error_count(), 1);
    assert_eq!(problems.warnings().count(), 0);
}
