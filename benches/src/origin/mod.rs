//! The origin of the benchmarks: one thread, epoll, answers that are ready-made bytes.
//!
//! It must cost so little that the proxy is what is measured. HTTP/1 requests get 1 KiB, or 64 KiB when the path says `64k`
//! or the request is a POST; HTTP/2 streams get 1 KiB.

mod h1;
mod h2;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use rustls::{Connection, ServerConfig, ServerConnection};

use crate::tools::certs::{Alpn, Certs, ClientCertificate};
use crate::tools::poll::{Interest, Poll, listen};
use crate::tools::stream::{Filled, Flushed, Stream};

/// Where the origin listens, all on loopback.
#[derive(Debug, Args)]
pub struct Options {
    /// Port for HTTP/1.
    #[arg(long)]
    h1: u16,
    /// Port for HTTP/2 with prior knowledge.
    #[arg(long)]
    h2: u16,
    /// Port for HTTP/2 over mutual TLS.
    #[arg(long)]
    h2_mtls: u16,
    /// Folder of the certificates.
    #[arg(long)]
    certs: PathBuf,
}

enum Protocol {
    Http1(h1::Exchange),
    Http2(h2::Session),
}

struct Peer {
    stream: Stream,
    protocol: Protocol,
    interest: Interest,
}

/// Serves until the process is ended.
pub fn run(options: &Options) -> Result<()> {
    let secure = Certs::open(&options.certs).server(Alpn::Http2, ClientCertificate::Required)?;
    let doors = [listen(options.h1)?, listen(options.h2)?, listen(options.h2_mtls)?];
    let mut poll = Poll::new()?;
    for (token, door) in doors.iter().enumerate() {
        poll.add(door, token as u64, Interest::Read)?;
    }
    let h1_answers = h1::Answers::new();
    let h2_answer = h2::Answer::new();
    let mut peers: Vec<Option<Box<Peer>>> = Vec::new();
    let mut free = Vec::new();
    let mut ready = Vec::new();
    let mut scratch = vec![0; 256 * 1024];
    loop {
        poll.wait(None, &mut ready);
        for &token in &ready {
            let index = usize::try_from(token)?;
            if let Some(door) = doors.get(index) {
                while let Some(peer) = accept(door, index, &secure)? {
                    let slot = free.pop().unwrap_or_else(|| {
                        peers.push(None);
                        peers.len() - 1
                    });
                    poll.add(peer.stream.socket(), (slot + doors.len()) as u64, Interest::Read)?;
                    peers[slot] = Some(peer);
                }
                continue;
            }
            let slot = index - doors.len();
            let Some(peer) = peers[slot].as_mut() else { continue };
            let alive = match peer.stream.fill(&mut scratch) {
                Filled::Closed => false,
                Filled::Nothing => true,
                Filled::Data => match &mut peer.protocol {
                    Protocol::Http1(exchange) => exchange.advance(&mut peer.stream, &h1_answers),
                    Protocol::Http2(session) => session.advance(&mut peer.stream, &h2_answer),
                },
            };
            let flushed = if alive { peer.stream.flush() } else { Flushed::Closed };
            let interest = match flushed {
                Flushed::Closed => {
                    peers[slot] = None;
                    free.push(slot);
                    continue;
                }
                Flushed::Blocked => Interest::ReadWrite,
                Flushed::All => Interest::Read,
            };
            if interest != peer.interest {
                peer.interest = interest;
                poll.change(peer.stream.socket(), token, interest)?;
            }
        }
    }
}

fn accept(
    door: &TcpListener,
    index: usize,
    secure: &Arc<ServerConfig>,
) -> Result<Option<Box<Peer>>> {
    let Ok((socket, _)) = door.accept() else { return Ok(None) };
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    let tls = match index {
        2 => Some(Connection::Server(ServerConnection::new(secure.clone())?)),
        _ => None,
    };
    let protocol = match index {
        0 => Protocol::Http1(h1::Exchange::default()),
        _ => Protocol::Http2(h2::Session::default()),
    };
    Ok(Some(Box::new(Peer {
        stream: Stream::new(socket, tls),
        protocol,
        interest: Interest::Read,
    })))
}
