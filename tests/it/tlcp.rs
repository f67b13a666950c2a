//! TLCP through the whole proxy, beside RFC 8998 and standard TLS.

use std::fmt::Write as _;

use http::Request;
use palanquin_pki::Algorithm;
use palanquin_pki::Authority;
use palanquin_pki::Leaf;
use palanquin_tests::certs::Pki;
use palanquin_tests::client::Client;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::config::cluster_with;
use palanquin_tests::config::transport_socket;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::sm::SmPki;
use palanquin_tests::tlcp;
use palanquin_tests::tlcp::TlcpIdentity;
use palanquin_tests::tlcp::TlcpUpstream;
use palanquin_tests::upstream::Upstream;
use palanquin_tests::upstream::full;
use palanquin_tlcp::Alert;
use palanquin_tlcp::CipherSuite;

const OK: &str = "- { match: { prefix: / }, direct_response: { status: 200 } }";
const INSPECTOR: &str = "listener_filters: [{ name: tls, typed_config: { '@type': type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector } }]";
const ECC_GCM: &[CipherSuite] = &[CipherSuite::EccGcm];

fn server(sm: &SmPki, name: &str) -> TlcpIdentity {
    sm.pair(name, &Leaf::server(name).dns(name))
}

fn cart(sm: &SmPki) -> TlcpIdentity {
    sm.pair("cart", &Leaf::client("cart").uri("spiffe://mesh/ns/shop/sa/cart"))
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

#[tokio::test]
async fn a_client_of_every_suite_is_served_logged_and_named_to_the_upstream() {
    let sm = SmPki::new();
    let blue = Upstream::echo("blue").await;
    let (server, client) = (server(&sm, "shop.example"), cart(&sm));
    let context = context(&[server.entries()], &validation(&sm));
    let tls = format!("require_client_certificate: true\n{context}");
    let headers = [
        ("x-version", "DOWNSTREAM_TLS_VERSION"),
        ("x-cipher", "DOWNSTREAM_TLS_CIPHER"),
        ("x-subject", "DOWNSTREAM_PEER_SUBJECT"),
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
    let address = proxy.address().await;
    for suite in CipherSuite::ALL {
        let config = tlcp::client(Some(&client), &[suite]);
        for resumed in [false, true] {
            let (mut connection, established) =
                tlcp::connect(address, "shop.example", &config).await.unwrap();
            assert_eq!(established.resumed, resumed);
            let forged = Request::get("/").header("x-forwarded-client-cert", "URI=spiffe://mesh/x");
            let answer = connection.send(forged.body(full("")).unwrap()).await;
            assert_eq!(answer.status(), 200);
            let all = blue.seen();
            let seen = all.last().unwrap();
            let xfcc = seen.header("x-forwarded-client-cert").unwrap();
            let end = ";Subject=\"CN=cart\";URI=spiffe://mesh/ns/shop/sa/cart";
            assert!(xfcc.ends_with(end), "{xfcc}");
            assert_eq!(seen.header("x-version"), Some("TLCPv1.1"));
            assert_eq!(seen.header("x-cipher"), Some(suite.name()));
            assert_eq!(seen.header("x-subject"), Some("CN=cart"));
            assert_eq!(seen.header("x-uri"), Some("spiffe://mesh/ns/shop/sa/cart"));
            assert_eq!(seen.header("x-sni"), Some("shop.example"));
        }
        proxy.stat_is(&format!("listener.sm.ssl.ciphers.{suite}"), 2).await;
    }
    proxy.stat_is("listener.sm.ssl.handshake", 8).await;
    proxy.stat_is("listener.sm.ssl.versions.TLCPv1.1", 8).await;
    proxy.stat_is("listener.sm.ssl.session_reused", 4).await;
    proxy.stat_is("listener.sm.ssl.sigalgs.sm2sig_sm3", 4).await;
    proxy.stat_is("listener.sm.ssl.curves.curveSM2", 2).await;
    let without = tlcp::client(None, ECC_GCM);
    let error = tlcp::connect(address, "shop.example", &without).await.unwrap_err();
    assert_eq!(tlcp::alert(&error), Some(Alert::HANDSHAKE_FAILURE), "{error:?}");
    proxy.stat_is("listener.sm.ssl.fail_verify_no_cert", 1).await;
    let stranger = Authority::root(Algorithm::Sm2, "stranger").unwrap();
    let pair = stranger.issue_pair(&Leaf::client("cart")).unwrap();
    let mut unknown = tlcp::client(None, ECC_GCM);
    unknown.certificate = Some(tlcp::dual(&pair));
    let error = tlcp::connect(address, "shop.example", &unknown).await.unwrap_err();
    assert_eq!(tlcp::alert(&error), Some(Alert::UNKNOWN_CA), "{error:?}");
    proxy.stat_is("listener.sm.ssl.fail_verify_error", 1).await;
}

#[tokio::test]
async fn one_port_serves_tlcp_rfc_8998_and_standard_tls() {
    let (sm, pki) = (SmPki::new(), Pki::new());
    let standard = pki.issue("standard", &["shop.example"]);
    let standard = format!(
        "{{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }} }}",
        standard.certificate.display(),
        standard.key.display()
    );
    let certificates = [standard, server(&sm, "shop.example").entries()];
    for inspector in ["", INSPECTOR] {
        let listener = Http::routes(OK)
            .tls(&context(&certificates, ""))
            .listener("stat_prefix: dual")
            .listener(inspector);
        let proxy = Proxy::http(listener, &[]).await;
        let address = proxy.address().await;
        let config = tlcp::client(None, ECC_GCM);
        let (mut connection, _) = tlcp::connect(address, "shop.example", &config).await.unwrap();
        assert_eq!(connection.get("/").await.status(), 200);
        let config = sm.client_config(None, &["http/1.1"]);
        let mut connection = Client::tls(address, "shop.example", config).await.unwrap();
        assert_eq!(connection.get("/").await.status(), 200);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let config = pki.client_of(&[version], &["http/1.1"]);
            let mut connection = Client::tls(address, "shop.example", config).await.unwrap();
            assert_eq!(connection.get("/").await.status(), 200);
        }
        for (version, count) in [("TLCPv1.1", 1), ("TLSv1.2", 1), ("TLSv1.3", 2)] {
            proxy.stat_is(&format!("listener.dual.ssl.versions.{version}"), count).await;
        }
    }
}

#[tokio::test]
async fn http2_is_agreed_on_under_tlcp() {
    let sm = SmPki::new();
    let listener = Http::routes(OK).tls(&context(&[server(&sm, "shop.example").entries()], ""));
    let proxy = Proxy::http(listener, &[]).await;
    let mut config = tlcp::client(None, ECC_GCM);
    config.protocols = vec![b"h2".to_vec()];
    let address = proxy.address().await;
    let (mut connection, _) = tlcp::connect(address, "shop.example", &config).await.unwrap();
    assert_eq!(connection.get("/").await.head.version, http::Version::HTTP_2);
}

/// A chain for TLCP beside one for TLS, on one port, both for the same name.
#[tokio::test]
async fn filter_chains_match_tlcp_by_its_transport_protocol() {
    let (sm, pki) = (SmPki::new(), Pki::new());
    let standard = pki.issue("standard", &["shop.example"]);
    let standard = format!(
        "{{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }} }}",
        standard.certificate.display(),
        standard.key.display()
    );
    let route = |status: u16| {
        Http::routes(&format!(
            "- {{ match: {{ prefix: / }}, direct_response: {{ status: {status} }} }}"
        ))
    };
    let tlcp = route(201)
        .tls(&context(&[server(&sm, "shop.example").entries()], ""))
        .only_for("{ transport_protocol: tlcp, server_names: [shop.example] }");
    let tls = route(202)
        .tls(&context(&[standard], ""))
        .only_for("{ transport_protocol: tls, server_names: [shop.example] }");
    let listener = tlcp.listener(INSPECTOR).listener("stat_prefix: chains");
    let text = palanquin_tests::config::bootstrap_of(&[listener.yaml_with(&[tls])], &[]);
    let proxy = Proxy::start(&text).await;
    let address = proxy.address().await;
    let config = tlcp::client(None, ECC_GCM);
    let (mut connection, _) = tlcp::connect(address, "shop.example", &config).await.unwrap();
    assert_eq!(connection.get("/").await.status(), 201);
    assert!(tlcp::connect(address, "other.example", &config).await.is_err());
    proxy.stat_is("listener.chains.no_filter_chain_match", 1).await;
    let config = pki.client_of(&[&rustls::version::TLS13], &["http/1.1"]);
    let mut connection = Client::tls(address, "shop.example", config).await.unwrap();
    assert_eq!(connection.get("/").await.status(), 202);
}

#[tokio::test]
async fn a_listener_without_a_pair_refuses_tlcp_with_an_alert() {
    let pki = Pki::new();
    let standard = pki.issue("standard", &["shop.example"]);
    let entry = format!(
        "{{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }} }}",
        standard.certificate.display(),
        standard.key.display()
    );
    let listener = Http::routes(OK).tls(&context(&[entry], "")).listener("stat_prefix: none");
    let proxy = Proxy::http(listener, &[]).await;
    let config = tlcp::client(None, ECC_GCM);
    let error = tlcp::connect(proxy.address().await, "shop.example", &config).await.unwrap_err();
    assert_eq!(tlcp::alert(&error), Some(Alert::PROTOCOL_VERSION), "{error:?}");
    proxy.stat_is("listener.none.ssl.connection_error", 1).await;
}

#[tokio::test]
async fn the_suites_of_the_configuration_are_followed() {
    let sm = SmPki::new();
    let params = "tls_params: { cipher_suites: [ECC_SM4_CBC_SM3] }";
    let listener = Http::routes(OK).tls(&context(&[server(&sm, "shop.example").entries()], params));
    let proxy = Proxy::http(listener, &[]).await;
    let address = proxy.address().await;
    let config = tlcp::client(None, &[CipherSuite::EccGcm, CipherSuite::EccCbc]);
    let (_, established) = tlcp::connect(address, "shop.example", &config).await.unwrap();
    assert_eq!(established.suite, CipherSuite::EccCbc);
    let config = tlcp::client(None, ECC_GCM);
    let error = tlcp::connect(address, "shop.example", &config).await.unwrap_err();
    assert_eq!(tlcp::alert(&error), Some(Alert::HANDSHAKE_FAILURE), "{error:?}");
}

#[tokio::test]
async fn an_upstream_is_spoken_to_by_tlcp_with_both_sides_known() {
    let sm = SmPki::new();
    let me = sm.pair("proxy", &Leaf::client("proxy").uri("spiffe://mesh/proxy"));
    let blue = server(&sm, "blue.example");
    for suite in CipherSuite::ALL {
        let upstream = TlcpUpstream::start(&blue, &CipherSuite::ALL, true).await;
        let cluster_of = |name: &str| {
            let validation = format!(
                "validation_context: {{ trusted_ca: {{ filename: {} }}, match_typed_subject_alt_names: [{{ san_type: DNS, matcher: {{ exact: {name} }} }}] }}",
                sm.ca().display()
            );
            let more = format!("tls_params: {{ cipher_suites: [{suite}] }}\n{validation}");
            let entries = me.entries();
            let context = format!(
                "sni: blue.example\ncommon_tls_context:\n  tls_certificates: [{entries}]\n  {}",
                more.replace('\n', "\n  ")
            );
            cluster_with(
                "blue",
                &[upstream.address],
                &transport_socket("UpstreamTlsContext", &context),
            )
        };
        let proxy = Proxy::http(Http::to("blue"), &[cluster_of("blue.example")]).await;
        assert_eq!(proxy.get("/").await.text(), format!("{suite} blue.example 2"));
        proxy.stat_is(&format!("cluster.blue.ssl.ciphers.{suite}"), 1).await;
        proxy.stat_is("cluster.blue.ssl.versions.TLCPv1.1", 1).await;
        let proxy = Proxy::http(Http::to("blue"), &[cluster_of("green.example")]).await;
        assert_eq!(proxy.get("/").await.status(), 503);
        proxy.stat_is("cluster.blue.ssl.fail_verify_san", 1).await;
    }
}

#[tokio::test]
async fn large_bodies_cross_tlcp_in_both_directions() {
    let sm = SmPki::new();
    let blue = server(&sm, "blue.example");
    let body: Vec<u8> = (0..700_000u32).map(|number| (number % 251) as u8).collect();
    for suite in [CipherSuite::EccGcm, CipherSuite::EccCbc] {
        let upstream = TlcpUpstream::start(&blue, &CipherSuite::ALL, false).await;
        let context =
            format!("common_tls_context: {{ tls_params: {{ cipher_suites: [{suite}] }} }}");
        let socket = transport_socket("UpstreamTlsContext", &context);
        let listener = Http::to("blue").tls(&self::context(&[blue.entries()], ""));
        let clusters = [cluster_with("blue", &[upstream.address], &socket)];
        let proxy = Proxy::http(listener, &clusters).await;
        let config = tlcp::client(None, &[suite]);
        let address = proxy.address().await;
        let (mut connection, _) = tlcp::connect(address, "blue.example", &config).await.unwrap();
        let request = Request::post("/").body(full(body.clone())).unwrap();
        assert!(connection.send(request).await.body == body);
    }
}
