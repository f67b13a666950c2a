//! Secrets that cannot be used are refused by name and reason, and the last good one serves.

use std::sync::Arc;

use palanquin_tests::certs::ClientAuth;
use palanquin_tests::certs::Pki;
use palanquin_tests::config;
use palanquin_tests::config::Http;
use palanquin_tests::control_plane;
use palanquin_tests::control_plane::ControlPlane;
use palanquin_tests::control_plane::Kind;
use palanquin_tests::control_plane::Resource;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::upstream::Upstream;

use super::DELTA;
use super::HOST;
use super::SOTW;
use super::certificate;
use super::certificate_text;
use super::listener;
use super::named;
use super::read;
use super::shown;
use super::shows;
use super::trust;
use super::trust_text;

const ADS: &str = "{ ads: {}, resource_api_version: V3 }";

#[tokio::test]
async fn delta_refuses_bad_certificates_and_the_good_one_serves() {
    bad_certificates(DELTA).await;
}

#[tokio::test]
async fn sotw_refuses_bad_certificates_and_the_good_one_serves() {
    bad_certificates(SOTW).await;
}

async fn bad_certificates(api: &str) {
    let (pki, plane) = (Pki::new(), ControlPlane::start().await);
    let (good, other) = (pki.issue("good", &[HOST]), pki.issue("other", &[HOST]));
    plane.put([control_plane::listener(&listener(&named("web", ADS)).yaml())]);
    plane.put([certificate("web", &good)]);
    let proxy = Proxy::launch(&config::dynamic(plane.address, api)).await;
    shows(proxy.address().await, &pki, &good).await;

    let (chain, key) = (read(&good.certificate), read(&good.key));
    let text = |chain: &str, key: &str| control_plane::secret(&certificate_text("web", chain, key));
    let cases: [(Resource, &str); 6] = [
        (text(&chain, &read(&other.key)), "the private key does not belong to the certificate"),
        (text("garbage", &key), "certificate_chain"),
        (text(&chain, "garbage"), "private_key"),
        (text("", &key), "certificate_chain"),
        (trust("web", &pki), "it is a validation_context, and a tls_certificate is wanted"),
        (Resource::raw(Kind::Secret, "web", b"\x0a\x03web\x12\xff\xff".to_vec()), "resource"),
    ];
    for (bad, reason) in cases {
        plane.put([bad]);
        let error = plane.nacked(Kind::Secret).await;
        assert!(error.contains(reason), "{reason}: {error}");
        assert!(reason == "resource" || error.contains("web"), "the name: {error}");
        assert!(!error.contains(key.lines().nth(1).unwrap()), "a byte of the key");
        shows(proxy.address().await, &pki, &good).await;
    }
    plane.put([certificate("web", &other)]);
    plane.acked(Kind::Secret).await;
    shows(proxy.address().await, &pki, &other).await;
}

#[tokio::test]
async fn trust_that_trusts_nobody_is_refused_and_never_means_everybody() {
    let (pki, stranger, plane) = (Pki::new(), Pki::new(), ControlPlane::start().await);
    let me = pki.issue("me", &[HOST]);
    let context = format!(
        "require_client_certificate: true\ncommon_tls_context: {{ tls_certificate_sds_secret_configs: [{{ name: web, sds_config: {ADS} }}], validation_context_sds_secret_config: {{ name: ROOTCA, sds_config: {ADS} }} }}"
    );
    plane.put([control_plane::listener(&listener(&context).yaml())]);
    plane.put([certificate("web", &me)]);
    let empty = control_plane::secret("name: ROOTCA\nvalidation_context: {}");
    plane.put([empty.clone()]);
    let proxy = Proxy::launch(&config::dynamic(plane.address, DELTA)).await;
    let error = plane.nacked(Kind::Secret).await;
    assert!(error.contains("ROOTCA") && error.contains("would not be verified"), "{error}");
    // The answer ends the waiting: the listener is there, and lets nobody in.
    let address = proxy.address().await;
    let client = pki.issue("client", &["client.example"]);
    assert_eq!(shown(address, pki.client(Some(&client), &[])).await, None);

    plane.put([trust("ROOTCA", &pki)]);
    plane.acked(Kind::Secret).await;
    let get = async |pki: &Pki, tls| {
        let _ = pki;
        let mut client =
            palanquin_tests::client::Client::tls(address, HOST, tls).await.map_err(drop)?;
        let request = palanquin_tests::client::get_request("/");
        client.try_send(request).await.map(|answer| answer.status()).map_err(drop)
    };
    assert_eq!(get(&pki, pki.client(Some(&client), &[])).await, Ok(200));

    for bad in [empty, control_plane::secret(&trust_text("ROOTCA", ""))] {
        plane.put([bad]);
        plane.nacked(Kind::Secret).await;
        assert_eq!(get(&pki, pki.client(Some(&client), &[])).await, Ok(200));
        let foreign = stranger.issue("foreign", &["client.example"]);
        let mut tls = (*pki.client(None, &[])).clone();
        tls.client_auth_cert_resolver =
            Arc::clone(&stranger.client(Some(&foreign), &[]).client_auth_cert_resolver);
        assert!(get(&pki, Arc::new(tls)).await.is_err(), "a stranger");
    }
}

#[tokio::test]
async fn an_upstream_is_checked_by_the_trust_of_now() {
    let (pki, other, plane) = (Pki::new(), Pki::new(), ControlPlane::start().await);
    let theirs = pki.issue("blue", &["blue.example"]);
    let server = pki.server(&theirs, ClientAuth::None, &["http/1.1"]);
    let blue = Upstream::echo_tls("blue", server).await;
    let context = format!(
        "sni: blue.example\ncommon_tls_context: {{ validation_context_sds_secret_config: {{ name: ROOTCA, sds_config: {ADS} }} }}"
    );
    let socket = config::transport_socket("UpstreamTlsContext", &context);
    let cluster = config::cluster_with("blue", &[blue.address], &socket);
    plane
        .put([control_plane::cluster(&cluster), control_plane::listener(&Http::to("blue").yaml())]);
    plane.put([trust("ROOTCA", &pki)]);
    let proxy = Proxy::launch(&config::dynamic(plane.address, DELTA)).await;
    assert_eq!(proxy.get("/").await.text(), "blue");

    plane.put([trust("ROOTCA", &other)]);
    plane.acked(Kind::Secret).await;
    // The connection that was made goes on; a new worker's or a later one's would be checked anew.
    proxy.stat_is("cluster.blue.client_ssl_socket_factory.ssl_context_update_by_sds", 2).await;
    assert_eq!(proxy.stat("cluster.blue.upstream_cx_destroy").await, 0, "the pool is kept");
}
