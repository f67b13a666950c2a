//! An agent behind a Unix socket, as SPIRE's and Istio's: a stream for each secret.

use std::path::PathBuf;

use palanquin_tests::certs::ClientAuth;
use palanquin_tests::certs::Identity;
use palanquin_tests::certs::Pki;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster_with;
use palanquin_tests::config::transport_socket;
use palanquin_tests::control_plane::ControlPlane;
use palanquin_tests::control_plane::Kind;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::upstream::Upstream;

use super::DELTA;
use super::HOST;
use super::SOTW;
use super::agent_cluster;
use super::bootstrap;
use super::certificate;
use super::connected;
use super::listener;
use super::named;
use super::shows;
use super::stream;
use super::trust;

/// Where an agent listens.
struct Place {
    socket: PathBuf,
    _directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { socket: directory.path().join("agent.sock"), _directory: directory }
    }
}

/// A proxy with a certificate of the agent's on its listener, and another towards `blue`.
fn mesh(place: &Place, blue: &Upstream, api: &str) -> String {
    let source = stream("agent", api, "initial_fetch_timeout: 0s,");
    let context = format!(
        "sni: blue.example\ncommon_tls_context:\n  tls_certificate_sds_secret_configs: [{{ name: default, sds_config: {source} }}]\n  combined_validation_context:\n    default_validation_context: {{ match_typed_subject_alt_names: [{{ san_type: URI, matcher: {{ exact: 'spiffe://mesh/blue' }} }}] }}\n    validation_context_sds_secret_config: {{ name: ROOTCA, sds_config: {source} }}"
    );
    let socket = transport_socket("UpstreamTlsContext", &context);
    let clusters = [agent_cluster(&place.socket), cluster_with("blue", &[blue.address], &socket)];
    bootstrap(&[Http::to("blue").tls(&named("default", &source))], &clusters)
}

async fn upstream(pki: &Pki) -> Upstream {
    let theirs = pki.issue("blue", &["spiffe://mesh/blue"]);
    Upstream::echo_tls("blue", pki.server(&theirs, ClientAuth::Required, &["http/1.1"])).await
}

fn workload(pki: &Pki, name: &str) -> Identity {
    pki.issue(name, &[HOST, "spiffe://mesh/proxy"])
}

#[tokio::test]
async fn an_agent_gives_certificate_and_trust_on_a_stream_each() {
    both(SOTW).await;
}

#[tokio::test]
async fn an_agent_that_speaks_delta_does_as_well() {
    both(DELTA).await;
}

async fn both(api: &str) {
    let (pki, place) = (Pki::new(), Place::new());
    let (blue, me) = (upstream(&pki).await, workload(&pki, "me"));
    let agent = ControlPlane::start_at(
        &place.socket,
        vec![certificate("default", &me), trust("ROOTCA", &pki)],
    );
    let proxy = Proxy::start(&mesh(&place, &blue, api)).await;
    assert_eq!(connected(&proxy, &pki).await.get("/").await.text(), "blue");
    let said = agent.said();
    let asked = |name: &str| said.iter().find(|said| said.names == [name]).unwrap().clone();
    let (first, second) = (asked("default"), asked("ROOTCA"));
    assert_ne!(first.stream, second.stream, "one stream for each");
    assert_eq!(first.node.unwrap().id, "me");
    assert!(said.iter().all(|said| said.kind == Some(Kind::Secret)));
}

#[tokio::test]
async fn an_agent_that_dies_and_comes_back_is_asked_again_and_nothing_breaks_meanwhile() {
    let (pki, place) = (Pki::new(), Place::new());
    let (blue, me) = (upstream(&pki).await, workload(&pki, "me"));
    let agent = ControlPlane::start_at(
        &place.socket,
        vec![certificate("default", &me), trust("ROOTCA", &pki)],
    );
    let proxy = Proxy::start(&mesh(&place, &blue, SOTW)).await;
    let mut kept = connected(&proxy, &pki).await;
    assert_eq!(kept.get("/").await.text(), "blue");

    drop(agent);
    assert_eq!(kept.get("/").await.text(), "blue");
    assert_eq!(connected(&proxy, &pki).await.get("/").await.text(), "blue");

    let renewed = workload(&pki, "renewed");
    let agent = ControlPlane::start_at(
        &place.socket,
        vec![certificate("default", &renewed), trust("ROOTCA", &pki)],
    );
    shows(proxy.address().await, &pki, &renewed).await;
    agent.acked(Kind::Secret).await;
    assert_eq!(kept.get("/").await.text(), "blue");
    assert_eq!(proxy.stat("listener_manager.listener_create_success").await, 1);
    assert!(proxy.stat("sds.default.update_failure").await > 0);
}

#[tokio::test]
async fn an_agent_that_comes_late_is_waited_for() {
    let (pki, place) = (Pki::new(), Place::new());
    let me = workload(&pki, "me");
    let source = stream("agent", SOTW, "initial_fetch_timeout: 0s,");
    let text = bootstrap(&[listener(&named("default", &source))], &[agent_cluster(&place.socket)]);
    let proxy = Proxy::launch(&text).await;
    proxy.stat_is("listener_manager.total_listeners_warming", 1).await;
    let _agent = ControlPlane::start_at(&place.socket, vec![certificate("default", &me)]);
    shows(proxy.address().await, &pki, &me).await;
}
