//! The short form: what it expands to is a bootstrap that can be printed and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin_config::file;
use palanquin_config::short;

fuzz_target!(|text: &str| match short::expand("fuzz", text) {
    Ok(expanded) => {
        let yaml = expanded.to_yaml();
        let again = file::load_bootstrap("again", &yaml, file::UnknownFields::Reject);
        assert!(
            again.is_ok(),
            "{}\n{yaml}",
            again.err().map(|error| error.to_string()).unwrap_or_default()
        );
    }
    Err(report) => drop(report.to_string()),
});
