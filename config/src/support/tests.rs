//! The list names what exists, and the walk finds what is not on it.

use palanquin_proto::schema;

use super::list::{self, Fate};
use super::unsupported;
use crate::diagnostic::{FieldPath, Problems, Severity};
use crate::file::{self, UnknownFields};

const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";

fn report(yaml: &str) -> Vec<(Severity, String)> {
    let loaded = file::load_bootstrap("test", yaml, UnknownFields::Reject).unwrap();
    let bytes = prost::Message::encode_to_vec(&loaded.message);
    let mut problems = Problems::new();
    let mut path = FieldPath::new();
    unsupported(BOOTSTRAP, &bytes, &mut path, &mut problems);
    assert_eq!(path.as_str(), "");
    problems.iter().map(|problem| (problem.severity, problem.path.to_string())).collect()
}

#[test]
fn every_name_on_the_list_exists_and_stands_there_once() {
    let mut seen = std::collections::BTreeSet::new();
    let mut message = None;
    let lines = list::TEXT.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            message = schema::message(name);
            assert!(message.is_some(), "no message {name}");
            assert!(seen.insert(name.to_owned()), "{name} is listed twice");
            continue;
        }
        let message = message.unwrap();
        let names = match list::special(line) {
            Some((name, _)) => vec![name],
            None => line.split_whitespace().collect(),
        };
        for name in names.into_iter().filter(|name| *name != "*") {
            let known = message.fields().iter().any(|field| field.name() == name);
            assert!(known, "{} has no field {name}", message.full_name());
            let once = seen.insert(format!("{}.{name}", message.full_name()));
            assert!(once, "{}.{name} is listed twice", message.full_name());
        }
    }
}

#[test]
fn the_messages_of_supported_fields_are_listed_themselves() {
    let list = list::get();
    let mut missing = std::collections::BTreeSet::new();
    for name in list.names() {
        let message = schema::message(name).unwrap();
        let fates = list.fates(message).unwrap();
        for field in message.fields().iter().filter(|field| fates.of(field) == Fate::Supported) {
            let inner = match field.label() {
                schema::Label::Map => field.message().and_then(|e| e.field(2)?.message()),
                _ => field.message(),
            };
            let Some(inner) = inner else { continue };
            if !inner.full_name().starts_with("google.protobuf.") && list.fates(inner).is_none() {
                missing.insert(format!("{} (for {name}.{})", inner.full_name(), field.name()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn a_field_deep_in_a_typed_extension_is_reported_with_its_path() {
    let yaml = r#"
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: 1 } }
    freebind: true
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: a
          add_user_agent: true
          route_config:
            virtual_hosts:
            - name: a
              domains: ["*"]
              routes:
              - match: { prefix: / }
                route: { cluster: c, flush_timeout: 1s }
"#;
    let manager = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config";
    let route = format!("{manager}.route_config.virtual_hosts[0].routes[0].route");
    let mut paths: Vec<_> = report(yaml).into_iter().map(|(_, path)| path).collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            format!("{manager}.add_user_agent"),
            format!("{route}.flush_timeout"),
            "static_resources.listeners[0].freebind".to_owned(),
        ]
    );
}

#[test]
fn what_is_not_safe_to_ignore_is_an_error() {
    let yaml = r"
static_resources:
  clusters:
  - name: a
    connect_timeout: 1s
    load_assignment:
      cluster_name: a
      policy: { drop_overloads: [{ category: x, drop_percentage: { numerator: 1 } }] }
";
    let path = "static_resources.clusters[0].load_assignment.policy.drop_overloads";
    assert_eq!(report(yaml), [(Severity::Error, path.to_owned())]);
}

#[test]
fn default_values_and_silent_fields_are_not_reported() {
    let yaml = r"
deferred_stat_options: { enable_deferred_creation_stats: true }
static_resources:
  clusters:
  - name: a
    connect_timeout: 1s
    wait_for_warm_on_init: false
    use_tcp_for_dns_lookups: false
";
    assert_eq!(report(yaml), []);
}
