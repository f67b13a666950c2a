//! Accepts connections: one loop per listening socket and worker, one task per connection.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use palanquin_filter_api::stats::listener as stat;
use palanquin_tls::Peeked;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::UnixListener;
use tokio::sync::watch;

use super::ActiveListener;
use super::Generation;
use super::Generations;
use super::ListenSocket;
use crate::downstream;
use crate::worker::Worker;

/// Out of descriptors or memory: how long a listener rests before it tries again.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Which generation of a listener accepts; `None`: none any more.
pub(crate) type Present = watch::Receiver<Option<Arc<ActiveListener>>>;

/// Accepts on `socket` with the present generation of a listener. When that becomes `None`, takes what the
/// kernel has queued already and closes the socket.
///
/// Connections of an older generation, or of a listener that is gone, end after their next request. One that
/// is idle may be about to send one: it is closed after `drain_time`, or when the worker ends.
///
/// # Errors
/// The socket cannot be registered with the event loop.
pub(crate) async fn accept_loop(
    worker: Rc<Worker>,
    mut present: Present,
    socket: ListenSocket,
    drain_time: Duration,
) -> io::Result<()> {
    let generations = Generations::default();
    let socket = Socket::new(socket)?;
    let Some(first) = present.borrow_and_update().clone() else { return Ok(()) };
    let mut generation = generations.begin(first);
    loop {
        let accepted = tokio::select! {
            biased;
            changed = present.changed() => {
                // The control thread is gone: so is the process, in a moment.
                let next = changed.ok().and_then(|()| present.borrow_and_update().clone());
                match next {
                    Some(next) => {
                        close_idle_after(drain_time, &generation);
                        generation = generations.begin(next);
                    }
                    None => break,
                }
                continue;
            }
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok(connection) => start(&worker, &generation, connection),
            Err(error) if is_exhausted(&error) => {
                tracing::warn!(%error, "cannot accept connections; resting");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
            // The client went away between its SYN and now.
            Err(_) => {}
        }
    }
    while let Some(connection) = socket.try_accept() {
        start(&worker, &generation, connection);
    }
    drop(socket);
    generations.start_drain();
    // From here on only its connections keep it.
    drop(generation);
    tokio::select! {
        () = worker.ending() => {}
        () = tokio::time::sleep(drain_time) => {}
    }
    generations.close_idle();
    Ok(())
}

fn close_idle_after(limit: Duration, generation: &Rc<Generation>) {
    let generation = Rc::downgrade(generation);
    tokio::task::spawn_local(async move {
        tokio::time::sleep(limit).await;
        if let Some(generation) = generation.upgrade() {
            generation.close_idle();
        }
    });
}

fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// An accepted connection and its two ends.
struct Accepted {
    io: Peeked,
    remote: SocketAddr,
    local: SocketAddr,
}

fn start(worker: &Rc<Worker>, generation: &Rc<Generation>, accepted: Accepted) {
    generation.listener.stats.inc(stat::DOWNSTREAM_CX_TOTAL);
    let guard = worker.connection();
    let (worker, generation) = (Rc::clone(worker), Rc::clone(generation));
    let Accepted { io, remote, local } = accepted;
    tokio::task::spawn_local(async move {
        downstream::serve(io, remote, local, guard.id, &worker, &generation).await;
        drop(guard);
    });
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Unix sockets have no address to speak of; logs show this one.
const UNIX_PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Socket {
    fn new(socket: ListenSocket) -> io::Result<Self> {
        match socket {
            ListenSocket::Tcp(listener) => TcpListener::from_std(listener).map(Self::Tcp),
            ListenSocket::Unix(listener) => UnixListener::from_std(listener).map(Self::Unix),
        }
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                tcp(stream, remote)
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Accepted { io: Peeked::unix(stream), remote: UNIX_PEER, local: UNIX_PEER })
            }
        }
    }

    /// A connection that is queued already.
    fn try_accept(&self) -> Option<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let socket = socket2::SockRef::from(&listener.as_fd()).accept().ok()?;
                socket.0.set_nonblocking(true).ok()?;
                let stream = TcpStream::from_std(socket.0.into()).ok()?;
                let remote = stream.peer_addr().ok()?;
                tcp(stream, remote).ok()
            }
            // Shared with the other workers and perhaps with the next process: not ours to empty.
            Self::Unix(_) => None,
        }
    }
}

fn tcp(stream: TcpStream, remote: SocketAddr) -> io::Result<Accepted> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    Ok(Accepted { io: Peeked::tcp(stream), remote: canonical(remote), local: canonical(local) })
}

/// An IPv4 client of a dual-stack socket is an IPv4 client.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
