//! A trace collector that only counts: accepts OTLP over gRPC (HTTP/2 with prior knowledge), says yes to everything.
//!
//! A line a second says how many spans have come, for whoever keeps its output.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use clap::Args;
use http::{HeaderMap, HeaderValue, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// Where the collector listens.
#[derive(Debug, Args)]
pub struct Options {
    /// Port on loopback.
    #[arg(long)]
    port: u16,
}

/// Serves until the process is ended.
pub fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let spans = Rc::new(Cell::new(0));
    LocalSet::new().block_on(&runtime, async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = TcpListener::bind(address).await?;
        tokio::task::spawn_local(report(spans.clone()));
        loop {
            let (socket, _) = listener.accept().await?;
            let spans = spans.clone();
            tokio::task::spawn_local(async move {
                // A connection that breaks is the exporter's business.
                let _ = serve(socket, spans).await;
            });
        }
    })
}

/// Says the count each second in which it changed; ends with the collector.
async fn report(spans: Rc<Cell<usize>>) -> ! {
    let mut last = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if spans.get() != last {
            last = spans.get();
            say(last);
        }
    }
}

#[allow(clippy::print_stdout, reason = "the count is this tool's output")]
fn say(spans: usize) {
    println!("{spans} spans");
}

async fn serve(socket: TcpStream, spans: Rc<Cell<usize>>) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut connection = h2::server::Builder::new()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(1 << 24)
        .handshake::<_, Bytes>(socket)
        .await?;
    while let Some(stream) = connection.accept().await {
        let (request, mut respond) = stream?;
        let spans = spans.clone();
        tokio::task::spawn_local(async move {
            let mut body = request.into_body();
            let mut message = BytesMut::new();
            while let Some(Ok(part)) = body.data().await {
                // The window was given for these bytes, so giving it back cannot fail while the stream lives.
                let _ = body.flow_control().release_capacity(part.len());
                message.extend_from_slice(&part);
            }
            // The first five bytes are gRPC's: not compressed, length.
            spans.set(spans.get() + count_spans(message.get(5..).unwrap_or_default()));
            let head = Response::builder().header("content-type", "application/grpc");
            let Ok(head) = head.body(()) else { return };
            let Ok(mut answer) = respond.send_response(head, false) else { return };
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            // An empty ExportTraceServiceResponse: all spans were accepted.
            let _ = answer.send_data(Bytes::from_static(&[0, 0, 0, 0, 0]), false);
            let _ = answer.send_trailers(trailers);
        });
    }
    Ok(())
}

/// Spans of an `ExportTraceServiceRequest`: `resource_spans` (1), in it `scope_spans` (2), in it `spans` (2).
pub fn count_spans(request: &[u8]) -> usize {
    let resources = fields(request, 1);
    let scopes = resources.iter().flat_map(|resource| fields(resource, 2));
    scopes.map(|scope| fields(scope, 2).len()).sum()
}

/// The length-delimited fields `number` of a protobuf message; stops at what it does not understand.
fn fields(mut message: &[u8], number: u64) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some(tag) = varint(&mut message) {
        let skipped = match tag & 7 {
            0 => varint(&mut message).map(|_| 0),
            1 => Some(8),
            2 => varint(&mut message).and_then(|length| usize::try_from(length).ok()),
            5 => Some(4),
            _ => None,
        };
        let Some((value, rest)) = skipped.and_then(|length| message.split_at_checked(length))
        else {
            break;
        };
        if tag == number << 3 | 2 {
            found.push(value);
        }
        message = rest;
    }
    found
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_counted_over_resources_and_scopes() {
        let span = [0x12, 1, 0xff];
        let scope: Vec<u8> = [&[0x12, 6][..], &span, &span].concat();
        let request: Vec<u8> = [&[0x0a, 8][..], &scope, &[0x0a, 8], &scope].concat();
        assert_eq!(count_spans(&request), 4);
    }

    #[test]
    fn a_truncated_message_is_no_panic() {
        assert_eq!(count_spans(&[0x0a, 0xff]), 0);
    }
}
