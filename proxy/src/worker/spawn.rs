//! Starts workers, and tells them what to do.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use palanquin_filter_api::stats;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::Worker;
use crate::listener::ListenSocket;
use crate::listener::Present;
use crate::listener::accept_loop;
use crate::snapshot::SnapshotCell;
use crate::telemetry::WorkerTelemetry;

/// What the control thread tells a worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// Accept connections on a socket.
    Listen {
        /// The socket.
        socket: ListenSocket,
        /// The listener's generations.
        present: Present,
        /// How long connections may stay idle after their generation has gone.
        drain_time: Duration,
    },
    /// A snapshot was published: let go of what it no longer has, though no request asks.
    Refresh,
    /// End once no connection is left.
    Finish,
    /// End now. What is in flight is lost, but its log lines and spans are not.
    Abort,
}

/// A running worker.
#[derive(Debug)]
pub struct WorkerHandle {
    commands: UnboundedSender<Command>,
    thread: JoinHandle<()>,
}

impl WorkerHandle {
    /// Starts worker `id`.
    ///
    /// # Errors
    /// The system has no thread left, or no descriptor for the event loop.
    pub fn spawn(
        id: usize,
        published: Arc<SnapshotCell>,
        telemetry: impl FnOnce() -> WorkerTelemetry + Send + 'static,
    ) -> io::Result<Self> {
        let (commands, receiver) = mpsc::unbounded_channel();
        // Only its own thread may own a local runtime; whether one can be made is told back.
        let (ready, built) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name(format!("worker_{id}")).spawn(move || {
            stats::enter_worker(id);
            let runtime = match local_runtime() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            drop(ready.send(Ok(())));
            runtime.block_on(run(Worker::new(id, published, telemetry()), receiver));
        })?;
        built.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
        Ok(Self { commands, thread })
    }

    /// Tells the worker something. A worker that has ended hears nothing.
    pub(crate) fn tell(&self, command: Command) {
        drop(self.commands.send(command));
    }

    /// Whether the worker has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the worker's end.
    pub fn join(self) -> std::thread::Result<()> {
        self.thread.join()
    }
}

/// The event loop of one thread.
pub(crate) fn local_runtime() -> io::Result<tokio::runtime::LocalRuntime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build_local(tokio::runtime::LocalOptions::default())
}

async fn run(worker: Rc<Worker>, mut commands: UnboundedReceiver<Command>) {
    let flushed = Rc::clone(&worker);
    let flushing = tokio::task::spawn_local(async move { flushed.telemetry.run().await });
    let mut accepting = JoinSet::new();
    loop {
        let command = tokio::select! {
            command = commands.recv() => command,
            // A listener was removed, and its last idle connection closed.
            Some(_) = accepting.join_next() => continue,
        };
        match command {
            Some(Command::Listen { socket, present, drain_time }) => {
                let worker = Rc::clone(&worker);
                accepting.spawn_local(async move {
                    if let Err(error) = accept_loop(worker, present, socket, drain_time).await {
                        tracing::error!(%error, "cannot listen");
                    }
                });
            }
            Some(Command::Refresh) => drop(worker.snapshot()),
            Some(Command::Finish) => break,
            Some(Command::Abort) | None => return,
        }
    }
    worker.end();
    let finished = async {
        // The loops take what the kernel has queued before they end: only then connections are counted.
        while accepting.join_next().await.is_some() {}
        worker.drained().await;
    };
    let aborted = async {
        while let Some(command) = commands.recv().await {
            if matches!(command, Command::Abort) {
                break;
            }
        }
    };
    tokio::select! {
        () = finished => {}
        () = aborted => {}
    }
    // The buffers are flushed when the last task is gone.
    flushing.abort();
}
