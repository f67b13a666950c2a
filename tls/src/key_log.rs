//! Session secrets in NSS key log format, for those who debug with a packet capture.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;

use palanquin_config::ir::listener::Cidr;
use palanquin_config::ir::tls::KeyLog as Settings;
use parking_lot::Mutex;

use crate::error::TlsConfigError;
use crate::error::TlsConfigFault;

/// A file to which secrets are appended. Debugging only: its lock is taken in handshakes, nowhere else.
#[derive(Debug)]
pub(crate) struct KeyLogFile(Mutex<File>);

impl KeyLogFile {
    /// Opens the file for appending; a new one is readable by its owner only.
    pub(crate) fn open(settings: &Settings) -> Result<Self, TlsConfigError> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&settings.path)
            .map(|file| Self(Mutex::new(file)))
            .map_err(|error| {
                TlsConfigError::new(
                    "common_tls_context.key_log.path",
                    TlsConfigFault::KeyLog(error),
                )
            })
    }
}

impl rustls::KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut line = format!("{label} ").into_bytes();
        push_hex(&mut line, client_random);
        line.push(b' ');
        push_hex(&mut line, secret);
        line.push(b'\n');
        // One write per line, so that lines of several processes do not mix.
        if let Err(error) = self.0.lock().write_all(&line) {
            tracing::warn!(%error, "TLS secrets could not be logged");
        }
    }
}

/// Whether a connection's secrets are logged.
pub(crate) fn covers(
    settings: &Settings,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
) -> bool {
    let within = |ranges: &[Cidr], address: Option<SocketAddr>| {
        ranges.is_empty()
            || address.is_some_and(|a| ranges.iter().any(|range| range.contains(a.ip())))
    };
    within(&settings.local, local) && within(&settings.remote, remote)
}

fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend(format!("{byte:02x}").bytes());
    }
}
