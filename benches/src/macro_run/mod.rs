//! Measures whole proxies: each in turn, on the same CPU, against the same origin and load, in one run.
//!
//! The proxy has CPU 0 to itself, origin and load generator share CPU 1. Absolute numbers depend on the machine and on who
//! else uses it; ratios between peers of one run are what to look at. Nothing here gates a change.

mod measure;
mod peers;
mod ports;
mod table;
mod workloads;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result};
use clap::Args;

use crate::tools::certs::Certs;
use measure::{Bench, Idle};
use peers::{Peer, PeerName};
use ports::Ports;
use workloads::Workload;

/// What to measure.
#[derive(Debug, Args)]
pub struct Options {
    /// One second for each measurement, one round: proves that everything runs. Writes no table.
    #[arg(long)]
    quick: bool,
    /// Rounds of each workload; the table shows medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Peers to measure, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = PeerName::ALL)]
    peers: Vec<PeerName>,
    /// Workloads to measure, separated by commas (W1 to W6, T1).
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<String>,
    /// Palanquin's binary.
    #[arg(long, default_value = "target/release/palanquin")]
    palanquin: PathBuf,
    /// Envoy's binary; by default the one `benches/macro/peers` installed.
    #[arg(long)]
    envoy: Option<PathBuf>,
    /// File whose table is replaced.
    #[arg(long, default_value = "docs/benchmarks.md")]
    output: PathBuf,
    /// Print only, write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Everything one peer showed.
#[derive(Debug, Default)]
struct Shown {
    version: String,
    closed: BTreeMap<&'static str, Vec<crate::load::Report>>,
    fixed: BTreeMap<&'static str, crate::load::Report>,
    idle: Option<Idle>,
    start_ms: Option<f64>,
    /// What could not be measured, and why.
    failures: Vec<String>,
}

/// Runs the whole comparison.
pub fn run(options: &Options) -> Result<()> {
    let folder = env::current_dir()?.join("target/macro");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let certs = Certs::generate(&folder)?;
    let ports = Ports::choose()?;
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("macro/conf");
    let (seconds, rounds) =
        if options.quick { (1.0, 1) } else { (options.seconds, options.rounds) };
    let workloads: Vec<Workload> = workloads::ALL
        .into_iter()
        .filter(|one| {
            options.workloads.is_empty() || options.workloads.iter().any(|name| name == one.name)
        })
        .collect();
    let mut peers = Vec::new();
    for name in &options.peers {
        match Peer::prepare(*name, options, &templates, &folder, &ports) {
            Ok(peer) => peers.push(peer),
            Err(error) => note(&format!("{name} is not measured: {error:#}")),
        }
    }
    let bench = Bench::start(&ports, &folder, seconds)?;
    let mut shown: BTreeMap<PeerName, Shown> = BTreeMap::new();
    for peer in &peers {
        shown.entry(peer.name).or_default().version = peer.version();
    }
    for round in 0..rounds {
        for workload in &workloads {
            // Every second round goes the other way, so that what warms or tires the machine falls on all.
            let mut order: Vec<&Peer> =
                peers.iter().filter(|peer| peer.supports(workload)).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for peer in order {
                let entry = shown.entry(peer.name).or_default();
                match bench.load(peer, workload, None) {
                    Ok(report) => {
                        note(&format!(
                            "{} {}: {:.2} us/request, {:.0} requests/s, {} errors",
                            workload.name, peer.name, report.cpu_us, report.rate, report.errors
                        ));
                        entry.closed.entry(workload.name).or_default().push(report);
                    }
                    Err(error) => entry.failures.push(failure(workload.name, peer.name, &error)),
                }
            }
        }
    }
    for peer in &peers {
        let entry = shown.entry(peer.name).or_default();
        for workload in workloads.iter().filter(|one| one.rate > 0.0 && peer.supports(one)) {
            match bench.load(peer, workload, Some(workload.rate)) {
                Ok(report) => drop(entry.fixed.insert(workload.name, report)),
                Err(error) => entry.failures.push(failure(workload.name, peer.name, &error)),
            }
        }
        match bench.idle(peer) {
            Ok(idle) => entry.idle = Some(idle),
            Err(error) => entry.failures.push(failure("idle", peer.name, &error)),
        }
        match bench.start_up(peer, if options.quick { 1 } else { 7 }) {
            Ok(milliseconds) => entry.start_ms = Some(milliseconds),
            Err(error) => entry.failures.push(failure("start", peer.name, &error)),
        }
    }
    drop(bench);
    drop(certs);
    let text = table::render(&shown, seconds, rounds);
    print(&text);
    if !options.quick && !options.dry_run {
        table::replace(&options.output, &text)?;
    }
    let failures: Vec<&String> = shown.values().flat_map(|one| &one.failures).collect();
    anyhow::ensure!(failures.is_empty(), "{} measurements failed", failures.len());
    anyhow::ensure!(!peers.is_empty(), "no peer could be measured");
    Ok(())
}

fn failure(what: &str, peer: PeerName, error: &anyhow::Error) -> String {
    let text = format!("{what} {peer}: {error:#}");
    note(&text);
    text
}

#[allow(clippy::print_stderr, reason = "progress of a command-line tool")]
fn note(text: &str) {
    eprintln!("{text}");
}

#[allow(clippy::print_stdout, reason = "the table is the tool's output")]
fn print(text: &str) {
    println!("{text}");
}
