//! What is measured.

use std::fmt;
use std::time::Duration;

use anyhow::Result;

use crate::certificates::Certificates;
use crate::tlcp;
use crate::tls13;

/// One thing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) protocol: Protocol,
    pub(crate) suite: &'static str,
    pub(crate) mutual: bool,
    pub(crate) work: Work,
}

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Rfc8998 { group: &'static str },
    Tlcp,
}

/// What the ends do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Full,
    Records { bytes: usize },
    Resumed,
}

/// What one turn took: microseconds for each handshake, or each record, at both ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) server: f64,
    pub(crate) client: f64,
}

impl Scenario {
    /// All of them, as the tables show them.
    pub(crate) fn all() -> Vec<Self> {
        let curve = Protocol::Rfc8998 { group: "curveSM2" };
        let hybrid = Protocol::Rfc8998 { group: "curveSM2MLKEM768" };
        let mut all = Vec::new();
        for (protocol, suite) in [
            (curve, "TLS_SM4_GCM_SM3"),
            (hybrid, "TLS_SM4_GCM_SM3"),
            (Protocol::Tlcp, "ECC_SM4_GCM_SM3"),
            (Protocol::Tlcp, "ECC_SM4_CBC_SM3"),
            (Protocol::Tlcp, "ECDHE_SM4_GCM_SM3"),
        ] {
            let ecdhe = suite.starts_with("ECDHE");
            for mutual in [false, true] {
                if mutual || !ecdhe {
                    all.push(Self { protocol, suite, mutual, work: Work::Full });
                }
            }
            all.push(Self { protocol, suite, mutual: ecdhe, work: Work::Resumed });
        }
        for (protocol, suite) in [
            (curve, "TLS_SM4_GCM_SM3"),
            (curve, "TLS_SM4_CCM_SM3"),
            (Protocol::Tlcp, "ECC_SM4_GCM_SM3"),
            (Protocol::Tlcp, "ECC_SM4_CBC_SM3"),
        ] {
            for bytes in [16 * 1024, 1024] {
                all.push(Self { protocol, suite, mutual: false, work: Work::Records { bytes } });
            }
        }
        all
    }

    /// Ours, for about so long.
    pub(crate) fn take_turn(&self, certificates: &Certificates, seconds: f64) -> Result<Turn> {
        let limit = Duration::from_secs_f64(seconds);
        match self.protocol {
            Protocol::Rfc8998 { group } => tls13::take_turn(self, group, certificates, limit),
            Protocol::Tlcp => tlcp::take_turn(self, certificates, limit),
        }
    }
}

impl Turn {
    pub(crate) fn new(server: Duration, client: Duration, rounds: u32) -> Self {
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / f64::from(rounds);
        Self { server: each(server), client: each(client) }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Rfc8998 { group } => write!(f, "RFC 8998 {group} {}", self.suite)?,
            Protocol::Tlcp => write!(f, "TLCP {}", self.suite)?,
        }
        match (self.work, self.mutual) {
            (Work::Full, false) => f.write_str(", one way"),
            (Work::Full, true) => f.write_str(", mutual"),
            (Work::Resumed, _) => f.write_str(", resumed"),
            (Work::Records { bytes }, _) => write!(f, ", {bytes} B"),
        }
    }
}
