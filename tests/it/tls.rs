//! Mutual TLS on both sides.

use http::Request;
use palanquin_tests::certs::ClientAuth;
use palanquin_tests::certs::Identity;
use palanquin_tests::certs::Pki;
use palanquin_tests::client::Client;
use palanquin_tests::client::get_request;
use palanquin_tests::config::Http;
use palanquin_tests::config::bootstrap_of;
use palanquin_tests::config::cluster;
use palanquin_tests::config::cluster_with;
use palanquin_tests::config::transport_socket;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::upstream::Upstream;
use palanquin_tests::upstream::full;

/// The fields of a context with this certificate.
fn certificate(identity: &Identity) -> String {
    format!(
        "tls_certificates: [{{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }} }}]",
        identity.certificate.display(),
        identity.key.display(),
    )
}

/// A context that shows `identity` and asks for a certificate of the authority; `more` is about names.
fn mutual(pki: &Pki, identity: &Identity, more: &str) -> String {
    format!(
        "common_tls_context:\n  {}\n  alpn_protocols: [h2, http/1.1]\n  validation_context:\n    trusted_ca: {{ filename: {} }}\n{more}",
        certificate(identity),
        pki.ca().display(),
    )
}

fn downstream(pki: &Pki, identity: &Identity, more: &str) -> String {
    format!("require_client_certificate: true\n{}", mutual(pki, identity, more))
}

#[tokio::test]
async fn a_client_with_a_certificate_is_served_and_named_to_the_upstream() {
    let pki = Pki::new();
    let blue = Upstream::echo("blue").await;
    let server = pki.issue("server", &["shop.example", "spiffe://mesh/ns/shop/sa/proxy"]);
    let client = pki.issue("client", &["spiffe://mesh/ns/web/sa/front"]);
    let listener = Http::to("blue").tls(&downstream(&pki, &server, "")).manager(
        "forward_client_cert_details: SANITIZE_SET\nset_current_client_cert_details: { uri: true, subject: true }",
    );
    let proxy = Proxy::http(listener, &[cluster("blue", &[blue.address])]).await;
    let tls = pki.client(Some(&client), &["http/1.1"]);
    let mut connection = Client::tls(proxy.address().await, "shop.example", tls).await.unwrap();
    let forged = Request::get("/").header("x-forwarded-client-cert", "URI=spiffe://mesh/forged");
    let answer = connection.send(forged.body(full("")).unwrap()).await;
    assert_eq!(answer.status(), 200);
    let seen = blue.only();
    let xfcc = seen.header("x-forwarded-client-cert").unwrap();
    assert!(xfcc.starts_with("By=spiffe://mesh/ns/shop/sa/proxy;Hash="), "{xfcc}");
    assert!(xfcc.ends_with(";Subject=\"CN=client\";URI=spiffe://mesh/ns/web/sa/front"), "{xfcc}");
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let pki = Pki::new();
    let server = pki.issue("server", &["shop.example"]);
    let blue = Upstream::echo("blue").await;
    let listener =
        Http::to("blue").tls(&downstream(&pki, &server, "")).listener("stat_prefix: secure");
    let proxy = Proxy::http(listener, &[cluster("blue", &[blue.address])]).await;
    let tls = pki.client(None, &["http/1.1"]);
    // With TLS 1.3 the client has finished its handshake before the server has seen its certificate.
    let answer = match Client::tls(proxy.address().await, "shop.example", tls).await {
        Ok(mut connection) => connection.try_send(get_request("/")).await.map_err(drop),
        Err(_) => Err(()),
    };
    assert!(answer.is_err());
    assert!(blue.seen().is_empty());
    proxy.stat_is("listener.secure.ssl.fail_verify_no_cert", 1).await;
}

#[tokio::test]
async fn a_client_of_another_authority_or_with_another_name_is_refused() {
    let (pki, other) = (Pki::new(), Pki::new());
    let server = pki.issue("server", &["shop.example"]);
    let names = "    match_typed_subject_alt_names: [{ san_type: URI, matcher: { prefix: 'spiffe://mesh/' } }]\n";
    let blue = Upstream::echo("blue").await;
    let listener = Http::to("blue").tls(&downstream(&pki, &server, names));
    let proxy = Proxy::http(listener, &[cluster("blue", &[blue.address])]).await;
    let address = proxy.address().await;
    let try_as = async |identity: &Identity| {
        let tls = pki.client(Some(identity), &["http/1.1"]);
        let mut connection = Client::tls(address, "shop.example", tls).await.ok()?;
        connection.try_send(get_request("/")).await.ok()
    };
    assert!(try_as(&pki.issue("good", &["spiffe://mesh/a"])).await.is_some());
    assert!(try_as(&pki.issue("wrong", &["spiffe://other/a"])).await.is_none());
    assert!(try_as(&other.issue("foreign", &["spiffe://mesh/a"])).await.is_none());
    assert_eq!(blue.seen().len(), 1);
}

#[tokio::test]
async fn alpn_chooses_between_http2_and_http1() {
    let pki = Pki::new();
    let server = pki.issue("server", &["shop.example"]);
    let client = pki.issue("client", &["spiffe://mesh/a"]);
    let listener = Http::routes("- { match: { prefix: / }, direct_response: { status: 200 } }")
        .tls(&downstream(&pki, &server, ""));
    let proxy = Proxy::http(listener, &[]).await;
    let address = proxy.address().await;
    for (alpn, version) in [
        (&["h2", "http/1.1"][..], http::Version::HTTP_2),
        (&["http/1.1"], http::Version::HTTP_11),
        (&[], http::Version::HTTP_11),
    ] {
        let tls = pki.client(Some(&client), alpn);
        let mut connection = Client::tls(address, "shop.example", tls).await.unwrap();
        assert_eq!(connection.get("/").await.head.version, version, "{alpn:?}");
    }
}

#[tokio::test]
async fn the_server_name_chooses_the_filter_chain() {
    let pki = Pki::new();
    let chain = |name: &str| {
        let identity = pki.issue(name, &[&format!("{name}.example")]);
        let answer = format!(
            "- {{ match: {{ prefix: / }}, direct_response: {{ status: 200, body: {{ inline_string: {name} }} }} }}"
        );
        Http::routes(&answer)
            .only_for(&format!("{{ server_names: [{name}.example] }}"))
            .tls(&format!("common_tls_context:\n  {}", certificate(&identity)))
    };
    let inspector = "listener_filters: [{ name: envoy.filters.listener.tls_inspector, typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector } }]";
    let listener = chain("one").listener(inspector).yaml_with(&[chain("two")]);
    let proxy = Proxy::start(&bootstrap_of(&[listener], &[])).await;
    let address = proxy.address().await;
    let tls = pki.client(None, &[]);
    for name in ["one", "two"] {
        let host = format!("{name}.example");
        let mut connection = Client::tls(address, &host, tls.clone()).await.unwrap();
        assert_eq!(connection.get("/").await.text(), name);
    }
    assert!(Client::tls(address, "three.example", tls).await.is_err());
}

/// A cluster that talks TLS to `blue` and expects this name in its certificate.
fn cluster_tls(pki: &Pki, identity: &Identity, upstream: &Upstream, expected: &str) -> String {
    let names = format!(
        "    match_typed_subject_alt_names: [{{ san_type: URI, matcher: {{ exact: '{expected}' }} }}]\n"
    );
    let context = format!("sni: blue.example\n{}", mutual(pki, identity, &names));
    let socket = transport_socket("UpstreamTlsContext", &context);
    cluster_with("blue", &[upstream.address], &socket)
}

#[tokio::test]
async fn the_proxy_shows_its_certificate_to_the_upstream_and_checks_the_upstreams() {
    let pki = Pki::new();
    let me = pki.issue("proxy", &["spiffe://mesh/proxy"]);
    let theirs = pki.issue("blue", &["spiffe://mesh/blue"]);
    let tls = pki.server(&theirs, ClientAuth::Required, &["http/1.1"]);
    let blue = Upstream::echo_tls("blue", tls).await;
    let clusters = [cluster_tls(&pki, &me, &blue, "spiffe://mesh/blue")];
    let proxy = Proxy::http(Http::to("blue"), &clusters).await;
    assert_eq!(proxy.get("/").await.text(), "blue");
    proxy.stat_is("cluster.blue.ssl.handshake", 1).await;
}

#[tokio::test]
async fn an_upstream_with_another_name_gets_no_request() {
    let pki = Pki::new();
    let me = pki.issue("proxy", &["spiffe://mesh/proxy"]);
    let theirs = pki.issue("blue", &["spiffe://mesh/blue"]);
    let tls = pki.server(&theirs, ClientAuth::Required, &["http/1.1"]);
    let blue = Upstream::echo_tls("blue", tls).await;
    let clusters = [cluster_tls(&pki, &me, &blue, "spiffe://mesh/green")];
    let proxy = Proxy::http(Http::to("blue"), &clusters).await;
    let answer = proxy.get("/").await;
    assert_eq!(answer.status(), 503);
    assert!(blue.seen().is_empty());
    proxy.stat_is("cluster.blue.ssl.fail_verify_san", 1).await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_stops_the_start() {
    let listener = Http::routes("- { match: { prefix: / }, direct_response: { status: 200 } }").tls(
        "common_tls_context:\n  tls_certificates: [{ certificate_chain: { filename: /nonexistent.pem }, private_key: { filename: /nonexistent.key } }]",
    );
    let text = palanquin_tests::config::bootstrap(&[listener], &[]);
    let error = Proxy::try_launch(&text, palanquin_tests::proxy::Settings::default()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("/nonexistent.pem"), "{error}");
    assert!(error.contains("tls_certificates[0]"), "{error}");
}
