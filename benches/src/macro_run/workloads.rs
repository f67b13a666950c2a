//! The workloads: what performance goals are written for.

use crate::macro_run::ports::Ports;

/// One sort of traffic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Workload {
    /// W1 to W6, or T1 for W1 with traces and access log.
    pub(super) name: &'static str,
    /// What it is, for the table.
    pub(super) about: &'static str,
    /// Which of the proxy's ports it uses.
    pub(super) door: Door,
    /// Flags of the load generator.
    pub(super) flags: &'static [&'static str],
    /// Requests a second for the latency at a fixed rate; 0: not measured.
    pub(super) rate: f64,
    /// The goal as a ratio to Envoy's CPU time.
    pub(super) goal: f64,
}

/// A listener of the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Http1,
    Http2,
    Tls,
    Mtls,
}

impl Door {
    pub(super) fn port(self, ports: &Ports) -> u16 {
        match self {
            Self::Http1 => ports.h1,
            Self::Http2 => ports.h2,
            Self::Tls => ports.tls,
            Self::Mtls => ports.mtls,
        }
    }
}

const W1: &[&str] = &["--protocol", "h1", "--connections", "64"];

/// Every workload in the order of the table.
pub(super) const ALL: [Workload; 7] = [
    Workload {
        name: "W1",
        about: "h1 to h1, GET 1 KiB, 64 connections",
        door: Door::Http1,
        flags: W1,
        rate: 5000.0,
        goal: 0.50,
    },
    Workload {
        name: "W2",
        about: "h1 to h1, POST 4 KiB, answer 64 KiB",
        door: Door::Http1,
        flags: &["--protocol", "h1", "--connections", "64", "--post", "4096", "--path", "/api/64k"],
        rate: 1500.0,
        goal: 0.55,
    },
    Workload {
        name: "W3",
        about: "h2c to h2c, GET 1 KiB, 8 connections of 32 streams",
        door: Door::Http2,
        flags: &["--protocol", "h2", "--connections", "8", "--streams", "32"],
        rate: 5000.0,
        goal: 0.40,
    },
    Workload {
        name: "W4",
        about: "TLS 1.3 h1 to h1, GET 1 KiB, 64 connections",
        door: Door::Tls,
        flags: &["--protocol", "h1", "--connections", "64", "--tls", "tls"],
        rate: 5000.0,
        goal: 0.55,
    },
    Workload {
        name: "W5",
        about: "full TLS 1.3 handshake (ECDSA P-256) for each request",
        door: Door::Tls,
        flags: &["--protocol", "h1", "--connections", "32", "--tls", "tls", "--reconnect"],
        rate: 500.0,
        goal: 0.70,
    },
    Workload {
        name: "W6",
        about: "mutual TLS h2 to mutual TLS h2, GET 1 KiB, 8 connections of 32 streams",
        door: Door::Mtls,
        flags: &["--protocol", "h2", "--connections", "8", "--streams", "32", "--tls", "mtls"],
        rate: 5000.0,
        goal: 0.40,
    },
    Workload {
        name: "T1",
        about: "W1 with 10 % of requests traced over OTLP and a JSON access log",
        door: Door::Http1,
        flags: W1,
        rate: 0.0,
        goal: 0.50,
    },
];

impl Workload {
    /// Whether it needs the configuration with tracing and access log.
    pub(super) fn is_traced(&self) -> bool {
        self.name == "T1"
    }
}
