//! SM2 operations per second beside RustCrypto, and beside `speed sm2` of an `openssl` or `tongsuo`.
//!
//! `cargo bench -p palanquin-sm --bench sm2 -- [--peer NAME=PROGRAM]... [--markdown] [FILTER]`. All take turns, several times; the
//! best turn of each counts, by the time the thread really ran. One core. With `--count N OPERATION` it only runs that operation N
//! times, for a tool that counts instructions.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

mod cases;
mod peers;

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use self::cases::Case;
use self::peers::Peer;

const TURNS: usize = 5;
const TURN: Duration = Duration::from_millis(100);

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut peers, mut filter, mut markdown, mut count) = (Vec::new(), String::new(), false, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--peer" => peers.extend(arguments.next().as_deref().and_then(Peer::parse)),
            "--markdown" => markdown = true,
            "--count" => count = arguments.next().and_then(|n| n.parse::<usize>().ok()),
            _ => filter = argument,
        }
    }
    let mut cases = cases::all();
    cases.retain(|case| format!("{} {}", case.row, case.column).contains(&filter));
    if let Some(count) = count {
        for case in &mut cases {
            (0..count).for_each(|_| (case.run)());
        }
        return;
    }
    let mut best = Best::new();
    for _ in 0..TURNS {
        for case in &mut cases {
            let rate = turn(case);
            note(&mut best, case.row, case.column, rate);
        }
        for peer in &peers {
            for (row, rate) in peer.measure() {
                if row.contains(&filter) {
                    note(&mut best, row, &peer.name, rate);
                }
            }
        }
    }
    print(&best, markdown);
}

type Best = BTreeMap<(String, String), f64>;

fn note(best: &mut Best, row: &str, column: &str, rate: f64) {
    let slot = best.entry((row.to_owned(), column.to_owned())).or_insert(0.0);
    *slot = slot.max(rate);
}

/// Operations per second of one turn.
fn turn(case: &mut Case) -> f64 {
    let (start, ran) = (Instant::now(), time_on_processor());
    let mut operations = 0.0;
    while start.elapsed() < TURN {
        for _ in 0..16 {
            (case.run)();
            operations += 1.0;
        }
    }
    let ran = match (ran, time_on_processor()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => start.elapsed(),
    };
    operations / ran.as_secs_f64()
}

/// What Linux counts for this thread; `None` elsewhere.
fn time_on_processor() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}

fn print(best: &Best, markdown: bool) {
    let mut columns: Vec<&str> = cases::COLUMNS.to_vec();
    for (_, column) in best.keys() {
        if !columns.contains(&column.as_str()) {
            columns.push(column);
        }
    }
    if markdown {
        println!(
            "| operations/s | {} |\n|---|{}",
            columns.join(" | "),
            "---|".repeat(columns.len())
        );
    } else {
        print!("{:22}", "operations/s");
        for column in &columns {
            print!("{column:>12}");
        }
        println!();
    }
    for row in cases::ROWS {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| {
                best.get(&((*row).to_owned(), (*column).to_owned()))
                    .map_or_else(|| "-".into(), |rate: &f64| format!("{rate:.0}"))
            })
            .collect();
        if cells.iter().all(|cell| cell == "-") {
            continue;
        }
        if markdown {
            println!("| {row} | {} |", cells.join(" | "));
        } else {
            print!("{row:22}");
            for cell in &cells {
                print!("{cell:>12}");
            }
            println!();
        }
    }
}
