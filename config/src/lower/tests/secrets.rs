use super::{bootstrap, errors};

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
fn a_static_secret_takes_the_place_of_its_name() {
    let lowered = bootstrap(&yaml("roots", "")).unwrap();
    let tls = lowered.value.clusters[0].tls.as_ref().unwrap();
    assert_eq!(tls.common.sds_names().count(), 0);
    let validation = tls.common.validation.as_ref().unwrap();
    assert!(validation.context.value().unwrap().trusted_ca.is_some());
    let other = bootstrap(&yaml("elsewhere", "")).unwrap();
    let tls = other.value.clusters[0].tls.as_ref().unwrap();
    assert_eq!(tls.common.sds_names().count(), 1, "that one has yet to come");
}

#[test]
fn static_secrets_have_names_of_their_own() {
    let twice = "- {name: roots, generic_secret: {secret: {inline_string: x}}}";
    assert_eq!(
        errors(&yaml("roots", twice)),
        "static_resources.secrets[1].name: duplicate static secret \"roots\""
    );
}
