//! The `palanquin` binary: the one place that names the plugins that are built in.

use std::process::ExitCode;

use clap::Parser;
use palanquin::cli::Cli;
use palanquin_config::extension::Registry;

fn main() -> ExitCode {
    let filters = palanquin_filters::register_all(Registry::new());
    palanquin::command::run(Cli::parse(), filters)
}
