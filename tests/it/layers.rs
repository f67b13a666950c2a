//! The direction of dependencies between the crates, as ARCHITECTURE.md has it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// What a crate may use of ours, and what it must never use of others'.
struct Rule {
    ours: &'static [&'static str],
    never: &'static [&'static str],
}

/// Crates that only the data path and the control thread may know.
const NETWORK: &[&str] = &["hyper", "hyper-util", "h2", "rustls", "tokio-rustls", "tonic"];

/// The table of ARCHITECTURE.md. `tests` and `benches` may use everything.
fn rules() -> BTreeMap<&'static str, Rule> {
    BTreeMap::from([
        ("palanquin-proto", Rule { ours: &[], never: &["hyper", "rustls"] }),
        // Generates the code of palanquin-proto; nobody depends on it.
        ("palanquin-proto-gen", Rule { ours: &["palanquin-proto"], never: &["hyper", "rustls"] }),
        ("palanquin-filter-api", Rule { ours: &[], never: NETWORK }),
        (
            "palanquin-config",
            Rule { ours: &["palanquin-proto", "palanquin-filter-api"], never: NETWORK },
        ),
        (
            "palanquin-xds-client",
            Rule { ours: &["palanquin-proto"], never: &["hyper", "rustls", "tokio-rustls"] },
        ),
        (
            "palanquin-filters",
            Rule {
                ours: &["palanquin-filter-api", "palanquin-config", "palanquin-proto"],
                never: &["hyper", "hyper-util", "h2"],
            },
        ),
        ("palanquin-sm", Rule { ours: &[], never: NETWORK }),
        ("palanquin-pki", Rule { ours: &["palanquin-sm"], never: NETWORK }),
        (
            "palanquin-rfc8998",
            Rule {
                ours: &["palanquin-sm", "palanquin-pki"],
                never: &["hyper", "hyper-util", "h2", "tonic", "tokio-rustls"],
            },
        ),
        ("palanquin-tlcp", Rule { ours: &["palanquin-sm", "palanquin-pki"], never: NETWORK }),
        (
            "palanquin-tls",
            Rule {
                ours: &[
                    "palanquin-config",
                    "palanquin-filter-api",
                    "palanquin-pki",
                    "palanquin-rfc8998",
                    "palanquin-sm",
                    "palanquin-tlcp",
                ],
                never: &["hyper", "hyper-util", "h2", "tonic"],
            },
        ),
        (
            "palanquin",
            Rule {
                ours: &[
                    "palanquin-config",
                    "palanquin-filter-api",
                    "palanquin-filters",
                    "palanquin-pki",
                    "palanquin-proto",
                    "palanquin-tls",
                    "palanquin-xds-client",
                ],
                never: &[],
            },
        ),
    ])
}

/// Every package of the workspace with what it depends on outside of its tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let all = package["dependencies"].as_array().unwrap().iter();
            let needed = all.filter(|one| one["kind"].as_str() != Some("dev"));
            (text(&package["name"]), needed.map(|one| text(&one["name"])).collect())
        })
        .collect()
}

#[test]
fn every_crate_depends_only_on_what_lies_below_it() {
    let rules = rules();
    let mut violations = Vec::new();
    for (package, needed) in dependencies() {
        if ["palanquin-tests", "palanquin-benches", "palanquin-sm-benches"].contains(&&*package) {
            continue;
        }
        let Some(rule) = rules.get(&*package) else {
            violations.push(format!("{package} is not in the table"));
            continue;
        };
        for name in needed {
            let ours = name.starts_with("palanquin");
            if ours && !rule.ours.contains(&&*name) || rule.never.contains(&&*name) {
                violations.push(format!("{package} must not depend on {name}"));
            }
        }
    }
    assert!(violations.is_empty(), "{violations:#?}");
}
