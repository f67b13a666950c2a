//! Listening sockets.

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use palanquin_config::ir::endpoint::Address;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

/// One worker's listening socket.
#[derive(Debug)]
pub(crate) enum ListenSocket {
    /// TCP, each worker with a socket of its own (SO_REUSEPORT): the kernel spreads connections.
    Tcp(TcpListener),
    /// A Unix socket, shared by all workers.
    Unix(UnixListener),
}

/// Binds `address` once for each of `workers`. With port 0 the kernel chooses one port for all.
///
/// # Errors
/// The system's: the address is in use, not local, or needs a privilege.
pub(crate) fn bind(
    address: &Address,
    backlog: u32,
    workers: usize,
) -> io::Result<Vec<ListenSocket>> {
    match address {
        Address::Socket(address) => {
            let first = tcp(*address, backlog)?;
            let bound = first.local_addr()?;
            let mut sockets = vec![ListenSocket::Tcp(first)];
            for _ in 1..workers {
                sockets.push(ListenSocket::Tcp(tcp(bound, backlog)?));
            }
            Ok(sockets)
        }
        Address::Pipe(path) => {
            // What a process that is gone has left behind; a living listener would be connected to.
            if std::os::unix::net::UnixStream::connect(path).is_err() {
                drop(std::fs::remove_file(path));
            }
            let first = UnixListener::bind(path)?;
            first.set_nonblocking(true)?;
            let mut sockets = Vec::new();
            for _ in 1..workers {
                sockets.push(ListenSocket::Unix(first.try_clone()?));
            }
            sockets.push(ListenSocket::Unix(first));
            Ok(sockets)
        }
    }
}

fn tcp(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}
