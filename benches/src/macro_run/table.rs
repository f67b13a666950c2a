//! The result as Markdown, and its place in the document.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::load::Report;
use crate::macro_run::Shown;
use crate::macro_run::measure::IDLE_CONNECTIONS;
use crate::macro_run::peers::PeerName;
use crate::macro_run::workloads::{self, Workload};

const BEGIN: &str = "<!-- macro benchmark: begin -->";
const END: &str = "<!-- macro benchmark: end -->";

type All = BTreeMap<PeerName, Shown>;

/// The whole report.
pub(super) fn render(shown: &All, seconds: f64, rounds: usize) -> String {
    let mut out = String::new();
    let versions: Vec<String> =
        shown.iter().map(|(name, one)| format!("{name} {}", one.version)).collect();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{}. {}. Medians of {rounds} rounds of {seconds} s.\n",
        machine(),
        versions.join(", ")
    );
    cpu(&mut out, shown);
    throughput(&mut out, shown);
    latency(&mut out, shown);
    process(&mut out, shown);
    for failure in shown.values().flat_map(|one| &one.failures) {
        let _ = writeln!(out, "Not measured: {failure}\n");
    }
    out
}

/// CPU microseconds for each request, with the ratios that the goals are about.
fn cpu(out: &mut String, shown: &All) {
    let _ = writeln!(out, "CPU microseconds per request:\n");
    let names: Vec<String> = shown.keys().map(ToString::to_string).collect();
    let _ = writeln!(
        out,
        "| workload | {} | to Envoy | goal | to the better of nginx and HAProxy |",
        names.join(" | ")
    );
    let _ = writeln!(out, "|---|{}---|---|---|", "---|".repeat(names.len()));
    for workload in measured(shown) {
        let cells = cells(shown, |one| median(one, workload.name, |report| report.cpu_us), 2);
        let of = |name| {
            shown.get(&name).and_then(|one| median(one, workload.name, |report| report.cpu_us))
        };
        let ours = of(PeerName::Palanquin);
        let plain = match (of(PeerName::Nginx), of(PeerName::Haproxy)) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        let _ = writeln!(
            out,
            "| {}: {} | {cells} | {} | {:.2} | {} |",
            workload.name,
            workload.about,
            ratio(ours, of(PeerName::Envoy)),
            workload.goal,
            ratio(ours, plain),
        );
    }
    let traced: Vec<String> = shown
        .iter()
        .filter_map(|(name, one)| {
            let plain = median(one, "W1", |report| report.cpu_us)?;
            let traced = median(one, "T1", |report| report.cpu_us)?;
            Some(format!("{name} {:+.0} %", (traced / plain - 1.0) * 100.0))
        })
        .collect();
    if !traced.is_empty() {
        let _ = writeln!(out, "\nT1 over W1: {} (goal: at most +15 %).", traced.join(", "));
    }
    let _ = writeln!(out);
}

fn throughput(out: &mut String, shown: &All) {
    let _ = writeln!(
        out,
        "Requests a second in the closed loop (one core for the proxy, one for origin and load generator), and failures:\n"
    );
    header(out, shown);
    for workload in measured(shown) {
        let cells: Vec<String> = shown
            .values()
            .map(|one| match median(one, workload.name, |report| report.rate) {
                Some(rate) => {
                    let errors: u64 =
                        one.closed[workload.name].iter().map(|report| report.errors).sum();
                    format!(
                        "{rate:.0}{}",
                        if errors > 0 { format!(" ({errors} failed)") } else { String::new() }
                    )
                }
                None => "-".to_owned(),
            })
            .collect();
        let _ = writeln!(out, "| {} | {} |", workload.name, cells.join(" | "));
    }
    let _ = writeln!(out);
}

fn latency(out: &mut String, shown: &All) {
    let _ = writeln!(
        out,
        "Latency p50 / p99 in microseconds at a fixed rate, counted from when a request was due:\n"
    );
    header(out, shown);
    for workload in measured(shown).filter(|one| one.rate > 0.0) {
        let cells: Vec<String> = shown
            .values()
            .map(|one| match one.fixed.get(workload.name) {
                Some(report) => format!("{:.0} / {:.0}", report.p50, report.p99),
                None => "-".to_owned(),
            })
            .collect();
        let _ =
            writeln!(out, "| {} at {}/s | {} |", workload.name, workload.rate, cells.join(" | "));
    }
    let _ = writeln!(out);
}

fn process(out: &mut String, shown: &All) {
    let _ = writeln!(out, "The process:\n");
    header(out, shown);
    let memory = cells(shown, |one| one.idle.map(|idle| mebibytes(idle.empty_kib)), 1);
    let _ = writeln!(out, "| resident memory after the first request, MiB (goal 15) | {memory} |");
    let each = cells(shown, |one| one.idle.map(|idle| idle.per_connection_kib), 1);
    let _ = writeln!(
        out,
        "| of {IDLE_CONNECTIONS} idle HTTP/1 connections, KiB each (goal 30) | {each} |"
    );
    let start = cells(shown, |one| one.start_ms, 1);
    let _ = writeln!(out, "| start to first answered request, ms (goal 30) | {start} |\n");
}

fn header(out: &mut String, shown: &All) {
    let names: Vec<String> = shown.keys().map(ToString::to_string).collect();
    let _ = writeln!(out, "| | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
}

fn measured(shown: &All) -> impl Iterator<Item = Workload> {
    workloads::ALL
        .into_iter()
        .filter(|workload| shown.values().any(|one| one.closed.contains_key(workload.name)))
}

fn cells(shown: &All, value: impl Fn(&Shown) -> Option<f64>, digits: usize) -> String {
    let cells: Vec<String> = shown
        .values()
        .map(|one| value(one).map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}")))
        .collect();
    cells.join(" | ")
}

fn median(one: &Shown, workload: &str, value: impl Fn(&Report) -> f64) -> Option<f64> {
    let mut values: Vec<f64> = one.closed.get(workload)?.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn ratio(ours: Option<f64>, theirs: Option<f64>) -> String {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if theirs > 0.0 => format!("{:.2}", ours / theirs),
        _ => "-".to_owned(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "memory of a process in KiB is far below 2^52")]
fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// CPU, cores, memory and kernel of this machine.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
        line.split(':').nth(1).unwrap_or("unknown").trim().to_owned()
    };
    let cpu = value(&read("/proc/cpuinfo"), "model name");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = value(&read("/proc/meminfo"), "MemTotal");
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cpu}, {cores} cores, {memory} of memory, Linux {}", kernel.trim())
}

/// Puts the text between the markers of a file.
pub(super) fn replace(path: &Path, text: &str) -> Result<()> {
    let old = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let new = between(&old, text).with_context(|| format!("{} has no markers", path.display()))?;
    Ok(fs::write(path, new)?)
}

fn between(old: &str, text: &str) -> Option<String> {
    let (before, rest) = old.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let old = format!("before\n{BEGIN}\nold\n{END}\nafter");
        let new = between(&old, "new").unwrap();
        assert_eq!(new, format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter"));
        assert!(between("no markers", "new").is_none());
    }
}
