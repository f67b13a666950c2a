//! Whole files: the examples load, what is read can be written and read again, and no text panics.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::{Path, PathBuf};

use palanquin_config::file::{self, Form, Secrets, UnknownFields};
use palanquin_config::short;
use palanquin_proto::envoy::config::bootstrap::v3::Bootstrap;
use palanquin_proto::envoy::config::cluster::v3::Cluster;
use palanquin_proto::envoy::extensions::transport_sockets::tls::v3::Secret;
use proptest::prelude::*;
use prost::{Message, Name};

fn examples(folder: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(folder);
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect()
}

fn bootstrap(text: &str) -> Bootstrap {
    match file::load_bootstrap("test", text, UnknownFields::Reject) {
        Ok(loaded) => loaded.message,
        Err(report) => panic!("{report}"),
    }
}

#[test]
fn every_envoy_example_loads() {
    for path in examples("envoy") {
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(file::form(&text), Form::Envoy);
        bootstrap(&text);
    }
}

#[test]
fn every_short_example_expands_to_a_file_that_loads_as_the_same_bootstrap() {
    for path in examples("short") {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(file::form(&text), Form::Short);
        let expanded = match short::expand(&path.display().to_string(), &text) {
            Ok(expanded) => expanded,
            Err(report) => panic!("{report}"),
        };
        assert!(expanded.loaded.warnings.is_empty());
        assert_eq!(bootstrap(&expanded.to_yaml()), expanded.loaded.message);
    }
}

#[test]
fn what_is_written_as_yaml_is_read_back_unchanged() {
    for path in examples("envoy") {
        let read = bootstrap(&std::fs::read_to_string(path).unwrap());
        let json =
            file::message_to_json(&Bootstrap::type_url(), &read.encode_to_vec(), Secrets::Show);
        assert_eq!(bootstrap(&file::to_yaml(&json)), read);
        assert_eq!(bootstrap(&json.to_string()), read, "JSON is read as well");
    }
}

#[test]
fn secrets_are_hidden_and_the_rest_is_shown() {
    let text = "name: a\ntls_certificate:\n  certificate_chain: { filename: c.pem }\n  \
                private_key: { inline_string: SECRET }\n  password: { inline_bytes: U0VDUkVU }\n";
    let loaded = file::load_message::<Secret>("s", text).unwrap();
    let bytes = loaded.message.encode_to_vec();
    let shown = file::any_to_json(&Secret::type_url(), &bytes, Secrets::Redact);
    assert_eq!(
        shown,
        serde_json::json!({
            "@type": Secret::type_url(),
            "name": "a",
            "tls_certificate": {
                "certificate_chain": {"filename": "c.pem"},
                "private_key": {"inline_string": "[redacted]"},
                "password": {"inline_bytes": "W3JlZGFjdGVkXQ=="},
            },
        })
    );
}

#[test]
fn an_unknown_type_is_shown_in_base64_and_never_fails() {
    let shown = file::any_to_json("type.googleapis.com/no.Such", b"\x01\x02", Secrets::Redact);
    assert_eq!(shown["value"], "AQI=");
    let broken = file::any_to_json(&Cluster::type_url(), b"\xff\xff", Secrets::Redact);
    assert_eq!(broken["value"], "//8=");
}

#[test]
fn a_discovery_file_may_be_a_response_or_one_resource() {
    let one = "\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\nname: a\n";
    let loaded = file::load_discovery("one.yaml", one).unwrap();
    assert_eq!(loaded.message.resources.len(), 1);
    assert_eq!(loaded.message.type_url, Cluster::type_url());

    let many = "version_info: \"7\"\nresources:\n\
                - \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: a\n\
                - \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: b\n";
    let loaded = file::load_discovery("many.yaml", many).unwrap();
    assert_eq!(loaded.message.version_info, "7");
    let second = Cluster::decode(loaded.message.resources[1].value.as_slice()).unwrap();
    assert_eq!(second.name, "b");
    assert_eq!(loaded.spans.locate("resources[1].name").unwrap().line, 6);
}

#[test]
fn a_second_text_is_merged_into_the_first() {
    let cluster = |name: &str| format!("static_resources: {{ clusters: [{{ name: {name} }}] }}");
    let sources = vec![
        palanquin_config::diagnostic::Source::new(
            "a.yaml",
            format!("node: {{ id: x }}\n{}", cluster("a")),
        ),
        palanquin_config::diagnostic::Source::new(
            "--config-yaml",
            format!("node: {{ id: y }}\n{}", cluster("b")),
        ),
    ];
    let loaded = file::load_merged_bootstrap(sources, UnknownFields::Reject).unwrap();
    assert_eq!(loaded.message.node.unwrap().id, "y");
    let names: Vec<_> =
        loaded.message.static_resources.unwrap().clusters.into_iter().map(|c| c.name).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(loaded.spans.locate("static_resources.clusters[1].name").unwrap().source, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_reader_panic(text in "[-:{}\\[\\]a-z0-9\"'&*!|>%@# \n/.,~]{0,200}") {
        let _ = file::load_bootstrap("x", &text, UnknownFields::Reject);
        let _ = file::load_discovery("x", &text);
        let _ = short::expand("x", &format!("listen: :1\nroutes:\n  {text}"));
        let _ = short::expand("x", &format!("listen: {text}\nroutes: {{ /: \"a:1\" }}"));
    }

    #[test]
    fn no_bytes_make_a_dump_or_a_report_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let url = Bootstrap::type_url();
        file::any_to_json(&url, &bytes, Secrets::Redact);
        let mut problems = palanquin_config::diagnostic::Problems::new();
        let mut path = palanquin_config::diagnostic::FieldPath::new();
        palanquin_config::support::unsupported(&url, &bytes, &mut path, &mut problems);
        prop_assert_eq!(path.as_str(), "");
    }
}
