//! Looks for the padding of CBC records in the time that their opening takes, as dudect does: see
//! `tls/sm/benches/timing`, whose statistics these are.
//!
//! `cargo bench -p palanquin-tlcp --bench timing -- [--samples N]`. |t| below 4.5 shows no difference; above 10 there
//! surely is one. It is a program for a quiet machine, not a test of CI.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "a program of statistics, which prints a table"
)]

use std::hint::black_box;
use std::time::Instant;

use palanquin_tlcp::doors;

#[path = "../../sm/benches/timing/welch.rs"]
mod welch;

/// Which of the two kinds of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Fixed,
    Other,
}

/// A pair of kinds: what each is made of, and how it is spoiled.
struct Subject {
    name: &'static str,
    fixed: Vec<u8>,
    other: Vec<u8>,
}

fn main() {
    let mut samples = 100_000;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--samples" {
            samples = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(samples);
        }
    }
    println!("{:52}{:>10}{:>10}", "|t|, below 4.5 is good", "|t|", "median");
    for size in [512, 4096] {
        for subject in subjects(size) {
            let (t, median) = run(&subject, samples);
            let remark = if t < 4.5 { "" } else { "   look again" };
            println!("{size:>5} B, {:44}{t:>10.2}{median:>8} ns{remark}", subject.name);
        }
    }
}

/// Records of `size` bytes, decrypted.
fn subjects(size: usize) -> Vec<Subject> {
    let good = |last: u8| {
        let plain = vec![0xa5; size - 32 - 1 - usize::from(last)];
        doors::pad_cbc(&plain, last)
    };
    let spoiled = |last: u8, from_end: usize| {
        let mut record = good(last);
        let at = record.len() - from_end;
        record[at] ^= 0x15;
        record
    };
    vec![
        Subject { name: "good, padding of 1 or 256", fixed: good(0), other: good(255) },
        Subject { name: "good, padding of 16 or 17", fixed: good(15), other: good(16) },
        Subject { name: "bad MAC or bad padding", fixed: spoiled(15, 20), other: spoiled(15, 2) },
        Subject {
            name: "bad MAC, padding of 1 or 256",
            fixed: spoiled(0, 5),
            other: spoiled(255, 260),
        },
        Subject {
            name: "bad padding, first or last byte",
            fixed: spoiled(255, 256),
            other: spoiled(255, 2),
        },
        Subject {
            name: "bad length byte or bad MAC",
            fixed: spoiled(200, 1),
            other: spoiled(200, 210),
        },
    ]
}

/// The largest |t|, and the median in ns.
fn run(subject: &Subject, samples: usize) -> (f64, u64) {
    let mut state = 88_172_645_463_325_252u64;
    let mut buffer = vec![0; subject.fixed.len()];
    let mut times = Vec::with_capacity(samples);
    for round in 0..samples + 1000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let class = if state & 1 == 0 { Class::Fixed } else { Class::Other };
        // Into one place by the same steps, so that only the contents differ.
        let keep = if class == Class::Fixed { 0xff } else { 0 };
        for ((to, fixed), other) in buffer.iter_mut().zip(&subject.fixed).zip(&subject.other) {
            *to = (fixed & keep) | (other & !keep);
        }
        let start = Instant::now();
        let result = doors::strip_cbc(black_box(&buffer));
        let elapsed = start.elapsed();
        black_box(result);
        if round >= 1000 {
            times.push((class, elapsed.as_nanos() as u64));
        }
    }
    let mut sorted: Vec<u64> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_unstable();
    (welch::largest_t(&times, &sorted), sorted[sorted.len() / 2])
}
