use super::{bootstrap, errors};
use crate::ir::tls::SecretId;
use crate::ir::tls::SecretKind;

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
