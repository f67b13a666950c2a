//! Upgrades: WebSocket through the proxy.

use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::raw::RawConnection;
use palanquin_tests::raw::RawUpstream;

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";

#[tokio::test]
async fn after_101_bytes_go_through_in_both_directions() {
    let origin = RawUpstream::start().await;
    let listener = Http::to("blue").manager("upgrade_configs: [{ upgrade_type: websocket }]");
    let proxy = Proxy::http(listener, &[cluster("blue", &[origin.address])]).await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client.write(UPGRADE).await;
    let mut upstream = origin.accept().await;
    let head = upstream.read_head().await.to_lowercase();
    assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    upstream
        .write("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n\x01first")
        .await;
    let answer = client.read_head().await.to_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(answer.contains("\r\nupgrade: websocket\r\n"), "{answer}");
    assert_eq!(client.read_exact(6).await, b"\x01first");
    client.write(b"\x81\x85ping").await;
    assert_eq!(upstream.read_exact(6).await, b"\x81\x85ping");
    upstream.write(b"\x82pong").await;
    assert_eq!(client.read_exact(5).await, b"\x82pong");
    drop(upstream);
    client.expect_close().await;
}

#[tokio::test]
async fn an_upstream_that_does_not_switch_answers_as_usual() {
    let origin = RawUpstream::start().await;
    let listener = Http::to("blue").manager("upgrade_configs: [{ upgrade_type: websocket }]");
    let proxy = Proxy::http(listener, &[cluster("blue", &[origin.address])]).await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client.write(UPGRADE).await;
    let mut upstream = origin.accept().await;
    upstream.read_head().await;
    upstream.write("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
    let answer = client.read_message().await;
    assert_eq!((answer.status(), answer.text().as_str()), (403, "no"));
}

#[tokio::test]
async fn an_upgrade_that_is_not_configured_is_refused() {
    let origin = RawUpstream::start().await;
    let proxy = Proxy::http(Http::to("blue"), &[cluster("blue", &[origin.address])]).await;
    let mut client = RawConnection::connect(proxy.address().await).await;
    client.write(UPGRADE).await;
    assert_eq!(client.read_message().await.status(), 403);
}
