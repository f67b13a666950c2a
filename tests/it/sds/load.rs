//! A thousand rotations while requests run on old and new connections: none is lost.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use palanquin_tests::certs::ClientAuth;
use palanquin_tests::certs::Pki;
use palanquin_tests::client::Client;
use palanquin_tests::client::get_request;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster_with;
use palanquin_tests::config::transport_socket;
use palanquin_tests::control_plane::ControlPlane;
use palanquin_tests::control_plane::Kind;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::upstream::Upstream;

use super::HOST;
use super::SOTW;
use super::agent_cluster;
use super::bootstrap;
use super::certificate;
use super::named;
use super::stream;
use super::trust;

/// How often the certificate is renewed, and the trust with it.
const ROTATIONS: usize = 1000;
/// Requests on one connection before the next is made.
const REQUESTS: usize = 5;

#[tokio::test]
async fn a_thousand_rotations_lose_no_request() {
    let pki = Pki::new();
    let theirs = pki.issue("blue", &["blue.example"]);
    let tls = pki.server(&theirs, ClientAuth::Required, &["http/1.1"]);
    let blue = Upstream::echo_tls("blue", tls).await;
    let identities = [pki.issue("one", &[HOST]), pki.issue("two", &[HOST])];
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let first = vec![certificate("default", &identities[0]), trust("ROOTCA", &pki)];
    let agent = ControlPlane::start_at(&socket, first);
    let source = stream("agent", SOTW, "");
    let context = format!(
        "sni: blue.example\ncommon_tls_context: {{ tls_certificate_sds_secret_configs: [{{ name: default, sds_config: {source} }}], validation_context_sds_secret_config: {{ name: ROOTCA, sds_config: {source} }} }}"
    );
    let transport = transport_socket("UpstreamTlsContext", &context);
    let clusters = [agent_cluster(&socket), cluster_with("blue", &[blue.address], &transport)];
    let text = bootstrap(&[Http::to("blue").tls(&named("default", &source))], &clusters);
    let proxy = Proxy::start(&text).await;

    let address = proxy.address().await;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let tls = pki.client(None, &[]);
            tokio::spawn(async move {
                let mut failures = Vec::new();
                let mut kept = Client::tls(address, HOST, Arc::clone(&tls)).await.unwrap();
                while !stop.load(Ordering::Relaxed) {
                    // One connection lives through it all, the others for a few requests.
                    let mut fresh = match Client::tls(address, HOST, Arc::clone(&tls)).await {
                        Ok(fresh) => fresh,
                        Err(error) => {
                            failures.push(format!("handshake: {error}"));
                            continue;
                        }
                    };
                    for number in 0..REQUESTS {
                        let client = if number == 0 { &mut kept } else { &mut fresh };
                        match client.try_send(get_request("/")).await {
                            Ok(answer) if answer.status() == 200 => {}
                            Ok(answer) => {
                                failures.push(format!("{} {}", answer.status(), answer.text()));
                            }
                            Err(error) => failures.push(format!("{error:?}")),
                        }
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
                failures
            })
        })
        .collect();

    for number in 0..ROTATIONS {
        agent.put([certificate("default", &identities[(number + 1) % 2])]);
        agent.acked_for(Kind::Secret, "default").await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut failures = Vec::new();
    for client in clients {
        failures.extend(client.await.unwrap());
    }
    assert_eq!(failures, Vec::<String>::new());
    assert!(answered.load(Ordering::Relaxed) > 0);
    assert_eq!(proxy.stat("sds.default.update_success").await, 1 + ROTATIONS as u64);
    assert_eq!(proxy.stat("listener_manager.listener_create_success").await, 1);
}
