//! Secrets on the ADS stream.

use palanquin_tests::certs::Pki;
use palanquin_tests::config;
use palanquin_tests::control_plane;
use palanquin_tests::control_plane::ControlPlane;
use palanquin_tests::control_plane::Kind;
use palanquin_tests::proxy::Proxy;

use super::DELTA;
use super::HOST;
use super::SOTW;
use super::certificate;
use super::connected;
use super::listener;
use super::named;
use super::shows;

const ADS: &str = "{ ads: {}, resource_api_version: V3 }";

#[tokio::test]
async fn delta_brings_a_listener_its_certificate_and_then_another() {
    rotation(DELTA).await;
}

#[tokio::test]
async fn sotw_brings_a_listener_its_certificate_and_then_another() {
    rotation(SOTW).await;
}

async fn rotation(api: &str) {
    let (pki, plane) = (Pki::new(), ControlPlane::start().await);
    let (first, second) = (pki.issue("first", &[HOST]), pki.issue("second", &[HOST]));
    let context = named("kubernetes://web", ADS);
    plane.put([control_plane::listener(&listener(&context).yaml())]);
    let proxy = Proxy::launch(&config::dynamic(plane.address, api)).await;
    plane
        .heard("the secret is asked for", |said| {
            said.kind == Some(Kind::Secret) && said.names == ["kubernetes://web"]
        })
        .await;
    plane.acked(Kind::Listener).await;
    assert!(proxy.listeners().await.is_empty(), "it warms");
    assert_eq!(proxy.stat("listener_manager.total_listeners_warming").await, 1);

    plane.put([certificate("kubernetes://web", &first)]);
    shows(proxy.address().await, &pki, &first).await;
    plane.acked(Kind::Secret).await;
    let mut kept = connected(&proxy, &pki).await;
    assert_eq!(kept.get("/").await.text(), "hello");

    plane.put([certificate("kubernetes://web", &second)]);
    plane.acked(Kind::Secret).await;
    shows(proxy.address().await, &pki, &second).await;
    assert_eq!(kept.get("/").await.text(), "hello", "the connection goes on");
    assert!(kept.is_open());
    assert_eq!(proxy.stat("listener_manager.listener_create_success").await, 1, "not rebuilt");
    assert_eq!(proxy.stat("sds.kubernetes://web.update_success").await, 2);
}

#[tokio::test]
async fn a_secret_that_is_taken_away_stays_in_use() {
    let (pki, plane) = (Pki::new(), ControlPlane::start().await);
    let only = pki.issue("only", &[HOST]);
    plane.put([control_plane::listener(&listener(&named("web", ADS)).yaml())]);
    plane.put([certificate("web", &only)]);
    let proxy = Proxy::launch(&config::dynamic(plane.address, DELTA)).await;
    shows(proxy.address().await, &pki, &only).await;
    plane.remove(Kind::Secret, "web");
    plane.acked(Kind::Secret).await;
    shows(proxy.address().await, &pki, &only).await;
}

#[tokio::test]
async fn a_listener_of_the_control_plane_may_name_a_static_secret() {
    let (pki, plane) = (Pki::new(), ControlPlane::start().await);
    let fixed = pki.issue("fixed", &[HOST]);
    let context = |name| {
        format!(
            "common_tls_context: {{ tls_certificate_sds_secret_configs: [{{ name: {name} }}] }}"
        )
    };
    plane.put([control_plane::listener(&listener(&context("fixed")).yaml())]);
    let secret = format!(
        "  secrets: [{{ name: fixed, tls_certificate: {{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }} }} }}]\n",
        fixed.certificate.display(),
        fixed.key.display(),
    );
    let text = config::dynamic(plane.address, DELTA);
    let text = text.replacen("static_resources:\n", &format!("static_resources:\n{secret}"), 1);
    let proxy = Proxy::launch(&text).await;
    shows(proxy.address().await, &pki, &fixed).await;

    plane.put([control_plane::listener(&listener(&context("missing")).yaml())]);
    let error = plane.nacked(Kind::Listener).await;
    assert!(error.contains("Unknown static secret: \"missing\""), "{error}");
    shows(proxy.address().await, &pki, &fixed).await;
}
