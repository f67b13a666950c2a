//! The demo's ports: taken before anything starts, so that a port in use is told at once and by name.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;

use super::DemoError;
use super::Places;

/// Bound sockets of the neighbours, and the ports that the proxy will bind.
#[derive(Debug)]
pub(super) struct Sockets {
    proxy: u16,
    admin: u16,
    pub(super) plane: TcpListener,
    pub(super) switch: TcpListener,
    pub(super) collector: TcpListener,
    pub(super) blue: TcpListener,
    pub(super) green: TcpListener,
}

impl Sockets {
    /// Takes seven ports from `first` on; with 0 the system chooses each.
    ///
    /// # Errors
    /// [`DemoError::Port`] names the first that cannot be used.
    pub(super) fn bind(first: u16) -> Result<Self, DemoError> {
        let port = |offset: u16| if first == 0 { 0 } else { first.saturating_add(offset) };
        let take = |offset, what| {
            let port = port(offset);
            bind(port).map_err(|error| DemoError::Port { port, what, error })
        };
        // The proxy binds its own; whether it will be able to is seen by trying.
        drop(take(0, "the proxy")?);
        drop(take(1, "the proxy's admin endpoint")?);
        Ok(Self {
            proxy: port(0),
            admin: port(1),
            plane: take(2, "the control plane")?,
            switch: take(3, "the control plane's switch")?,
            collector: take(4, "the span receiver")?,
            blue: take(5, "upstream blue")?,
            green: take(6, "upstream green")?,
        })
    }

    /// Where they are. The proxy's own are only known once it runs, if the system chooses them.
    pub(super) fn places(&self) -> io::Result<Places> {
        Ok(Places {
            proxy: SocketAddr::from((Ipv4Addr::LOCALHOST, self.proxy)),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, self.admin)),
            plane: self.plane.local_addr()?,
            switch: self.switch.local_addr()?,
            collector: self.collector.local_addr()?,
            blue: self.blue.local_addr()?,
            green: self.green.local_addr()?,
        })
    }
}

fn bind(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
