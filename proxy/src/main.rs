//! The `palanquin` binary.

fn main() {}
