//! The `palanquin` binary. An out-of-tree build with filters of its own is a `main` like this one.

use std::process::ExitCode;

use clap::Parser;
use palanquin::cli::Cli;
use palanquin::server::Extensions;

fn main() -> ExitCode {
    palanquin::command::run(Cli::parse(), Extensions::built_in())
}
