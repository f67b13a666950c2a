//! Another library, measured by its own `speed` command.

use std::process::Command;

pub(crate) struct Peer {
    pub(crate) name: String,
    program: String,
}

impl Peer {
    /// `NAME=PROGRAM`.
    pub(crate) fn parse(argument: &str) -> Option<Self> {
        let (name, program) = argument.split_once('=')?;
        Some(Self { name: name.to_owned(), program: program.to_owned() })
    }

    /// The rows that the program knows and their operations per second, over one second each.
    pub(crate) fn measure(&self) -> Vec<(&'static str, f64)> {
        let mut rates = Vec::new();
        for algorithm in ["sm2", "curveSM2"] {
            let output = Command::new(&self.program)
                .args(["speed", "-mr", "-seconds", "1", algorithm])
                .output();
            let Ok(output) = output else { continue };
            // Operations per second: `+F7:0:256:CurveSM2:14042.4:7201.5` or `+F4:26:256:3139.3:3331.0` of signatures, and
            // `+F5:27:256:3344.8:0.000299` of key agreement.
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let fields: Vec<&str> = line.split(':').collect();
                let rows: &[(&'static str, usize)] = match fields[0] {
                    "+F4" | "+F7" => &[("sign", 2), ("verify", 1)],
                    "+F5" => &[("ecdh", 2)],
                    _ => &[],
                };
                for &(row, from_end) in rows {
                    let text = fields.len().checked_sub(from_end).and_then(|at| fields.get(at));
                    rates.extend(
                        text.and_then(|text| text.trim().parse().ok()).map(|rate| (row, rate)),
                    );
                }
            }
        }
        rates
    }
}
