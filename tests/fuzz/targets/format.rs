//! A format string of access logs and headers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin_config::ir::format::Format;
use palanquin_config::ir::format::Missing;

fuzz_target!(|text: &str| match Format::compile(text, Missing::Dash) {
    Ok(format) => drop(format.as_literal().map(str::to_owned)),
    Err(error) => {
        assert!(error.position <= text.len());
        drop((error.to_string(), error.kind.suggestion()));
    }
});
