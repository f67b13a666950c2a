//! The examples that users copy, run end to end with our ports in them.

use std::net::SocketAddr;

use palanquin_tests::certs::ClientAuth;
use palanquin_tests::certs::Pki;
use palanquin_tests::client;
use palanquin_tests::client::Client;
use palanquin_tests::config;
use palanquin_tests::config::Http;
use palanquin_tests::control_plane;
use palanquin_tests::control_plane::ControlPlane;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::upstream::Upstream;

/// Replaces each text once.
///
/// # Panics
/// The example does not have it: then the example has changed and this test has to.
fn adapt(example: &str, changes: &[(&str, String)]) -> String {
    changes.iter().fold(example.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in the example:\n{text}");
        text.replace(from, to)
    })
}

fn port(address: SocketAddr) -> String {
    format!("port_value: {}", address.port())
}

#[tokio::test]
async fn http_proxy() {
    let service = Upstream::echo("service").await;
    let text = adapt(
        include_str!("../../config/examples/envoy/http-proxy.yaml"),
        &[
            ("port_value: 9901", "port_value: 0".to_owned()),
            ("port_value: 8080", "port_value: 0".to_owned()),
            ("port_value: 3000", port(service.address)),
        ],
    );
    let proxy = Proxy::start(&text).await;
    assert_eq!(proxy.get("/").await.text(), "service");
}

#[tokio::test]
async fn mutual_tls() {
    let pki = Pki::new();
    let server = pki.issue("server", &["shop.example", "service.internal", "spiffe://shop/proxy"]);
    let client = pki.issue("client", &["spiffe://shop/client"]);
    let tls = pki.server(&server, ClientAuth::Required, &["http/1.1"]);
    let service = Upstream::echo_tls("service", tls).await;
    let text = adapt(
        include_str!("../../config/examples/envoy/mutual-tls.yaml"),
        &[
            (
                "address: service.internal, port_value: 8443",
                format!("address: localhost, {}", port(service.address)),
            ),
            ("port_value: 8443", "port_value: 0".to_owned()),
            ("type: STRICT_DNS", "type: STRICT_DNS\n    dns_lookup_family: V4_ONLY".to_owned()),
            ("certs/server.pem", server.certificate.display().to_string()),
            ("certs/server.key", server.key.display().to_string()),
            ("certs/ca.pem", pki.ca().display().to_string()),
        ],
    );
    let proxy = Proxy::start(&text).await;
    let tls = pki.client(Some(&client), &["h2"]);
    let mut connection = Client::tls(proxy.address().await, "shop.example", tls).await.unwrap();
    assert_eq!(connection.get("/").await.text(), "service");
    let seen = service.only();
    let xfcc = seen.header("x-forwarded-client-cert").unwrap();
    assert!(xfcc.contains("URI=spiffe://shop/client"), "{xfcc}");
}

#[tokio::test]
async fn ads() {
    let service = Upstream::echo("service").await;
    let plane = ControlPlane::start().await;
    plane.put([
        control_plane::cluster(&config::cluster("service", &[service.address])),
        control_plane::listener(&Http::to("service").yaml()),
    ]);
    let text = adapt(
        include_str!("../../config/examples/envoy/ads.yaml"),
        &[("port_value: 18000", port(plane.address))],
    );
    let proxy = Proxy::start(&text).await;
    assert_eq!(proxy.get("/").await.text(), "service");
}

#[tokio::test]
async fn short_dev() {
    let (api, web, shop) =
        (Upstream::echo("api").await, Upstream::echo("web").await, Upstream::echo("shop").await);
    let text = adapt(
        include_str!("../../config/examples/short/dev.yaml"),
        &[
            ("listen: 127.0.0.1:8080", "listen: 127.0.0.1:0".to_owned()),
            ("localhost:3000", api.address.to_string()),
            ("localhost:5173", web.address.to_string()),
            ("localhost:5174", shop.address.to_string()),
        ],
    );
    let proxy = Proxy::start(&text).await;
    let (_, address) = proxy.listeners().await.remove(0);
    assert_eq!(client::get(address, "/").await.text(), "web");
    assert_eq!(client::get(address, "/api/x").await.text(), "api");
    assert_eq!(api.only().path(), "/x");
    assert_eq!(client::get_host(address, "shop.localhost", "/").await.text(), "shop");
}
