//! Runs cases under callgrind and reads its totals.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};

use crate::cases::Case;

/// The instructions of one operation of a case.
#[derive(Debug, Clone)]
pub(crate) struct Count {
    pub(crate) name: String,
    pub(crate) what: &'static str,
    pub(crate) instructions: f64,
}

/// Counts every case, as many at a time as there are CPUs. In the order of `cases`.
pub(crate) fn count(cases: &[&Case]) -> Result<Vec<Count>> {
    let folder = tempdir()?;
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let work = || {
        let mut done = Vec::new();
        while let Some((at, case)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            cases.get(at).map(|case| (at, case))
        } {
            done.push((at, count_one(case, &folder.join(format!("callgrind.{at}")))));
        }
        done
    };
    let mut counts: Vec<(usize, Result<Count>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    // Nothing depends on the files: if they cannot be removed, that is no reason to fail.
    drop(fs::remove_dir_all(&folder));
    counts.sort_by_key(|(at, _)| *at);
    ensure!(counts.len() == cases.len(), "a thread of the driver panicked");
    counts.into_iter().map(|(_, count)| count).collect()
}

/// A folder of this process for callgrind's files.
fn tempdir() -> Result<std::path::PathBuf> {
    let folder = std::env::temp_dir().join(format!("palanquin-micro-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

fn count_one(case: &Case, file: &Path) -> Result<Count> {
    let output = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--toggle-collect=*collect_instructions*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe()?)
        .args(["--case", &case.name])
        .output()
        .context("valgrind cannot be started; Debian's package is `valgrind`")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "case {}: {}\n{errors}", case.name, output.status);
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let total =
        total(&text).with_context(|| format!("case {}: callgrind gave no total", case.name))?;
    ensure!(total > 0, "case {}: nothing was counted, the function was inlined", case.name);
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let instructions = total as f64 / f64::from(case.operations());
    Ok(Count { name: case.name.clone(), what: case.what, instructions })
}

/// The instructions in a file of callgrind's: `totals: 123`, or `summary: 123` in older versions.
fn total(text: &str) -> Option<u64> {
    let value =
        |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok());
    value("totals:").or_else(|| value("summary:"))
}
