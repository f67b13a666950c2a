//! A bootstrap as text: YAML or JSON, read, checked, lowered.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use palanquin::config_source::ConfigSource;
use palanquin::server::Extensions;
use palanquin_config::lower::Environment;
use palanquin_filter_api::stats;

static EXTENSIONS: LazyLock<Extensions> = LazyLock::new(Extensions::built_in);

fuzz_target!(|text: &str| {
    // A new registry each time: what one input registers is not kept for the next.
    let stats = stats::Registry::new(1);
    let environment = Environment { filters: &EXTENSIONS.filters, stats: &stats };
    if let Err(error) = ConfigSource::text(text).load(environment) {
        // The report is a part of what must not fail.
        let _ = error.to_string();
    }
});
