//! The process: workers, the control thread, and the way they start and end.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use palanquin_config::extension::Registry as Filters;
use palanquin_config::file::FileWatch;
use palanquin_config::ir::bootstrap::Bootstrap;
use palanquin_config::ir::endpoint::Address;
use palanquin_config::lower::Environment;
use palanquin_filter_api::stats;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::admin;
use crate::config_source::ConfigError;
use crate::config_source::ConfigSource;
use crate::config_source::Usable;
use crate::control::Control;
use crate::control::status::ResourceStatus;
use crate::snapshot::SnapshotCell;
use crate::telemetry::Telemetry;
use crate::telemetry::trace;
use crate::upstream::connector;
use crate::worker::Command;
use crate::worker::WorkerHandle;
use crate::worker::local_runtime;

/// How long access logs and spans may take to leave at the end.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

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
    /// Read the bootstrap again.
    Reload,
    /// Stop accepting, end connections as they become free.
    DrainListeners,
    /// As that, and end the process when they are gone.
    Shutdown,
}

impl Running {
    /// Starts a server and waits until its configuration is in. Listeners that need a control plane may
    /// serve later: ask [`Self::listeners`].
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(options: Options, filters: Filters) -> Result<Self, StartError> {
        let (orders, receiver) = mpsc::unbounded_channel();
        let (started, wait) = std::sync::mpsc::sync_channel(1);
        let own = orders.clone();
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            let runtime = match local_runtime() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error.into()))),
            };
            runtime.block_on(async move {
                match Process::start(&options, filters, own).await {
                    Ok(process) => {
                        drop(started.send(Ok(process.admin)));
                        process.run(options, receiver).await;
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

/// What lives on the control thread.
struct Process {
    control: Control,
    filters: Filters,
    stats: stats::Registry,
    workers: Rc<[WorkerHandle]>,
    telemetry: Telemetry,
    spans: Option<tokio::task::JoinHandle<()>>,
    admin: Option<SocketAddr>,
    admin_state: admin::AdminState,
    _files: Option<FileWatch>,
}

impl Process {
    async fn start(
        options: &Options,
        filters: Filters,
        orders: mpsc::UnboundedSender<Order>,
    ) -> Result<Self, StartError> {
        let concurrency = options.concurrency.max(1);
        let stats = stats::Registry::new(concurrency);
        let usable = options.source.load(Environment { filters: &filters, stats: &stats })?;
        warn(&usable);
        let Usable { message, ir: bootstrap, .. } = usable;

        let published = Arc::new(SnapshotCell::default());
        let node = trace::Node {
            id: bootstrap.node.id.clone(),
            cluster: bootstrap.node.cluster.clone(),
            zone: bootstrap.node.locality.as_ref().map_or(String::new(), |it| it.zone.clone()),
        };
        let (telemetry, spans) = Telemetry::start(&stats, node)?;
        let workers = (0..concurrency)
            .map(|id| {
                let telemetry = telemetry.clone();
                WorkerHandle::spawn(id, Arc::clone(&published), move || telemetry.worker())
            })
            .collect::<io::Result<Rc<[_]>>>()?;
        let status = Arc::new(ResourceStatus::default());
        let mut control = Control::new(
            filters.clone(),
            stats.clone(),
            Arc::clone(&published),
            Rc::clone(&workers),
            Arc::clone(&status),
        );
        let admin_state = admin::AdminState::new(
            stats.clone(),
            Arc::clone(&published),
            status,
            telemetry.logs().clone(),
            orders.clone(),
            concurrency,
        );
        admin_state.set_bootstrap(&message, &bootstrap);
        if let Err(mut errors) = control.apply(&bootstrap) {
            let (name, error) = errors.swap_remove(0);
            return Err(StartError::Resource { name, error });
        }
        let connect: trace::Connect = Box::new(move |exporter| {
            let (published, name) = (Arc::clone(&published), Arc::clone(&exporter.cluster));
            let lookup = move || published.load_full().clusters.get(&name).cloned();
            connector::channel(Arc::new(lookup), &exporter.authority)
        });
        let export = trace::export(spans, connect, telemetry.span_stats(), FLUSH_LIMIT);
        let exporting = tokio::task::spawn_local(export);
        let admin = start_admin(&bootstrap, &admin_state).await?;
        let files = options.source.path.clone().map(|path| {
            FileWatch::start(vec![path], move |_| drop(orders.send(Order::Reload)))
        });
        let files = files.transpose().map_err(io::Error::other)?;
        Ok(Self {
            control,
            filters,
            stats,
            workers,
            telemetry,
            spans: Some(exporting),
            admin,
            admin_state,
            _files: files,
        })
    }

    async fn run(mut self, options: Options, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut ending = std::pin::pin!(ended_by_signal(options.signals));
        loop {
            self.admin_state.set_progress(self.control.warming(), self.control.serving());
            tokio::select! {
                () = self.control.step() => {}
                () = &mut ending => break,
                order = orders.recv() => match order {
                    Some(Order::Listeners(answer)) => drop(answer.send(self.control.serving())),
                    Some(Order::Reload) => self.reload(&options.source),
                    Some(Order::DrainListeners) => self.control.stop_listeners(),
                    Some(Order::Shutdown) | None => break,
                },
            }
        }
        self.end(options.drain_time).await;
    }

    /// Reads the bootstrap again. One that cannot be used changes nothing.
    fn reload(&mut self, source: &ConfigSource) {
        let environment = Environment { filters: &self.filters, stats: &self.stats };
        match source.load(environment) {
            Ok(usable) => {
                warn(&usable);
                if let Err(errors) = self.control.apply(&usable.ir) {
                    for (name, error) in errors {
                        tracing::error!(%name, %error, "resource cannot be used; the last good one serves");
                    }
                }
                self.admin_state.set_bootstrap(&usable.message, &usable.ir);
                tracing::info!("configuration reloaded");
            }
            Err(error) => {
                tracing::error!("the new configuration cannot be used; the last good one serves\n{error}");
            }
        }
    }

    /// Stops accepting, lets requests finish, hands over what telemetry holds.
    async fn end(mut self, limit: Duration) {
        tracing::info!(limit_s = limit.as_secs(), "draining");
        self.admin_state.set_draining();
        self.control.stop_listeners();
        for worker in &*self.workers {
            worker.tell(Command::Finish);
        }
        let deadline = tokio::time::Instant::now() + limit;
        while self.workers.iter().any(|worker| !worker.is_finished())
            && tokio::time::Instant::now() < deadline
        {
            // Workers end by themselves; nobody hears of it but by looking.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if self.workers.iter().any(|worker| !worker.is_finished()) {
            tracing::warn!("requests were still in flight when the time to drain was over");
        }
        self.telemetry.flush_logs(FLUSH_LIMIT);
        let Self { telemetry, spans, .. } = self;
        // The exporter ends when every sender of spans is gone.
        drop(telemetry);
        if let Some(spans) = spans {
            drop(tokio::time::timeout(FLUSH_LIMIT, spans).await);
        }
    }
}

async fn start_admin(
    bootstrap: &Bootstrap,
    state: &admin::AdminState,
) -> io::Result<Option<SocketAddr>> {
    match &bootstrap.admin {
        Some(config) => admin::start(&config.address, state.clone()).await,
        None => Ok(None),
    }
}

fn warn(usable: &Usable) {
    if !usable.warnings.problems.is_empty() {
        tracing::warn!("the configuration says what has no effect\n{}", usable.warnings);
    }
}

async fn ended_by_signal(signals: Signals) {
    use tokio::signal::unix::SignalKind;
    use tokio::signal::unix::signal;
    if signals == Signals::Ignore {
        return std::future::pending().await;
    }
    let listen = |kind| signal(kind);
    match (listen(SignalKind::terminate()), listen(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => {
            tracing::error!("cannot listen for signals");
            std::future::pending().await
        }
    }
}
