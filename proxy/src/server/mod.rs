//! The process: workers, the control thread, and the way they start and end.

mod process;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use palanquin_config::extension::Registry as Filters;
use palanquin_config::ir::endpoint::Address;
use palanquin_filters::tenant::TenantDirectory;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use self::process::Process;
use crate::config_source::ConfigError;
use crate::config_source::ConfigSource;
use crate::worker::local_runtime;

/// What is built in, or added by an out-of-tree build.
#[derive(Debug, Clone)]
pub struct Extensions {
    /// The HTTP filters.
    pub filters: Filters,
    /// Where the tenant filter keeps its tenants, for the admin endpoint.
    pub tenants: TenantDirectory,
}

impl Extensions {
    /// The built-in ones.
    pub fn built_in() -> Self {
        let tenants = TenantDirectory::new();
        let filters = palanquin_filters::register(Filters::new(), &tenants);
        Self { filters, tenants }
    }
}

/// Changes what is logged; the argument is one of Envoy's names of a level.
#[derive(Clone)]
pub struct SetLogLevel(pub Arc<dyn Fn(&str) + Send + Sync>);

impl std::fmt::Debug for SetLogLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SetLogLevel")
    }
}

/// How the process runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Worker threads; at least one.
    pub concurrency: usize,
    /// How long requests in flight may take at the end.
    pub drain_time: Duration,
    /// Where the bootstrap comes from.
    pub source: ConfigSource,
    /// Whether the process' signals end it: not so in a test that is a part of a bigger process.
    pub signals: Signals,
    /// What `POST /logging` changes; `None`: nothing.
    pub log_level: Option<SetLogLevel>,
    /// What the configuration file's level changes; `None`: nothing, the command line has the last word.
    pub file_log_level: Option<SetLogLevel>,
}

/// Who ends the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signals {
    /// SIGTERM and SIGINT, besides [`Running::shutdown`].
    Handle,
    /// Only [`Running::shutdown`] and the admin endpoint.
    Ignore,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A resource of the configuration cannot be used.
    #[error("{name}: {error}")]
    Resource {
        /// Which.
        name: Arc<str>,
        /// Why.
        error: String,
    },
    /// The system refuses a thread or a descriptor.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// A server on a thread of its own.
#[derive(Debug)]
pub struct Running {
    orders: mpsc::UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
    admin: Option<SocketAddr>,
}

/// What others may ask of the control thread.
#[derive(Debug)]
pub enum Order {
    /// Tell which listeners serve: (name, address as bound).
    Listeners(oneshot::Sender<Vec<(Arc<str>, Address)>>),
    /// A file that stands in for a control plane changed.
    FileChanged(PathBuf),
    /// Read the bootstrap again.
    Reload,
    /// Stop accepting, and end when every request is finished.
    Shutdown,
}

impl Running {
    /// Starts a server and waits until its configuration is in. Listeners that need a control plane may
    /// serve later: ask [`Self::listeners`].
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(options: Options, extensions: Extensions) -> Result<Self, StartError> {
        let (orders, receiver) = mpsc::unbounded_channel();
        let (started, wait) = std::sync::mpsc::sync_channel(1);
        let own = orders.clone();
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            let runtime = match local_runtime() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error.into()))),
            };
            runtime.block_on(async move {
                match Box::pin(Process::start(&options, extensions, own)).await {
                    Ok(process) => {
                        drop(started.send(Ok(process.admin())));
                        Box::pin(process.run(options, receiver)).await;
                    }
                    Err(error) => drop(started.send(Err(error))),
                }
            });
        })?;
        match wait.recv() {
            Ok(Ok(admin)) => Ok(Self { orders, thread: Some(thread), admin }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StartError::System(io::ErrorKind::Other.into())),
        }
    }

    /// The admin endpoint's address, if there is one.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The listeners that serve now, by name and address.
    pub fn listeners(&self) -> Vec<(Arc<str>, Address)> {
        let (answer, wait) = oneshot::channel();
        drop(self.orders.send(Order::Listeners(answer)));
        wait.blocking_recv().unwrap_or_default()
    }

    /// Reads the bootstrap again.
    pub fn reload(&self) {
        drop(self.orders.send(Order::Reload));
    }

    /// Begins to end: requests in flight are finished.
    pub fn shutdown(&self) {
        drop(self.orders.send(Order::Shutdown));
    }

    /// Waits for the end.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
