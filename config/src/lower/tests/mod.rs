//! Lowering, from text to typed values.

use palanquin_filter_api::stats;

use super::Environment;
use super::Identity;
use super::Lowered;
use super::Rejected;
use super::lower_bootstrap;
use crate::extension::Registry;
use crate::file;
use crate::ir::bootstrap::Bootstrap;

mod bootstrap;
mod corpora;
mod rules;
mod secrets;
mod telemetry;
mod wishes;

/// Lowers a bootstrap written in YAML.
fn bootstrap(yaml: &str) -> Result<Lowered<Bootstrap>, Rejected> {
    let loaded = file::load_bootstrap("test.yaml", yaml, file::UnknownFields::Reject)
        .unwrap_or_else(|report| panic!("{report}"));
    let stats = stats::Registry::new(1);
    let filters = Registry::new();
    let environment = Environment { filters: &filters, stats: &stats };
    lower_bootstrap(environment, &loaded.message, &Identity::default())
}

/// The errors of a bootstrap, one a line; empty when it is fine.
fn errors(yaml: &str) -> String {
    match bootstrap(yaml) {
        Ok(_) => String::new(),
        Err(rejected) => {
            let lines: Vec<_> = rejected.problems.errors().map(ToString::to_string).collect();
            lines.join("\n")
        }
    }
}
