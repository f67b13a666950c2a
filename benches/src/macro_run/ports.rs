//! Ports of a run: chosen free when it starts, written into the peers' configurations.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

/// All ports, on loopback.
#[derive(Debug, Clone)]
pub(super) struct Ports {
    /// The proxies': HTTP/1, HTTP/2, TLS, mutual TLS with HTTP/2, admin.
    pub(super) h1: u16,
    pub(super) h2: u16,
    pub(super) tls: u16,
    pub(super) mtls: u16,
    pub(super) admin: u16,
    /// The origin's.
    pub(super) origin_h1: u16,
    pub(super) origin_h2: u16,
    pub(super) origin_mtls: u16,
    /// The trace collector's.
    pub(super) collector: u16,
}

impl Ports {
    /// Finds nine free ports below 32768, where the ephemeral range begins.
    pub(super) fn choose() -> Result<Self> {
        // Different runs begin at different places.
        let mut next = 10_000 + u16::try_from(std::process::id() % 1500)? * 14;
        let mut free = || -> Result<u16> {
            while next < 32_767 {
                next += 1;
                if TcpListener::bind((Ipv4Addr::LOCALHOST, next)).is_ok() {
                    return Ok(next);
                }
            }
            bail!("no free port below 32768")
        };
        Ok(Self {
            h1: free()?,
            h2: free()?,
            tls: free()?,
            mtls: free()?,
            admin: free()?,
            origin_h1: free()?,
            origin_h2: free()?,
            origin_mtls: free()?,
            collector: free()?,
        })
    }

    /// Replaces `{{name}}` by the port of that name.
    pub(super) fn render(&self, template: &str) -> String {
        [
            ("h1", self.h1),
            ("h2", self.h2),
            ("tls", self.tls),
            ("mtls", self.mtls),
            ("admin", self.admin),
            ("origin_h1", self.origin_h1),
            ("origin_h2", self.origin_h2),
            ("origin_mtls", self.origin_mtls),
            ("collector", self.collector),
        ]
        .iter()
        .fold(template.to_owned(), |text, (name, port)| {
            text.replace(&format!("{{{{{name}}}}}"), &port.to_string())
        })
    }
}
