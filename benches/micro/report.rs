//! Counts against the baseline, and as a table.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use crate::driver::Count;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/micro/baseline.tsv");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks.md");
const BEGIN: &str = "<!-- micro benchmark: begin -->";
const END: &str = "<!-- micro benchmark: end -->";

/// How much more than the baseline is an error: 10 %, and this many instructions, so that the smallest cases do not
/// fail for a register that was spilled.
const SHARE: f64 = 0.10;
const SLACK: f64 = 10.0;

/// The counts to compare with, by case.
#[derive(Debug, Default)]
pub(crate) struct Baseline(BTreeMap<String, f64>);

impl Baseline {
    /// Reads the committed one; empty when there is none yet.
    pub(crate) fn load() -> Result<Self> {
        if !fs::exists(BASELINE)? {
            return Ok(Self::default());
        }
        Self::parse(&fs::read_to_string(BASELINE).context(BASELINE)?)
    }

    fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let entries = lines.map(|line| {
            let (name, count) = line.split_once('\t').with_context(|| format!("no tab: {line}"))?;
            Ok((name.to_owned(), count.parse().with_context(|| format!("no number: {line}"))?))
        });
        Ok(Self(entries.collect::<Result<_>>()?))
    }
}

/// Every count beside the baseline's, for a terminal.
pub(crate) fn comparison(counts: &[Count], baseline: &Baseline) -> String {
    let mut out = String::new();
    for Count { name, instructions, .. } in counts {
        let change = match baseline.0.get(name) {
            Some(before) => format!("{:+.1} %", (instructions / before - 1.0) * 100.0),
            None => "new".to_owned(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:<36} {instructions:>12.1} {change:>10}");
    }
    out
}

/// What is wrong with the counts, one line each.
pub(crate) fn failures(counts: &[Count], baseline: &Baseline, all: bool) -> Vec<String> {
    let renew = "if that is meant: benches/micro/run renew";
    let mut failures = Vec::new();
    for Count { name, instructions, .. } in counts {
        match baseline.0.get(name) {
            None => failures.push(format!("{name}: not in the baseline; {renew}")),
            Some(before) if *instructions > before * (1.0 + SHARE) + SLACK => {
                failures.push(format!(
                    "{name}: {instructions:.1} instructions, the baseline has {before:.1}; {renew}"
                ));
            }
            Some(_) => {}
        }
    }
    if all {
        let gone =
            baseline.0.keys().filter(|name| !counts.iter().any(|count| count.name == **name));
        failures.extend(gone.map(|name| format!("{name}: only in the baseline; {renew}")));
    }
    failures
}

/// Writes the baseline and the table of the document.
pub(crate) fn renew(counts: &[Count]) -> Result<()> {
    let mut text = String::from(
        "# Instructions per operation, x86-64, profile `interop`. Written by `benches/micro/run renew`.\n",
    );
    for Count { name, instructions, .. } in counts {
        let _ = writeln!(text, "{name}\t{instructions:.1}");
    }
    fs::write(BASELINE, text).context(BASELINE)?;
    let old = fs::read_to_string(DOCUMENT).context(DOCUMENT)?;
    let new = between(&old, &table(counts)).context("docs/benchmarks.md has no markers")?;
    fs::write(DOCUMENT, new).context(DOCUMENT)
}

fn table(counts: &[Count]) -> String {
    let mut out = String::from("| case | instructions | for |\n|---|---:|---|\n");
    for Count { name, what, instructions } in counts {
        let _ = writeln!(out, "| `{name}` | {} | {what} |", thousands(*instructions));
    }
    out
}

/// `1234567.8` as `1,234,568`.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn between(old: &str, text: &str) -> Option<String> {
    let (before, rest) = old.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", text.trim()))
}
