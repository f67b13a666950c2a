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

    /// MB/s over one second; `None` when the program does not know the algorithm.
    pub(crate) fn measure(&self, arguments: &[&str]) -> Option<f64> {
        let output = Command::new(&self.program)
            .args(["speed", "-mr", "-seconds", "1"])
            .args(arguments)
            .output()
            .ok()?;
        // `+F:22:sm4-gcm:168123456.00`: bytes in one second.
        let text = String::from_utf8(output.stdout).ok()?;
        let line = text.lines().find(|line| line.starts_with("+F:"))?;
        line.rsplit(':').next()?.trim().parse::<f64>().ok().map(|rate| rate / 1e6)
    }
}
