//! What the kernel knows of a process: run time of all its threads, resident memory.

use std::fs;

/// Run time of all threads of these processes in nanoseconds (`/proc/PID/task/*/schedstat`, first number).
///
/// Threads that ended are not counted; the proxies here keep theirs.
pub fn run_time(processes: &[u32]) -> u64 {
    let tasks = processes.iter().filter_map(|id| fs::read_dir(format!("/proc/{id}/task")).ok());
    tasks
        .flat_map(Iterator::flatten)
        .filter_map(|entry| fs::read_to_string(entry.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// Resident memory of these processes in KiB.
pub fn resident(processes: &[u32]) -> u64 {
    processes
        .iter()
        .filter_map(|id| fs::read_to_string(format!("/proc/{id}/status")).ok())
        .filter_map(|text| {
            let line = text.lines().find(|line| line.starts_with("VmRSS:"))?.to_owned();
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .sum()
}
