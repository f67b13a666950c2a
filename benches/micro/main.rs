//! Counts the instructions of the steps a request or an update is made of.
//!
//! Every case runs in a process of its own under callgrind, which counts only inside one function
//! ([`cases::collect_instructions`]); time, other processes and the clock of the CPU do not matter, so that one run is
//! enough and a small loss shows. What it cannot show: cache misses, system calls, waiting. Those are for `benches/macro`.
//!
//! An own driver instead of gungraun: that needs a second program of its very version, which compiles for minutes on
//! two cores, and keeps its baselines in the target folder, not in the repository.

mod cases;
mod driver;
mod report;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use report::Baseline;

#[derive(Parser)]
#[command(about = "Counts instructions of single steps")]
struct Options {
    #[arg(value_enum, default_value = "show")]
    action: Action,
    /// Only cases whose name holds this.
    #[arg(long, default_value = "", conflicts_with = "case")]
    only: String,
    /// Runs this case itself, uncounted unless under callgrind.
    #[arg(long)]
    case: Option<String>,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Fails when a case needs more than the baseline allows.
    Check,
    /// Makes these counts the baseline, and writes them to docs/benchmarks.md.
    Renew,
    /// Prints counts beside the baseline.
    Show,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let cases = cases::all();
    if let Some(name) = options.case {
        let case = cases.iter().find(|case| case.name == name).context("no such case")?;
        case.run();
        return Ok(ExitCode::SUCCESS);
    }
    let chosen: Vec<_> = cases.iter().filter(|case| case.name.contains(&options.only)).collect();
    let counts = driver::count(&chosen)?;
    let baseline = Baseline::load()?;
    let mut out = std::io::stdout().lock();
    write!(out, "{}", report::comparison(&counts, &baseline))?;
    let failures = match options.action {
        Action::Check => report::failures(&counts, &baseline, options.only.is_empty()),
        Action::Renew => {
            anyhow::ensure!(options.only.is_empty(), "a baseline has all cases: leave out --only");
            report::renew(&counts)?;
            return Ok(ExitCode::SUCCESS);
        }
        Action::Show => return Ok(ExitCode::SUCCESS),
    };
    for failure in &failures {
        writeln!(out, "{failure}")?;
    }
    // The words that `.ci/run` looks for.
    let failed = failures.len();
    writeln!(out, "{} passed, {failed} failed", counts.len().saturating_sub(failed))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
