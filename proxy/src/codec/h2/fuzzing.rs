//! Entry points for fuzzers.

use std::time::Instant;

use super::connection::Config;
use super::connection::Connection;
use super::connection::Role;
use super::head::Limits;
use super::hpack::Pseudo;
use super::receive::receive;
use super::stream_ref::StreamRef;

/// Feeds bytes to both ends of a connection, in pieces of which the first byte tells the size. The server's
/// requests are answered as far as they can be. Nothing may panic, and what waits to be written is bounded.
pub fn connection(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let config = Config {
        max_streams: 10,
        stream_window: 1000,
        connection_window: 70_000,
        head: Limits { bytes: 4096, fields: 20 },
        extended_connect: first & 1 == 0,
    };
    let piece = usize::from(*first).max(1);
    for role in [Role::Server, Role::Client] {
        let connection = Connection::new(role, config, Instant::now());
        let mut streams = Vec::new();
        if role == Role::Client {
            let pseudo: [(Pseudo, &[u8]); 2] = [(Pseudo::Method, b"GET"), (Pseudo::Path, b"/")];
            for end in [true, false] {
                let headers = http::HeaderMap::new();
                streams.push(StreamRef::request(&connection, &pseudo, &headers, end));
            }
        } else if receive(&connection, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").is_err() {
            return;
        }
        for part in data.chunks(piece) {
            if let Err(fatal) = receive(&connection, part) {
                connection.borrow_mut().abort(fatal);
                break;
            }
            let incoming = std::mem::take(&mut connection.borrow_mut().incoming);
            for request in incoming {
                let stream = StreamRef::new(std::rc::Rc::clone(&connection), request.stream);
                let end = stream.is_drained();
                let _answered = stream.respond("200", request.head.headers(), end).is_ok();
                streams.push(stream);
            }
            if streams.len() > 5 {
                streams.remove(0);
            }
            assert!(connection.borrow_mut().output().len() < 1 << 20, "too much to write");
        }
    }
}
