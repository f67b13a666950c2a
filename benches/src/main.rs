//! `macro`: measures whole proxies against each other; its other subcommands are the tools it starts.

use anyhow::Result;
use clap::{Parser, Subcommand};
use palanquin_benches::{collector, load, macro_run, origin};

#[derive(Parser)]
#[command(about = "Measures Palanquin, Envoy, nginx and HAProxy in one run")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures all proxies on all workloads and writes the table.
    Run(macro_run::Options),
    /// Serves ready-made answers.
    Origin(origin::Options),
    /// Sends requests and prints a report as JSON.
    Load(load::Options),
    /// Accepts spans over OTLP.
    Collector(collector::Options),
}

#[allow(clippy::print_stdout, reason = "the report is the tool's output")]
fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Run(options) => macro_run::run(&options),
        Command::Origin(options) => origin::run(&options),
        Command::Load(options) => {
            println!("{}", serde_json::to_string(&load::run(&options)?)?);
            Ok(())
        }
        Command::Collector(options) => collector::run(&options),
    }
}
