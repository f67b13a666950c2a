//! Looks for secrets in the time that operations take, as dudect does (Reparaz, Balasch, Verbauwhede, 2017): each is timed many times on
//! two classes of inputs in random order, and Welch's t tells how sure it is that the two differ.
//!
//! `cargo bench -p palanquin-sm --bench timing -- [--samples N] [FILTER]`. |t| below 4.5 shows no difference; above 10 there surely is one.
//! Between the two, run it again with more samples: a real leak grows with their square root, a disturbance of the machine does not.
//! It is a program for a quiet machine, not a test of CI.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "a program of statistics, which prints a table"
)]

mod sm2;
mod sm4;
mod welch;

use std::time::Duration;
use std::time::Instant;

/// Which of the two kinds of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Always the same.
    Fixed,
    /// Drawn anew, or the other fixed case of a pair.
    Other,
}

/// One operation under test.
pub(crate) struct Subject {
    pub(crate) name: String,
    /// Prepares an input of the class, then times the operation alone with [`timed`].
    pub(crate) measure: Measure,
}

type Measure = Box<dyn FnMut(Class, &mut Random) -> Duration>;

impl Subject {
    pub(crate) fn new(
        name: impl Into<String>,
        measure: impl FnMut(Class, &mut Random) -> Duration + 'static,
    ) -> Self {
        Self { name: name.into(), measure: Box::new(measure) }
    }
}

/// The time that `operation` takes.
pub(crate) fn timed<T>(operation: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let result = operation();
    let elapsed = start.elapsed();
    std::hint::black_box(result);
    elapsed
}

/// Numbers that need not be secret (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Fills `bytes` at random for [`Class::Other`], with `fixed` for [`Class::Fixed`]; both ways take the same steps.
    pub(crate) fn fill(&mut self, class: Class, bytes: &mut [u8], fixed: u8) {
        // Hidden from the compiler, which would make two loops of the one and so let the way here differ by class.
        let keep = std::hint::black_box(if class == Class::Other { 0xff } else { 0 });
        for chunk in bytes.chunks_mut(8) {
            for (byte, random) in chunk.iter_mut().zip(self.next().to_le_bytes()) {
                *byte = (random & keep) | (fixed & !keep);
            }
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (mut samples, mut filter) = (100_000, String::new());
    while let Some(argument) = arguments.next() {
        if argument == "--samples" {
            samples = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(samples);
        } else {
            filter = argument;
        }
    }
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut random = Random(seed.map_or(1, |time| time.as_nanos() as u64));
    println!("{:44}{:>10}{:>10}", "|t|, below 4.5 is good", "|t|", "median");
    for mut subject in sm4::subjects().into_iter().chain(sm2::subjects()) {
        if subject.name.contains(&filter) {
            let (t, median) = run(&mut subject, samples, &mut random);
            let remark = if t < 4.5 { "" } else { "   look again" };
            println!("{:44}{t:>10.2}{median:>8} ns{remark}", subject.name);
        }
    }
}

/// The largest |t|, and the median in ns.
fn run(subject: &mut Subject, samples: usize, random: &mut Random) -> (f64, u64) {
    for _ in 0..1_000 {
        (subject.measure)(Class::Other, random);
    }
    let mut times = Vec::with_capacity(samples);
    for _ in 0..samples {
        let class = if random.next() & 1 == 0 { Class::Fixed } else { Class::Other };
        times.push((class, (subject.measure)(class, random).as_nanos() as u64));
    }
    let mut sorted: Vec<u64> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_unstable();
    (welch::largest_t(&times, &sorted), sorted[samples / 2])
}
