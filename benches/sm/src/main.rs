//! Handshakes and records of RFC 8998 and TLCP, beside Tongsuo and OpenSSL.
//!
//! Both ends are in one process and joined by memory; what is measured is the CPU time of each end. Ours and the peers take turns many
//! times within one run, and only ratios of neighbouring turns are believed: a machine that slows down slows both. `benches/sm/run` builds
//! the peers and prints the tables of docs/sm-benchmarks.md.

mod certificates;
mod clock;
mod peer;
mod scenario;
mod table;
mod tlcp;
mod tls13;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use crate::certificates::Certificates;
use crate::peer::Peer;
use crate::scenario::Scenario;
use crate::scenario::Turn;

/// Measures ours and, if they are named, the peers.
#[derive(Debug, Parser)]
struct Arguments {
    /// `benches/sm/peer.c`, built with Tongsuo.
    #[arg(long)]
    tongsuo: Option<PathBuf>,
    /// The same, built with OpenSSL.
    #[arg(long)]
    openssl: Option<PathBuf>,
    /// How often each takes its turn.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// CPU seconds of a turn.
    #[arg(long, default_value_t = 0.3)]
    seconds: f64,
    /// Only scenarios whose name has this in it.
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let certificates = Certificates::new()?;
    let peers: Vec<Peer> = [("Tongsuo", &arguments.tongsuo), ("OpenSSL", &arguments.openssl)]
        .into_iter()
        .filter_map(|(name, program)| Some(Peer::new(name, program.as_ref()?, &certificates)))
        .collect();
    let mut results = Vec::new();
    for scenario in Scenario::all() {
        if !scenario.to_string().contains(&arguments.only) {
            continue;
        }
        let mut ours = Vec::new();
        let mut theirs: Vec<Vec<Turn>> = vec![Vec::new(); peers.len()];
        for _ in 0..arguments.rounds {
            ours.push(scenario.take_turn(&certificates, arguments.seconds)?);
            for (peer, turns) in peers.iter().zip(&mut theirs) {
                if peer.knows(&scenario) {
                    turns.push(peer.take_turn(&scenario, arguments.seconds)?);
                }
            }
        }
        results.push((scenario, ours, theirs));
    }
    let names: Vec<&str> = peers.iter().map(Peer::name).collect();
    table::print(&names, &results);
    Ok(())
}
