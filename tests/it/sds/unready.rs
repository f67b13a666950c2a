//! What is asked for and does not come: nothing is served with a part of its secrets.

use palanquin_tests::certs::Pki;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster_with;
use palanquin_tests::config::transport_socket;
use palanquin_tests::control_plane::ControlPlane;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::upstream::Upstream;

use super::HOST;
use super::SOTW;
use super::agent_cluster;
use super::bootstrap;
use super::certificate;
use super::listener;
use super::named;
use super::shown;
use super::shows;
use super::stream;

#[tokio::test]
async fn a_listener_without_its_certificate_serves_after_the_timeout_and_refuses_connections() {
    let pki = Pki::new();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let source = stream("agent", SOTW, "initial_fetch_timeout: 0.1s,");
    let context = listener(&named("late", &source)).listener("stat_prefix: secure");
    let proxy = Proxy::start(&bootstrap(&[context], &[agent_cluster(&socket)])).await;
    let address = proxy.address().await;
    assert_eq!(shown(address, pki.client(None, &[])).await, None);
    let stat = "listener.secure.server_ssl_socket_factory.downstream_context_secrets_not_ready";
    proxy.stat_is(stat, 1).await;
    assert_eq!(proxy.stat("sds.late.init_fetch_timeout").await, 1);
    let dump = proxy.admin_get("/config_dump").await;
    assert!(dump.text().contains("dynamic_warming_secrets"), "{}", dump.text());
    assert!(dump.text().contains("uninitialized"), "{}", dump.text());

    let late = pki.issue("late", &[HOST]);
    let _agent = ControlPlane::start_at(&socket, vec![certificate("late", &late)]);
    shows(address, &pki, &late).await;
}

#[tokio::test]
async fn a_cluster_without_its_trust_answers_503_and_connects_to_nobody() {
    let blue = Upstream::echo("blue").await;
    let directory = tempfile::tempdir().unwrap();
    let source = stream("agent", SOTW, "initial_fetch_timeout: 0.1s,");
    let context = format!(
        "common_tls_context: {{ validation_context_sds_secret_config: {{ name: ROOTCA, sds_config: {source} }} }}"
    );
    let socket = transport_socket("UpstreamTlsContext", &context);
    let clusters = [
        agent_cluster(&directory.path().join("agent.sock")),
        cluster_with("blue", &[blue.address], &socket),
    ];
    let proxy = Proxy::start(&bootstrap(&[Http::to("blue")], &clusters)).await;
    let answer = proxy.get("/").await;
    assert_eq!(answer.status(), 503);
    assert!(answer.text().ends_with("remote connection failure"), "{}", answer.text());
    assert!(blue.seen().is_empty());
    let stat = "cluster.blue.client_ssl_socket_factory.upstream_context_secrets_not_ready";
    assert!(proxy.stat(stat).await > 0);
}
