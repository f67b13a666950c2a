//! Benchmarks, and the tools they are made with.
//!
//! [`macro_run`] measures whole proxies against each other; [`origin`], [`load`] and [`collector`] are what stands on both
//! sides of them. All of it is one binary, `macro`, whose subcommands are the tools: a proxy under test and its tools are
//! separate processes on separate CPUs.

pub mod collector;
pub mod load;
pub mod macro_run;
pub mod origin;
pub mod tools;
