//! HTTP/2 upstreams, played by the `h2` crate's server.

use std::task::Poll;

use bytes::Bytes;
use h2::server::Connection;
use http::Response;
use tokio::net::TcpStream;

use palanquin_config::ir::cluster::UpstreamProtocol;

use super::*;

type Server = Connection<TcpStream, Bytes>;

async fn accept(f: &Fixture) -> Server {
    h2::server::handshake(f.upstream.accept().await.0).await.unwrap()
}

async fn fixture(streams: u32) -> Fixture {
    Fixture::new(|config| {
        config.protocol = UpstreamProtocol::Http2;
        config.http2.max_concurrent_streams = streams;
    })
    .await
}

/// Answers the next request with a body.
async fn serve(server: &mut Server) {
    let (_, mut respond) = server.accept().await.unwrap().unwrap();
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    stream.send_data(Bytes::from_static(b"ok"), true).unwrap();
}

/// Lets the server's connection make progress while something else is awaited.
async fn drive<T>(server: &mut Server, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| {
        let closed = server.poll_closed(cx);
        match work.as_mut().poll(cx) {
            Poll::Pending if closed.is_ready() => Poll::Pending,
            polled => polled,
        }
    })
    .await
}

#[test]
fn requests_share_a_connection() {
    run(async {
        let f = fixture(100).await;
        let (first, second) = (f.send(), f.send());
        let mut server = accept(&f).await;
        serve(&mut server).await;
        serve(&mut server).await;
        assert_eq!(drive(&mut server, text(first)).await, "ok");
        assert_eq!(drive(&mut server, text(second)).await, "ok");
        assert_eq!(f.count(stat::UPSTREAM_CX_TOTAL), 1);
        assert_eq!(f.count(stat::UPSTREAM_CX_HTTP2_TOTAL), 1);
        assert_eq!(f.count(stat::UPSTREAM_RQ_TOTAL), 2);
        assert_eq!(f.gauge(stat::UPSTREAM_RQ_ACTIVE), 0);
    });
}

#[test]
fn a_full_connection_is_joined_by_another() {
    run(async {
        let f = fixture(1).await;
        let first = f.send();
        let mut server = accept(&f).await;
        let (_, mut respond) = server.accept().await.unwrap().unwrap();
        let second = f.send();
        let mut other = accept(&f).await;
        serve(&mut other).await;
        assert_eq!(drive(&mut other, text(second)).await, "ok");
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"ok"), true).unwrap();
        assert_eq!(drive(&mut server, text(first)).await, "ok");
        assert_eq!(f.count(stat::UPSTREAM_CX_TOTAL), 2);
    });
}

#[test]
fn a_stream_that_ends_makes_room_for_one_that_waits() {
    run(async {
        let f = Fixture::new(|config| {
            config.protocol = UpstreamProtocol::Http2;
            config.http2.max_concurrent_streams = 1;
            config.breakers[0].max_connections = 1;
        })
        .await;
        let (first, second) = (f.send(), f.send());
        let mut server = accept(&f).await;
        serve(&mut server).await;
        assert_eq!(drive(&mut server, text(first)).await, "ok");
        serve(&mut server).await;
        assert_eq!(drive(&mut server, text(second)).await, "ok");
        assert_eq!(f.count(stat::UPSTREAM_CX_TOTAL), 1);
    });
}

#[test]
fn after_goaway_a_new_connection_is_made() {
    run(async {
        let f = fixture(100).await;
        let first = f.send();
        let mut server = accept(&f).await;
        serve(&mut server).await;
        assert_eq!(drive(&mut server, text(first)).await, "ok");
        server.graceful_shutdown();
        drive(&mut server, until(|| !f.local.sweep(Instant::now()))).await;
        let second = f.send();
        let mut other = accept(&f).await;
        serve(&mut other).await;
        assert_eq!(drive(&mut other, text(second)).await, "ok");
        assert_eq!(f.count(stat::UPSTREAM_CX_TOTAL), 2);
    });
}

#[test]
fn a_reset_stream_is_told_from_a_refused_one() {
    run(async {
        let f = fixture(100).await;
        let (first, second) = (f.send(), f.send());
        let mut server = accept(&f).await;
        for reason in [h2::Reason::INTERNAL_ERROR, h2::Reason::REFUSED_STREAM] {
            let (_, mut respond) = server.accept().await.unwrap().unwrap();
            respond.send_reset(reason);
        }
        let failure = drive(&mut server, first).await.unwrap().unwrap_err();
        assert!(matches!(failure, SendFailure::Reset { .. }), "{failure:?}");
        let failure = drive(&mut server, second).await.unwrap().unwrap_err();
        assert_eq!(failure, SendFailure::Refused);
        assert_eq!(f.count(stat::UPSTREAM_RQ_RX_RESET), 2);
        assert_eq!(f.gauge(stat::UPSTREAM_RQ_ACTIVE), 0);
    });
}
