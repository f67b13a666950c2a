//! `palanquin demo`: a small mesh in one process, on loopback, with nothing else installed.
//!
//! ```text
//!  curl ──mTLS──► proxy ──mTLS──► upstreams blue, green
//!                 │  ▲
//!           spans ▼  │ ADS
//!          collector  control plane ◄── POST /route/green
//! ```
//!
//! The neighbours are as small as can be, but real: they speak the protocols that others of their kind do,
//! and the proxy does not know that they are ours. Nothing here is used by the proxy itself.

mod collector;
mod control_plane;
mod guide;
mod pki;
mod ports;
mod resources;
mod upstream;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use palanquin_config::ir::endpoint::Address;
use tokio::sync::oneshot;
use tracing_subscriber::filter::LevelFilter;

use self::pki::Certificates;
use self::ports::Sockets;
use crate::cli::DemoArgs;
use crate::config_source::ConfigSource;
use crate::server::Extensions;
use crate::server::Options;
use crate::server::Running;
use crate::server::Signals;
use crate::server::StartError;

/// Where the proxy's listener is found by name.
const LISTENER: &str = "demo";
/// How long the proxy may take to be configured. It takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the demo until it is interrupted.
pub fn run(args: &DemoArgs, extensions: Extensions) -> ExitCode {
    // Only what someone should look at: the screen belongs to the guide and the traces.
    tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_writer(std::io::stderr).init();
    let tell: Tell = Arc::new(|text| drop(writeln!(std::io::stdout(), "{text}")));
    match Demo::start(args.port, Signals::Handle, Arc::clone(&tell), extensions) {
        Ok(demo) => {
            tell(&demo.guide());
            demo.wait();
            ExitCode::SUCCESS
        }
        Err(error) => {
            drop(writeln!(std::io::stderr(), "{error}"));
            ExitCode::FAILURE
        }
    }
}

/// What to do with the lines that the demo tells while it runs.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// Why the demo cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A port is taken.
    #[error(
        "port {port} (for {what}) cannot be used: {error}; --port N begins at another, --port 0 lets the system choose"
    )]
    Port {
        /// Which.
        port: u16,
        /// What it is for.
        what: &'static str,
        /// Why.
        error: std::io::Error,
    },
    /// The certificates cannot be made or written.
    #[error("cannot make the certificates: {0}")]
    Certificates(#[from] pki::PkiError),
    /// A thread or descriptor is missing.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// The proxy does not start.
    #[error("the proxy cannot start: {0}")]
    Proxy(#[from] StartError),
    /// The control plane's configuration did not come to serve.
    #[error("the proxy was not configured within {PATIENCE:?}")]
    NotServing,
}

/// Where everything is.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// The proxy's listener.
    pub proxy: SocketAddr,
    /// The proxy's admin endpoint.
    pub admin: SocketAddr,
    /// The control plane's ADS.
    pub plane: SocketAddr,
    /// The control plane's HTTP endpoint, that changes the route.
    pub switch: SocketAddr,
    /// The span receiver.
    pub collector: SocketAddr,
    /// The first upstream.
    pub blue: SocketAddr,
    /// The second upstream.
    pub green: SocketAddr,
}

/// A running demo. Dropping it ends everything and removes the certificates.
#[derive(Debug)]
pub struct Demo {
    running: Running,
    places: Places,
    certificates: Certificates,
    neighbours: Neighbours,
}

/// The thread of upstreams, control plane and collector; dropping it ends them.
#[derive(Debug)]
struct Neighbours {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Demo {
    /// Starts everything and waits until the proxy serves. Blocks; not for use on an event loop.
    ///
    /// # Errors
    /// See [`DemoError`].
    pub fn start(
        port: u16,
        signals: Signals,
        tell: Tell,
        extensions: Extensions,
    ) -> Result<Self, DemoError> {
        let sockets = Sockets::bind(port)?;
        let certificates = Certificates::create()?;
        let mut places = sockets.places()?;
        let bootstrap = resources::bootstrap(&places);
        let neighbours = Neighbours::start(sockets, places, &certificates, tell)?;
        let options = Options {
            concurrency: 2,
            drain_time: Duration::from_secs(1),
            source: ConfigSource::text(bootstrap),
            signals,
            log_level: None,
            file_log_level: None,
        };
        let running = Running::start(options, extensions)?;
        places.admin = running.admin().unwrap_or(places.admin);
        places.proxy = wait_for_listener(&running)?;
        Ok(Self { running, places, certificates, neighbours })
    }

    /// Where everything is.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// The directory with the certificates.
    pub fn directory(&self) -> &Path {
        self.certificates.directory()
    }

    /// What to try, with the commands.
    pub fn guide(&self) -> String {
        guide::text(&self.places, self.directory())
    }

    /// Waits for the proxy's end (by a signal, or its admin endpoint), then ends the others.
    pub fn wait(self) {
        let Self { running, certificates, neighbours, .. } = self;
        running.wait();
        drop((neighbours, certificates));
    }
}

/// The listener comes from the control plane, so it serves a little later than the process.
fn wait_for_listener(running: &Running) -> Result<SocketAddr, DemoError> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        for (name, address) in running.listeners() {
            if let (LISTENER, Address::Socket(address)) = (&*name, address) {
                return Ok(address);
            }
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    Err(DemoError::NotServing)
}

impl Neighbours {
    fn start(
        sockets: Sockets,
        places: Places,
        certificates: &Certificates,
        tell: Tell,
    ) -> Result<Self, DemoError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let blue = certificates.upstream("blue")?;
        let green = certificates.upstream("green")?;
        let plane =
            control_plane::ControlPlane::new(places, certificates.directory(), tell.clone());
        let thread = std::thread::Builder::new().name("demo".to_owned()).spawn(move || {
            let serving = async move {
                tokio::spawn(upstream::serve("blue", sockets.blue, blue));
                tokio::spawn(upstream::serve("green", sockets.green, green));
                tokio::spawn(collector::serve(sockets.collector, tell));
                tokio::spawn(plane.clone().serve(sockets.plane));
                tokio::spawn(plane.serve_switch(sockets.switch));
                // Either the end is asked for, or whoever could ask is gone.
                drop(ended.await);
            };
            runtime.block_on(serving);
        })?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
