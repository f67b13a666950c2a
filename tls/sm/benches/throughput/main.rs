//! Throughput of SM3 and SM4 on every path of this processor, beside RustCrypto, and beside the command lines of other libraries.
//!
//! `cargo bench -p palanquin-sm --bench throughput -- [--peer NAME=PROGRAM]... [--markdown] [FILTER]`, where each program is an
//! `openssl` or `tongsuo` with the `speed` command. All take turns, several times; the best turn of each counts, for a machine is only
//! ever too slow. One core.
#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a program that prints a table of rates"
)]

mod cases;
mod peers;

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use self::cases::Case;
use self::peers::Peer;

const TURNS: usize = 5;
const TURN: Duration = Duration::from_millis(60);

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut peers, mut filter, mut markdown) = (Vec::new(), String::new(), false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--peer" => peers.extend(arguments.next().as_deref().and_then(Peer::parse)),
            "--markdown" => markdown = true,
            _ => filter = argument,
        }
    }
    let mut cases = cases::all();
    cases.retain(|case| format!("{} {}", case.row, case.column).contains(&filter));
    let mut best = BTreeMap::new();
    for _ in 0..TURNS {
        for case in &mut cases {
            let rate = turn(case);
            note(&mut best, &case.row, &case.column, rate);
        }
        for peer in &peers {
            for (row, command) in cases::peer_rows() {
                if row.contains(&filter)
                    && let Some(rate) = peer.measure(command)
                {
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

/// MB/s of one turn, of the time that the thread really ran; the peers' programs count theirs so too.
fn turn(case: &mut Case) -> f64 {
    let (start, ran) = (Instant::now(), time_on_processor());
    let mut bytes = 0;
    while start.elapsed() < TURN {
        for _ in 0..16 {
            (case.run)();
            bytes += case.bytes;
        }
    }
    let ran = match (ran, time_on_processor()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => start.elapsed(),
    };
    bytes as f64 / ran.as_secs_f64() / 1e6
}

/// What Linux counts for this thread; `None` elsewhere.
fn time_on_processor() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}

fn print(best: &Best, markdown: bool) {
    let mut columns: Vec<&str> = Vec::new();
    for wanted in
        cases::COLUMNS.iter().copied().chain(best.keys().map(|(_, column)| column.as_str()))
    {
        if !columns.contains(&wanted) && best.keys().any(|(_, column)| column == wanted) {
            columns.push(wanted);
        }
    }
    if markdown {
        println!("| MB/s | {} |\n|---|{}", columns.join(" | "), "---|".repeat(columns.len()));
    } else {
        print!("{:22}", "MB/s");
        for column in &columns {
            print!("{column:>12}");
        }
        println!();
    }
    let mut rows: Vec<&str> = best.keys().map(|(row, _)| row.as_str()).collect();
    rows.dedup();
    for row in rows {
        let cell = |column: &&str| {
            best.get(&(row.to_owned(), (*column).to_owned()))
                .map_or_else(|| "-".into(), |rate| format!("{rate:.0}"))
        };
        let cells: Vec<String> = columns.iter().map(cell).collect();
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
