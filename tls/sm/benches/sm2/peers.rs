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
        for algorithm in ["sm2", "curveSM2", "ecdhsm2"] {
            let output = Command::new(&self.program)
                .args(["speed", "-mr", "-seconds", "1", algorithm])
                .output();
            let Ok(output) = output else { continue };
            // `+F7:2:256:CurveSM2:0.000055:0.000110`: seconds per operation.
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let fields: Vec<&str> = line.split(':').collect();
                let seconds =
                    |at: usize| fields.get(at).and_then(|text| text.trim().parse::<f64>().ok());
                let rows: &[(&'static str, usize)] = match fields[0] {
                    "+F4" | "+F7" | "+F8" if line.to_lowercase().contains("sm2") => {
                        &[("sign", fields.len() - 2), ("verify", fields.len() - 1)]
                    }
                    "+F5" if line.to_lowercase().contains("sm2") => &[("ecdh", fields.len() - 1)],
                    _ => &[],
                };
                for &(row, at) in rows {
                    rates.extend(seconds(at).filter(|&s| s > 0.0).map(|s| (row, 1.0 / s)));
                }
            }
        }
        rates
    }
}
