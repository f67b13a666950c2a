//! What lives on the control thread, from start to end.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use palanquin_config::extension::Registry as Filters;
use palanquin_config::file::FileWatch;
use palanquin_config::file::Secrets;
use palanquin_config::file::message_to_json;
use palanquin_config::ir::bootstrap::Bootstrap as Ir;
use palanquin_config::lower::Environment;
use palanquin_filter_api::stats;
use palanquin_proto::envoy::config::bootstrap::v3::Bootstrap;
use palanquin_proto::envoy::config::core::v3::Node;
use prost::Message;
use prost::Name;
use serde_json::json;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Extensions;
use super::Options;
use super::Order;
use super::Signals;
use super::StartError;
use crate::admin;
use crate::admin::AdminServer;
use crate::admin::AdminState;
use crate::admin::Health;
use crate::admin::ServerState;
use crate::config_source::Usable;
use crate::control::Control;
use crate::control::Which;
use crate::control::facts::ControlFacts;
use crate::control::status::ResourceStatus;
use crate::snapshot::SnapshotCell;
use crate::telemetry::Telemetry;
use crate::telemetry::trace;
use crate::upstream::connector;
use crate::worker::Command;
use crate::worker::WorkerHandle;

/// How long access logs and spans may take to leave at the end.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);
/// How long a worker may take to drop what it has in hand.
const ABORT_LIMIT: Duration = Duration::from_millis(500);
/// How often it is looked whether the workers have ended.
const LOOK_PERIOD: Duration = Duration::from_millis(2);
/// Commands of the admin endpoint that may wait: there is one operator.
const ADMIN_QUEUE: usize = 16;

/// See the module.
pub(super) struct Process {
    control: Control,
    filters: Filters,
    stats: stats::Registry,
    workers: Rc<[WorkerHandle]>,
    telemetry: Telemetry,
    exporting: JoinHandle<()>,
    facts: Arc<ControlFacts>,
    health: Arc<Health>,
    admin: Admin,
    /// When a graceful drain of listeners stops them, and which.
    stopping: Option<(tokio::time::Instant, Which)>,
    files: FileWatch,
    watched: Vec<PathBuf>,
    signals: EndSignals,
    /// What the bootstrap says of that a reload cannot change.
    fixed: Bootstrap,
}

/// The admin endpoint as it runs.
struct Admin {
    address: Option<SocketAddr>,
    commands: mpsc::Receiver<admin::Command>,
    /// Dropped, it ends the endpoint.
    _stop: oneshot::Sender<()>,
}

impl Process {
    /// Reads the configuration and puts it in. Nothing runs if it cannot be used.
    pub(super) async fn start(
        options: &Options,
        extensions: Extensions,
        orders: mpsc::UnboundedSender<Order>,
    ) -> Result<Self, StartError> {
        let started = Instant::now();
        // Before anything serves: whoever sees us serve may ask us to end.
        let signals = EndSignals::listen(options.signals)?;
        let Extensions { filters, tenants } = extensions;
        let concurrency = options.concurrency.max(1);
        let stats = stats::Registry::new(concurrency);
        let usable = options.source.load(Environment { filters: &filters, stats: &stats })?;
        follow_log_level(&usable, options);
        warn(&usable);
        let bootstrap = &usable.ir;

        let published = Arc::new(SnapshotCell::default());
        let (telemetry, spans) = Telemetry::start(&stats, span_node(&bootstrap.node))?;
        let workers = (0..concurrency)
            .map(|id| {
                let telemetry = telemetry.clone();
                WorkerHandle::spawn(id, Arc::clone(&published), move || telemetry.worker())
            })
            .collect::<io::Result<Rc<[_]>>>()?;
        let status = Arc::new(ResourceStatus::default());
        let facts = ControlFacts::new(Arc::clone(&published), Arc::clone(&status), tenants);
        let facts = Arc::new(facts);
        facts.set_bootstrap(&usable.message, told(&usable));
        let health = Arc::new(Health::default());
        health.set(ServerState::Initializing);

        let mut control = Control::new(
            filters.clone(),
            stats.clone(),
            Arc::clone(&published),
            Rc::clone(&workers),
            status,
            options.drain_time,
        );
        if let Err(mut errors) = control.apply(bootstrap) {
            let (name, error) = errors.swap_remove(0);
            return Err(StartError::Resource { name, error });
        }
        let export = trace::export(spans, connect(published), telemetry.span_stats(), FLUSH_LIMIT);
        let exporting = tokio::task::spawn_local(export);
        let (commands, receiver) = mpsc::channel(ADMIN_QUEUE);
        let state = AdminState {
            stats: stats.clone(),
            logs: telemetry.logs().clone(),
            health: Arc::clone(&health),
            facts: Box::new(Arc::clone(&facts)),
            commands,
            started,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            options: json!({
                "concurrency": concurrency,
                "config_path": options.source.path,
                "config_yaml": options.source.text,
                "drain_time": format!("{}s", options.drain_time.as_secs()),
                "mode": "Serve",
            }),
            node: message_to_json(
                &Node::type_url(),
                &bootstrap.node.encode_to_vec(),
                Secrets::Redact,
            ),
        };
        let admin = start_admin(bootstrap, state, receiver).await?;
        let watched = watched(options, &control);
        let files = watch(options, watched.clone(), orders)?;
        Ok(Self {
            control,
            filters,
            stats,
            workers,
            telemetry,
            exporting,
            facts,
            health,
            admin,
            stopping: None,
            files,
            watched,
            signals,
            fixed: fixed(usable.message),
        })
    }

    /// The admin endpoint's address.
    pub(super) fn admin(&self) -> Option<SocketAddr> {
        self.admin.address
    }

    /// Runs until it is told to end, then drains.
    pub(super) async fn run(
        mut self,
        options: Options,
        mut orders: mpsc::UnboundedReceiver<Order>,
    ) {
        loop {
            self.facts.set_progress(self.control.serving(), self.control.warming());
            self.follow_files(&options);
            if self.health.state() == ServerState::Initializing && self.control.is_initialized() {
                self.health.set(ServerState::Live);
                tracing::info!("all resources are here; serving");
            }
            let ends = tokio::select! {
                () = self.control.step() => false,
                () = self.signals.next() => true,
                order = orders.recv() => order.is_none_or(|order| self.obey(order, &options)),
                Some(command) = self.admin.commands.recv() => self.command(command, &options),
                which = drained(self.stopping) => {
                    self.stopping = None;
                    self.control.stop_listeners(which);
                    false
                }
            };
            if ends {
                break;
            }
        }
        Box::pin(self.end(&options, orders)).await;
    }

    /// Does as it is told; true when that is to end.
    fn obey(&mut self, order: Order, options: &Options) -> bool {
        match order {
            // Whoever asked may have gone.
            Order::Listeners(answer) => drop(answer.send(self.control.serving())),
            Order::Reload => self.reload(options),
            Order::FileChanged(path) => self.control.on_file_changed(&path),
            Order::Shutdown => return true,
        }
        false
    }

    /// Watches the files that the resources of now name.
    fn follow_files(&mut self, options: &Options) {
        let watched = watched(options, &self.control);
        if watched != self.watched {
            self.files.watch(watched.clone());
            self.watched = watched;
        }
    }

    fn command(&mut self, command: admin::Command, options: &Options) -> bool {
        match command {
            admin::Command::DrainListeners { graceful, inbound_only, skip_exit } => {
                let which = if inbound_only { Which::Inbound } else { Which::All };
                if !graceful && !skip_exit {
                    self.control.stop_listeners(which);
                } else {
                    self.control.drain_listeners(which);
                    if !skip_exit {
                        let end = tokio::time::Instant::now() + options.drain_time;
                        self.stopping = Some((end, which));
                    }
                }
            }
            admin::Command::LogLevel(level) => {
                if let Some(set) = &options.log_level {
                    (set.0)(level);
                }
            }
            admin::Command::Quit => return true,
        }
        false
    }

    /// Reads the bootstrap again. One that cannot be used changes nothing.
    fn reload(&mut self, options: &Options) {
        let environment = Environment { filters: &self.filters, stats: &self.stats };
        match options.source.load(environment) {
            Ok(usable) => {
                follow_log_level(&usable, options);
                warn(&usable);
                if fixed(usable.message.clone()) != self.fixed {
                    tracing::warn!(
                        "of the new configuration only static_resources take effect before a restart"
                    );
                }
                if let Err(errors) = self.control.apply(&usable.ir) {
                    for (name, error) in errors {
                        tracing::error!(%name, %error, "cannot be used; the last good one serves");
                    }
                }
                self.facts.set_bootstrap(&usable.message, told(&usable));
                tracing::info!("configuration reloaded");
            }
            Err(error) => {
                tracing::error!(
                    "the new configuration cannot be used; the last good one serves\n{error}"
                );
            }
        }
    }

    /// Stops accepting, lets requests finish, hands over what telemetry holds. Whoever asks once more does
    /// not want to wait for requests.
    async fn end(mut self, options: &Options, mut orders: mpsc::UnboundedReceiver<Order>) {
        tracing::info!(limit_s = options.drain_time.as_secs(), "draining");
        self.health.set(ServerState::Draining);
        self.control.stop_listeners(Which::All);
        for worker in &*self.workers {
            worker.tell(Command::Finish);
        }
        let mut limit = std::pin::pin!(tokio::time::sleep(options.drain_time));
        while self.workers.iter().any(|worker| !worker.is_finished()) {
            let waits = tokio::select! {
                // Workers end by themselves; nobody hears of it but by looking.
                () = tokio::time::sleep(LOOK_PERIOD) => true,
                () = &mut limit => false,
                () = self.signals.next() => false,
                Some(order) = orders.recv() => {
                    match order {
                        Order::Listeners(answer) => drop(answer.send(Vec::new())),
                        Order::FileChanged(_) | Order::Reload | Order::Shutdown => {}
                    }
                    true
                }
                Some(command) = self.admin.commands.recv() => {
                    !self.command(command, options)
                }
            };
            if !waits {
                tracing::warn!("requests were still in flight at the end");
                break;
            }
        }
        for worker in &*self.workers {
            worker.tell(Command::Abort);
        }
        let hanging = async {
            while self.workers.iter().any(|worker| !worker.is_finished()) {
                tokio::time::sleep(LOOK_PERIOD).await;
            }
        };
        if tokio::time::timeout(ABORT_LIMIT, hanging).await.is_err() {
            tracing::error!("a worker hangs");
        }
        self.telemetry.flush_logs(FLUSH_LIMIT);
        // The exporter ends when every sender of spans is gone.
        drop(self.telemetry);
        if tokio::time::timeout(FLUSH_LIMIT, self.exporting).await.is_err() {
            tracing::warn!("spans were left unsent at the end");
        }
        tracing::info!("ended");
    }
}

/// Waits for the end of a graceful drain.
async fn drained(stopping: Option<(tokio::time::Instant, Which)>) -> Which {
    match stopping {
        Some((end, which)) => {
            tokio::time::sleep_until(end).await;
            which
        }
        None => std::future::pending().await,
    }
}

/// Channels to collectors: the cluster is looked up when a channel connects.
fn connect(published: Arc<SnapshotCell>) -> trace::Connect {
    Box::new(move |exporter| {
        let (published, name) = (Arc::clone(&published), Arc::clone(&exporter.cluster));
        let lookup = move || published.load_full().clusters.get(&name).cloned();
        connector::channel(Arc::new(lookup), &exporter.authority)
    })
}

async fn start_admin(
    bootstrap: &Ir,
    state: AdminState,
    commands: mpsc::Receiver<admin::Command>,
) -> io::Result<Admin> {
    let (stop, stopped) = oneshot::channel();
    let mut address = None;
    if let Some(config) = &bootstrap.admin {
        let server = AdminServer::bind(&config.address).await?;
        address = server.local_addr();
        tokio::task::spawn_local(async move {
            let stopped = async move { drop(stopped.await) };
            if let Err(error) = server.run(state, stopped).await {
                tracing::error!(%error, "the admin endpoint ended");
            }
        });
    }
    Ok(Admin { address, commands, _stop: stop })
}

fn watch(
    options: &Options,
    watched: Vec<PathBuf>,
    orders: mpsc::UnboundedSender<Order>,
) -> io::Result<FileWatch> {
    let bootstrap_file = options.source.path.clone();
    let on_change = move |changed: Vec<PathBuf>| {
        for path in changed {
            let order = if Some(&path) == bootstrap_file.as_ref() {
                Order::Reload
            } else {
                Order::FileChanged(path)
            };
            // The process is ending: changes no longer matter.
            drop(orders.send(order));
        }
    };
    FileWatch::start(watched, on_change).map_err(io::Error::other)
}

/// The files whose change matters: the bootstrap's own, and those that it names.
fn watched(options: &Options, control: &Control) -> Vec<PathBuf> {
    options.source.path.iter().cloned().chain(control.watched_files()).collect()
}

fn fixed(mut message: Bootstrap) -> Bootstrap {
    message.static_resources = None;
    message
}

fn span_node(node: &Node) -> trace::Node {
    trace::Node {
        id: node.id.clone(),
        cluster: node.cluster.clone(),
        zone: node.locality.as_ref().map_or_else(String::new, |locality| locality.zone.clone()),
    }
}

/// The level that the file asks for, unless the command line has told one.
fn follow_log_level(usable: &Usable, options: &Options) {
    if let Some((set, level)) = options.file_log_level.as_ref().zip(usable.log_level.as_deref()) {
        (set.0)(level);
    }
}

fn warn(usable: &Usable) {
    if !usable.warnings.problems.is_empty() {
        tracing::warn!("the configuration says what has no effect\n{}", usable.warnings);
    }
}

/// The warnings as `/config_dump` shows them.
fn told(usable: &Usable) -> Vec<String> {
    let warnings = usable.warnings.problems.warnings();
    warnings.map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}

/// SIGTERM and SIGINT, heard from [`Self::listen`] on: before that they end the process as it stands.
struct EndSignals(Option<(Signal, Signal)>);

impl EndSignals {
    fn listen(signals: Signals) -> io::Result<Self> {
        if signals == Signals::Ignore {
            return Ok(Self(None));
        }
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self(Some((signal(terminate)?, signal(interrupt)?))))
    }

    /// Waits for the next. Cancel safe.
    async fn next(&mut self) {
        let Some((terminate, interrupt)) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}
