//! RFC 8998 through the whole proxy, beside standard TLS.

use std::fmt::Write as _;
use std::sync::Arc;

use http::Request;
use palanquin_rfc8998 as rfc8998;
use palanquin_tests::certs::Identity;
use palanquin_tests::certs::Pki;
use palanquin_tests::client::Client;
use palanquin_tests::client::get_request;
use palanquin_tests::config::Http;
use palanquin_tests::config::bootstrap;
use palanquin_tests::config::cluster;
use palanquin_tests::config::cluster_with;
use palanquin_tests::config::transport_socket;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::proxy::Settings;
use palanquin_tests::sm::SmPki;
use palanquin_tests::upstream::Upstream;
use palanquin_tests::upstream::full;
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;

const OK: &str = "- { match: { prefix: / }, direct_response: { status: 200 } }";

fn entry(identity: &Identity) -> String {
    format!(
        "{{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }} }}",
        identity.certificate.display(),
        identity.key.display()
    )
}

/// A context with these certificates; `more` is further fields of the common part.
fn context(certificates: &[String], more: &str) -> String {
    let mut text = String::from("common_tls_context:\n  alpn_protocols: [h2, http/1.1]\n");
    writeln!(text, "  tls_certificates: [{}]", certificates.join(", ")).unwrap();
    for line in more.lines() {
        writeln!(text, "  {line}").unwrap();
    }
    text
}

fn validation(sm: &SmPki) -> String {
    format!("validation_context: {{ trusted_ca: {{ filename: {} }} }}", sm.ca().display())
}

/// One suite and one group.
fn only(suite: u16, group: u16) -> Arc<CryptoProvider> {
    let mut crypto = CryptoProvider::clone(rfc8998::provider());
    crypto.cipher_suites.retain(|known| u16::from(known.suite()) == suite);
    crypto.kx_groups.retain(|known| u16::from(known.name()) == group);
    Arc::new(crypto)
}

async fn status(proxy: &Proxy, tls: Arc<ClientConfig>) -> Option<u16> {
    let mut connection = Client::tls(proxy.address().await, "shop.example", tls).await.ok()?;
    Some(connection.try_send(get_request("/")).await.ok()?.status())
}

#[tokio::test]
async fn an_sm_client_is_served_logged_and_named_to_the_upstream() {
    let sm = SmPki::new();
    let blue = Upstream::echo("blue").await;
    let (server, client) =
        (sm.server("shop.example"), sm.client("cart", "spiffe://mesh/ns/shop/sa/cart"));
    let tls = format!(
        "require_client_certificate: true\n{}",
        context(&[server.entry()], &validation(&sm))
    );
    let headers = [
        ("x-version", "DOWNSTREAM_TLS_VERSION"),
        ("x-cipher", "DOWNSTREAM_TLS_CIPHER"),
        ("x-subject", "DOWNSTREAM_PEER_SUBJECT"),
        ("x-issuer", "DOWNSTREAM_PEER_ISSUER"),
        ("x-uri", "DOWNSTREAM_PEER_URI_SAN"),
        ("x-sni", "REQUESTED_SERVER_NAME"),
    ];
    let headers = headers
        .map(|(name, operator)| format!("{{ header: {{ key: {name}, value: '%{operator}%' }} }}"));
    let routes = format!(
        "- {{ match: {{ prefix: / }}, route: {{ cluster: blue }}, request_headers_to_add: [{}] }}",
        headers.join(", ")
    );
    let listener = Http::routes(&routes).tls(&tls).listener("stat_prefix: sm").manager(
        "forward_client_cert_details: SANITIZE_SET\nset_current_client_cert_details: { uri: true, subject: true }",
    );
    let proxy = Proxy::http(listener, &[cluster("blue", &[blue.address])]).await;
    let tls = sm.client_config(Some(&client), &["http/1.1"]);
    let mut connection = Client::tls(proxy.address().await, "shop.example", tls).await.unwrap();
    let forged = Request::get("/").header("x-forwarded-client-cert", "URI=spiffe://mesh/forged");
    let answer = connection.send(forged.body(full("")).unwrap()).await;
    assert_eq!(answer.status(), 200);
    let seen = blue.only();
    let xfcc = seen.header("x-forwarded-client-cert").unwrap();
    assert!(xfcc.ends_with(";Subject=\"CN=cart\";URI=spiffe://mesh/ns/shop/sa/cart"), "{xfcc}");
    assert_eq!(seen.header("x-version"), Some("TLSv1.3"));
    assert_eq!(seen.header("x-cipher"), Some("TLS_SM4_GCM_SM3"));
    assert_eq!(seen.header("x-subject"), Some("CN=cart"));
    assert_eq!(seen.header("x-issuer"), Some("CN=SM test authority"));
    assert_eq!(seen.header("x-uri"), Some("spiffe://mesh/ns/shop/sa/cart"));
    assert_eq!(seen.header("x-sni"), Some("shop.example"));
    for stat in [
        "handshake",
        "versions.TLSv1.3",
        "ciphers.TLS_SM4_GCM_SM3",
        "curves.curveSM2MLKEM768",
        "sigalgs.sm2sig_sm3",
    ] {
        proxy.stat_is(&format!("listener.sm.ssl.{stat}"), 1).await;
    }
    let without = sm.client_config(None, &["http/1.1"]);
    assert_eq!(status(&proxy, without).await, None);
    proxy.stat_is("listener.sm.ssl.fail_verify_no_cert", 1).await;
}

#[tokio::test]
async fn one_port_serves_standard_clients_and_sm_clients_of_every_suite_and_group() {
    let (sm, pki) = (SmPki::new(), Pki::new());
    let certificates =
        [entry(&pki.issue("standard", &["shop.example"])), sm.server("shop.example").entry()];
    let listener = Http::routes(OK).tls(&context(&certificates, "")).listener("stat_prefix: dual");
    let proxy = Proxy::http(listener, &[]).await;
    for suite in [0x00c6, 0x00c7] {
        for group in [41, 0x11ee] {
            let tls = sm.client_config_of(&only(suite, group), None, &["http/1.1"]);
            assert_eq!(status(&proxy, tls).await, Some(200), "{suite:x} {group:x}");
        }
    }
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let tls = pki.client_of(&[version], &["http/1.1"]);
        assert_eq!(status(&proxy, tls).await, Some(200));
    }
    for (stat, count) in [
        ("ciphers.TLS_SM4_GCM_SM3", 2),
        ("ciphers.TLS_SM4_CCM_SM3", 2),
        ("curves.curveSM2", 2),
        ("curves.curveSM2MLKEM768", 2),
        ("versions.TLSv1.2", 1),
        ("versions.TLSv1.3", 5),
    ] {
        proxy.stat_is(&format!("listener.dual.ssl.{stat}"), count).await;
    }
}

#[tokio::test]
async fn http2_is_agreed_on_under_sm() {
    let sm = SmPki::new();
    let listener = Http::routes(OK).tls(&context(&[sm.server("shop.example").entry()], ""));
    let proxy = Proxy::http(listener, &[]).await;
    let tls = sm.client_config(None, &["h2", "http/1.1"]);
    let mut connection = Client::tls(proxy.address().await, "shop.example", tls).await.unwrap();
    assert_eq!(connection.get("/").await.head.version, http::Version::HTTP_2);
}

#[tokio::test]
async fn the_policy_of_a_chain_keeps_standard_clients_out() {
    let (sm, pki) = (SmPki::new(), Pki::new());
    let certificates =
        [entry(&pki.issue("standard", &["shop.example"])), sm.server("shop.example").entry()];
    let listener = Http::routes(OK)
        .tls(&context(&certificates, ""))
        .metadata("{ filter_metadata: { palanquin.sm: { policy: sm_only } } }")
        .listener("stat_prefix: strict");
    let proxy = Proxy::http(listener, &[]).await;
    let error = Client::tls(proxy.address().await, "shop.example", pki.client(None, &[])).await;
    let text = format!("{:?}", error.map(drop).unwrap_err());
    assert!(text.contains("HandshakeFailure"), "{text}");
    assert_eq!(status(&proxy, sm.client_config(None, &["http/1.1"])).await, Some(200));
    proxy.stat_is("listener.strict.ssl.connection_error", 1).await;
}

#[tokio::test]
async fn a_policy_that_does_not_exist_stops_the_start() {
    let sm = SmPki::new();
    let listener = Http::routes(OK)
        .tls(&context(&[sm.server("shop.example").entry()], ""))
        .metadata("{ filter_metadata: { palanquin.sm: { policy: sm_first } } }");
    let text = bootstrap(&[listener], &[]);
    let error = Proxy::try_launch(&text, Settings::default()).await.unwrap_err().to_string();
    assert!(error.contains("palanquin.sm.policy") && error.contains("sm_first"), "{error}");
}

#[tokio::test]
async fn suites_and_curves_of_the_configuration_are_followed() {
    let sm = SmPki::new();
    let params = "tls_params: { cipher_suites: [TLS_SM4_CCM_SM3], ecdh_curves: [curveSM2] }";
    let listener = Http::routes(OK).tls(&context(&[sm.server("shop.example").entry()], params));
    let proxy = Proxy::http(listener, &[]).await;
    let with = |suite, group| sm.client_config_of(&only(suite, group), None, &["http/1.1"]);
    assert_eq!(status(&proxy, with(0x00c7, 41)).await, Some(200));
    assert_eq!(status(&proxy, with(0x00c6, 41)).await, None);
    assert_eq!(status(&proxy, with(0x00c7, 0x11ee)).await, None);
}

#[tokio::test]
async fn an_upstream_is_spoken_to_by_sm_with_both_sides_known() {
    let sm = SmPki::new();
    let blue = Upstream::echo_tls("blue", sm.server_config(&sm.server("blue.example"))).await;
    let me = sm.client("proxy", "spiffe://mesh/proxy");
    let named = "validation_context: { trusted_ca: { filename: CA }, match_typed_subject_alt_names: [{ san_type: DNS, matcher: { exact: NAME } }] }"
        .replace("CA", &sm.ca().display().to_string());
    let upstream = |name: &str, more: &str| {
        let fields = context(&[me.entry()], &format!("{more}{}", named.replace("NAME", name)));
        let context = format!("sni: blue.example\n{fields}");
        let socket = transport_socket("UpstreamTlsContext", &context);
        cluster_with("blue", &[blue.address], &socket)
    };
    let proxy = Proxy::http(Http::to("blue"), &[upstream("blue.example", "")]).await;
    assert_eq!(proxy.get("/").await.text(), "blue");
    proxy.stat_is("cluster.blue.ssl.ciphers.TLS_SM4_GCM_SM3", 1).await;
    let ccm = "tls_params: { cipher_suites: [TLS_SM4_CCM_SM3], ecdh_curves: [curveSM2] }\n";
    let proxy = Proxy::http(Http::to("blue"), &[upstream("blue.example", ccm)]).await;
    assert_eq!(proxy.get("/").await.text(), "blue");
    proxy.stat_is("cluster.blue.ssl.ciphers.TLS_SM4_CCM_SM3", 1).await;
    proxy.stat_is("cluster.blue.ssl.curves.curveSM2", 1).await;

    let seen = blue.seen().len();
    let proxy = Proxy::http(Http::to("blue"), &[upstream("green.example", "")]).await;
    assert_eq!(proxy.get("/").await.status(), 503);
    proxy.stat_is("cluster.blue.ssl.fail_verify_san", 1).await;
    assert_eq!(blue.seen().len(), seen);
}

#[tokio::test]
async fn keys_of_every_form_are_read() {
    let sm = SmPki::new();
    let identity = sm.server("shop.example");
    let key = palanquin_sm::keys::from_pem(identity.issued.key_pem().as_bytes()).unwrap();
    let protection = palanquin_sm::keys::Protection::default();
    let encrypted = palanquin_sm::keys::to_encrypted_pem(&key, b"open sesame", &protection);
    for (name, pem, password) in [
        ("pkcs8", palanquin_sm::keys::to_pkcs8_pem(&key), ""),
        ("sec1", palanquin_sm::keys::to_sec1_pem(&key), ""),
        ("encrypted", encrypted.unwrap(), ", password: { inline_string: open sesame }"),
    ] {
        let path = sm.path(name);
        std::fs::write(&path, pem.as_bytes()).unwrap();
        let certificate = format!(
            "{{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }}{password} }}",
            identity.certificate.display(),
            path.display()
        );
        let listener = Http::routes(OK).tls(&context(&[certificate], ""));
        let proxy = Proxy::http(listener, &[]).await;
        assert_eq!(
            status(&proxy, sm.client_config(None, &["http/1.1"])).await,
            Some(200),
            "{name}"
        );
    }
}
