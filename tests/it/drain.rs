//! The end of the process: what is in flight is finished, nothing new is begun.

use std::time::Duration;

use palanquin_tests::client::Client;
use palanquin_tests::config::Http;
use palanquin_tests::config::bootstrap;
use palanquin_tests::config::cluster;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::proxy::Settings;
use palanquin_tests::raw::Payload;
use palanquin_tests::raw::RawConnection;
use palanquin_tests::time::eventually;
use palanquin_tests::time::within;
use palanquin_tests::upstream::Gate;
use palanquin_tests::upstream::Upstream;
use tokio::net::TcpStream;

async fn proxy(drain_time: Duration) -> (Proxy, Upstream, Gate) {
    let (blue, gate) = Upstream::gated("blue").await;
    let text = bootstrap(&[Http::to("blue")], &[cluster("blue", &[blue.address])]);
    let settings = Settings { drain_time, ..Settings::default() };
    (Proxy::try_launch(&text, settings).await.unwrap(), blue, gate)
}

/// Longer than any test takes: what ends before, ends because there is nothing left to do.
const LONG: Duration = Duration::from_mins(10);

#[tokio::test]
async fn a_request_in_flight_is_finished_and_its_connection_closed() {
    let (proxy, _blue, gate) = proxy(LONG).await;
    let address = proxy.address().await;
    let mut client = RawConnection::connect(address).await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    gate.arrived(1).await;
    proxy.shutdown();
    eventually("connections are refused", async || TcpStream::connect(address).await.err()).await;
    gate.release(1);
    let answer = client.read_message().await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "blue"));
    assert_eq!(answer.field("connection"), Some("close"));
    client.expect_close().await;
    within("the end of the proxy", proxy.ended()).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_no_new_one_is_accepted() {
    let (proxy, _blue, gate) = proxy(LONG).await;
    let address = proxy.address().await;
    let mut client = RawConnection::connect(address).await;
    gate.release(1);
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.read_message().await.status(), 200);
    proxy.shutdown();
    client.expect_close().await;
    eventually("connections are refused", async || TcpStream::connect(address).await.err()).await;
    within("the end of the proxy", proxy.ended()).await;
}

#[tokio::test]
async fn an_http2_connection_gets_goaway_and_finishes_its_streams() {
    let (proxy, _blue, gate) = proxy(LONG).await;
    let mut client = Client::http2(proxy.address().await).await;
    let mut other = client.another();
    let held = tokio::spawn(async move { other.get("/").await });
    gate.arrived(1).await;
    proxy.shutdown();
    gate.release(1);
    assert_eq!(held.await.unwrap().text(), "blue");
    client.closed().await.unwrap();
    within("the end of the proxy", proxy.ended()).await;
}

#[tokio::test]
async fn what_takes_longer_than_the_drain_time_is_given_up() {
    let (proxy, _blue, gate) = proxy(Duration::from_millis(50)).await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    gate.arrived(1).await;
    proxy.shutdown();
    within("the end of the proxy", proxy.ended()).await;
}

#[tokio::test]
async fn clients_that_never_stop_get_whole_answers_until_their_connection_ends() {
    let blue = Upstream::echo("blue").await;
    let text = bootstrap(&[Http::to("blue")], &[cluster("blue", &[blue.address])]);
    let settings = Settings { drain_time: LONG, ..Settings::default() };
    let proxy = Proxy::try_launch(&text, settings).await.unwrap();
    let address = proxy.address().await;
    let clients: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let mut answered = 0;
                // Each client goes on until the proxy says that this connection is the last.
                let mut connection = RawConnection::connect(address).await;
                loop {
                    connection.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
                    // A request that crosses the close of an idle connection was not taken (RFC 9112 9.3.1).
                    let answer = connection.try_read_message(Payload::AsFramed).await;
                    let Some(answer) = answer else { return answered };
                    assert_eq!((answer.status(), answer.text().as_str()), (200, "blue"));
                    answered += 1;
                    if answer.field("connection") == Some("close") {
                        return answered;
                    }
                }
            })
        })
        .collect();
    blue.answered(100).await;
    proxy.shutdown();
    let mut answered = 0;
    for client in clients {
        answered += within("a client's last answer", client).await.unwrap();
    }
    assert!(answered >= 100);
    within("the end of the proxy", proxy.ended()).await;
}
