//! The load generator: one thread, epoll, HTTP/1 or HTTP/2, cleartext, TLS or mutual TLS.
//!
//! *Closed loop*: every connection (and stream) sends its next request when the last answer is complete. *Fixed rate*: requests
//! start at equal distances and wait for a free connection; latency counts from the moment a request was due, so a stalled
//! proxy is not flattered. *Idle*: connections are opened, asked once and left alone, to see what they cost in memory.
//! The proxy's run time is read at both ends of the very window in which answers are counted.

mod connection;
mod driver;
mod h1;
mod h2;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::tools::certs::{Alpn, Certs, ClientCertificate};
use crate::tools::process;

/// What to send, and to whom.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Where the proxy listens.
    #[arg(long)]
    pub address: SocketAddr,
    /// Protocol to speak.
    #[arg(long, value_enum, default_value = "h1")]
    pub protocol: Protocol,
    /// Security of the connections.
    #[arg(long, value_enum, default_value = "none")]
    pub tls: Security,
    /// Folder of the certificates; needed for TLS.
    #[arg(long)]
    pub certs: Option<PathBuf>,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Streams at once on a connection; HTTP/2 only.
    #[arg(long, default_value_t = 1)]
    pub streams: usize,
    /// Path of the requests.
    #[arg(long, default_value = "/api/v1/items/1k")]
    pub path: String,
    /// Bytes to POST with each request; HTTP/1 only.
    #[arg(long)]
    pub post: Option<usize>,
    /// A new connection for each request; HTTP/1 only.
    #[arg(long)]
    pub reconnect: bool,
    /// Requests a second; without it the loop is closed.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Seconds before counting starts.
    #[arg(long, default_value_t = 1.0)]
    pub warm_up: f64,
    /// Seconds to count.
    #[arg(long, default_value_t = 5.0)]
    pub duration: f64,
    /// Open the connections, ask once on each, and report the memory of the processes.
    #[arg(long)]
    pub idle: bool,
    /// Process ids of the proxy.
    #[arg(long, value_delimiter = ',')]
    pub processes: Vec<u32>,
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// HTTP/1.1
    H1,
    /// HTTP/2, with prior knowledge or ALPN
    H2,
}

/// What protects a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Security {
    /// Nothing.
    None,
    /// TLS 1.3.
    Tls,
    /// TLS 1.3 with a client's certificate.
    Mtls,
}

/// What came of it. Latencies are microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Complete answers with status 200 in the window.
    pub answers: u64,
    /// Connections or streams that failed, or answers that were not 200, in the whole run.
    pub errors: u64,
    /// Answers a second.
    pub rate: f64,
    /// Run time of the proxy in microseconds for each answer.
    pub cpu_us: f64,
    /// Median latency.
    pub p50: f64,
    /// 99th percentile of latency.
    pub p99: f64,
    /// Share of its CPU the proxy used.
    pub utilisation: f64,
    /// Requests due but not sent when the window closed; fixed rate only.
    pub backlog: usize,
    /// Resident memory of the proxy at the end in KiB.
    pub resident_kib: u64,
}

/// Runs and reports.
pub fn run(options: &Options) -> Result<Report> {
    let config = match options.tls {
        Security::None => None,
        security => {
            let folder = options.certs.as_deref().context("--certs is needed for TLS")?;
            let alpn = match options.protocol {
                Protocol::H1 => Alpn::Http1,
                Protocol::H2 => Alpn::Http2,
            };
            let certificate = match security {
                Security::Mtls => ClientCertificate::Required,
                _ => ClientCertificate::None,
            };
            Some(Certs::open(folder).client(alpn, certificate)?)
        }
    };
    let mut driver = driver::Driver::new(options, config)?;
    if options.idle {
        let errors = driver.settle(Duration::from_secs(30))?;
        let resident_kib = process::resident(&options.processes);
        return Ok(Report { errors, resident_kib, ..Report::default() });
    }
    driver.measure()
}
