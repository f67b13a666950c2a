//! One connection of the load generator, whatever it speaks.

use crate::load::{h1, h2};
use crate::tools::poll::Interest;
use crate::tools::stream::Stream;

/// What came in with one read.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The moments (nanoseconds of the run) at which the requests now answered were due.
    pub(super) answered: Vec<u64>,
    /// How many answers were not 200.
    pub(super) refused: u64,
    /// The connection cannot be used any longer.
    pub(super) broken: bool,
}

/// The codec of a connection.
#[derive(Debug)]
pub(super) enum Codec {
    Http1(h1::Client),
    Http2(h2::Client),
}

impl Codec {
    /// How many requests may be sent now.
    pub(super) fn room(&self) -> usize {
        match self {
            Self::Http1(client) => client.room(),
            Self::Http2(client) => client.room(),
        }
    }

    /// Requests that wait for their answer.
    pub(super) fn pending(&self) -> usize {
        match self {
            Self::Http1(client) => client.pending(),
            Self::Http2(client) => client.pending(),
        }
    }

    /// Appends a request that was due at `due`.
    pub(super) fn send(&mut self, output: &mut Vec<u8>, due: u64) {
        match self {
            Self::Http1(client) => client.send(output, due),
            Self::Http2(client) => client.send(output, due),
        }
    }

    /// Reads the answers out of what came in.
    pub(super) fn advance(&mut self, stream: &mut Stream, progress: &mut Progress) {
        match self {
            Self::Http1(client) => client.advance(stream, progress),
            Self::Http2(client) => client.advance(stream, progress),
        }
    }
}

/// A connection and its place in the epoll set.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) codec: Codec,
    pub(super) interest: Interest,
    /// Answers it has had; the idle mode stops after one.
    pub(super) answers: u64,
}
