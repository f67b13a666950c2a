//! The texts that people see when a file is wrong, each as a snapshot.
//!
//! `cargo insta review`, or `INSTA_UPDATE=always cargo test`, after a change that was meant.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;

use palanquin_config::diagnostic::{FieldPath, Problems};
use palanquin_config::file::{self, Form, UnknownFields};
use palanquin_config::short;

fn text(case: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    std::fs::read_to_string(dir.join(format!("{case}.yaml"))).unwrap()
}

/// What loading a file of `tests/diagnostics` prints.
fn report(case: &str) -> String {
    let (name, text) = (format!("{case}.yaml"), text(case));
    match file::form(&text) {
        Form::Envoy => file::load_bootstrap(&name, &text, UnknownFields::Reject)
            .map_or_else(|report| report.to_string(), |_| "fine".to_owned()),
        Form::Short => short::expand(&name, &text)
            .map_or_else(|report| report.to_string(), |_| "fine".to_owned()),
    }
}

fn check(case: &str) {
    insta::with_settings!({
        snapshot_path => "diagnostics",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(case, report(case));
    });
}

#[test]
fn unknown_fields_suggest_their_neighbour() {
    check("unknown-field");
}

#[test]
fn wrong_types_say_what_was_found_and_what_is_accepted() {
    check("wrong-types");
}

#[test]
fn broken_rules_of_the_api_are_all_reported() {
    check("broken-rules");
}

#[test]
fn faults_inside_typed_extensions_have_their_position() {
    check("typed-extensions");
}

#[test]
fn broken_yaml_is_reported_where_it_breaks() {
    check("syntax");
}

#[test]
fn typos_of_the_short_form_are_all_reported() {
    check("short-typos");
}

#[test]
fn what_the_short_form_only_promises_is_refused_by_name() {
    check("short-not-yet");
}

#[test]
fn wrong_tenants_are_reported_each() {
    check("short-tenants");
}

#[test]
fn unknown_fields_can_be_warnings() {
    let text = "node: { id: a, cluster: b, colour: red }";
    let loaded = file::load_bootstrap("f.yaml", text, UnknownFields::Warn).unwrap();
    let report = loaded.report(Problems::new());
    assert!(!report.has_errors());
    assert!(report.to_string().starts_with("f.yaml:1:28: node.colour\n  warning: "), "{report}");
}

#[test]
fn a_problem_found_later_is_placed_in_the_text() {
    let text = "static_resources:\n  clusters:\n  - name: a\n    type: STATIC\n";
    let loaded = file::load_bootstrap("f.yaml", text, UnknownFields::Reject).unwrap();
    let mut problems = Problems::new();
    let mut path = FieldPath::new();
    path.push_field("static_resources");
    path.push_field("clusters");
    path.push_index(0);
    path.push_field("type");
    problems.error(&path, "something deeper");
    let shown = loaded.report(problems).to_string();
    assert!(shown.starts_with("f.yaml:4:11: static_resources.clusters[0].type\n"), "{shown}");
}

#[test]
fn a_problem_found_later_is_placed_in_the_short_form() {
    let text = "listen: :1\nroutes:\n  /a/: localhost:1\n  /: localhost:2\n";
    let expanded = short::expand("s.yaml", text).unwrap();
    let mut problems = Problems::new();
    let mut path = FieldPath::new();
    path.push_field("static_resources");
    path.push_field("clusters");
    path.push_index(1);
    path.push_field("load_assignment");
    problems.error(&path, "something deeper");
    let shown = expanded.loaded.report(problems).to_string();
    assert!(shown.starts_with("s.yaml:4:6: routes[\"/\"]\n  error: something deeper"), "{shown}");
}
