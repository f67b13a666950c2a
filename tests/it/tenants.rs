//! Tenants: who a request is for, where it goes, and how much it may use.

use std::fmt::Write;

use http::Request;
use palanquin_tests::certs::Pki;
use palanquin_tests::client;
use palanquin_tests::client::Client;
use palanquin_tests::config::Http;
use palanquin_tests::config::cluster;
use palanquin_tests::config::indent;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::upstream::Upstream;
use palanquin_tests::upstream::full;

/// The tenant filter, as a control plane would send it.
fn filter(value: &str) -> String {
    let mut text = "- name: palanquin.filters.http.tenant\n  is_optional: true\n  typed_config:\n    '@type': type.googleapis.com/xds.type.v3.TypedStruct\n    type_url: type.googleapis.com/palanquin.tenant.v1.TenantFilter\n    value:\n".to_owned();
    write!(text, "{}", indent(value, 6)).unwrap();
    text
}

/// Tenants by the first label of the host.
const BY_HOST: &str = "stat_prefix: t\nsources: [{ host_label: { suffix: example } }]\n";

async fn world(value: &str) -> (Proxy, Upstream, Upstream) {
    let (blue, green) = (Upstream::echo("blue").await, Upstream::echo("green").await);
    let clusters = [cluster("blue", &[blue.address]), cluster("green", &[green.address])];
    (Proxy::http(Http::to("blue").filter(&filter(value)), &clusters).await, blue, green)
}

#[tokio::test]
async fn a_tenant_known_by_host_goes_to_its_own_cluster_and_is_named_to_it() {
    let value = format!(
        "{BY_HOST}inline_table: {{ tenants: {{ acme: {{}}, beta: {{ routing: {{ cluster: green }} }} }} }}\npropagation: {{ request_header: x-tenant-id }}"
    );
    let (proxy, blue, green) = world(&value).await;
    assert_eq!(proxy.get_host("acme.example", "/").await.text(), "blue");
    assert_eq!(proxy.get_host("beta.example", "/").await.text(), "green");
    assert_eq!(blue.only().header("x-tenant-id"), Some("acme"));
    assert_eq!(green.only().header("x-tenant-id"), Some("beta"));
}

#[tokio::test]
async fn a_tenant_that_only_claims_to_be_one_is_not_believed() {
    let value = "stat_prefix: t\nsources: [{ header: x-tenant, trusted_peer_spiffe_prefixes: ['spiffe://mesh/edge'] }]\ninline_table: { tenants: { acme: { routing: { cluster: green } } } }\npropagation: { request_header: x-tenant }";
    let (proxy, blue, green) = world(value).await;
    let request = Request::get("/").header("x-tenant", "acme").body(full("")).unwrap();
    assert_eq!(client::send(proxy.address().await, request).await.text(), "blue");
    assert_eq!(blue.only().header("x-tenant"), None, "the claim does not go on");
    assert!(green.seen().is_empty());
}

#[tokio::test]
async fn the_certificate_of_the_peer_tells_the_tenant_and_vouches_for_headers() {
    let pki = Pki::new();
    let (blue, green) = (Upstream::echo("blue").await, Upstream::echo("green").await);
    let server = pki.issue("server", &["shop.example"]);
    let value = "stat_prefix: t
sources:
- peer_spiffe: { trust_domain: mesh, path_template: '/ns/{tenant}/sa/*' }
- { header: x-tenant, trusted_peer_spiffe_prefixes: ['spiffe://mesh/edge'] }
inline_table: { tenants: { acme: { routing: { cluster: green } } } }";
    let tls = format!(
        "require_client_certificate: true\ncommon_tls_context:\n  tls_certificates: [{{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }} }}]\n  validation_context: {{ trusted_ca: {{ filename: {} }} }}",
        server.certificate.display(),
        server.key.display(),
        pki.ca().display(),
    );
    let proxy = Proxy::http(
        Http::to("blue").filter(&filter(value)).tls(&tls),
        &[cluster("blue", &[blue.address]), cluster("green", &[green.address])],
    )
    .await;
    let address = proxy.address().await;
    let ask = async |id: &str, header: &str| {
        let identity = pki.issue("client", &[id]);
        let tls = pki.client(Some(&identity), &[]);
        let mut connection = Client::tls(address, "shop.example", tls).await.unwrap();
        let request = Request::get("/").header("x-tenant", header).body(full("")).unwrap();
        connection.send(request).await.text().to_owned()
    };
    assert_eq!(ask("spiffe://mesh/ns/acme/sa/web", "none").await, "green");
    assert_eq!(ask("spiffe://mesh/ns/beta/sa/web", "acme").await, "blue", "the certificate wins");
    assert_eq!(ask("spiffe://mesh/edge/1", "acme").await, "green", "the edge may say so");
    assert_eq!(ask("spiffe://mesh/other", "acme").await, "blue", "others may not");
}

#[tokio::test]
async fn a_tenant_over_its_rate_is_answered_429_and_others_are_not() {
    let value = format!(
        "{BY_HOST}inline_table: {{ tenants: {{ acme: {{ quota: {{ rates: [{{ requests: 2, per: 3600s }}] }} }}, beta: {{}} }} }}"
    );
    let (proxy, blue, _green) = world(&value).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(proxy.get_host("acme.example", "/").await.status());
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
    assert_eq!(proxy.get_host("beta.example", "/").await.status(), 200);
    assert_eq!(blue.seen().len(), 3);
}

/// Two tenants at one gated upstream, with this policy for acme.
async fn gated(policy: &str) -> (Proxy, palanquin_tests::upstream::Gate, Upstream) {
    let (blue, gate) = Upstream::gated("blue").await;
    let value = format!("{BY_HOST}inline_table: {{ tenants: {{ acme: {policy}, beta: {{}} }} }}");
    let listener = Http::to("blue").filter(&filter(&value));
    (Proxy::http(listener, &[cluster("blue", &[blue.address])]).await, gate, blue)
}

#[tokio::test]
async fn a_tenants_breaker_trips_for_that_tenant_alone() {
    let (proxy, gate, _blue) = gated("{ breaker: { max_requests: 1 } }").await;
    let address = proxy.address().await;
    let held = tokio::spawn(client::get_host(address, "acme.example", "/"));
    gate.arrived(1).await;
    let refused = client::get_host(address, "acme.example", "/").await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.header("x-envoy-overloaded"), Some("true"));
    let other = tokio::spawn(client::get_host(address, "beta.example", "/"));
    gate.arrived(2).await;
    gate.release(3);
    assert_eq!(held.await.unwrap().status(), 200);
    assert_eq!(other.await.unwrap().status(), 200);
    assert_eq!(client::get_host(address, "acme.example", "/").await.status(), 200, "again");
}

#[tokio::test]
async fn a_tenant_over_its_concurrency_is_answered_429_until_a_request_ends() {
    let (proxy, gate, _blue) = gated("{ quota: { max_concurrent_requests: 1 } }").await;
    let address = proxy.address().await;
    let held = tokio::spawn(client::get_host(address, "acme.example", "/"));
    gate.arrived(1).await;
    assert_eq!(client::get_host(address, "acme.example", "/").await.status(), 429);
    gate.release(2);
    assert_eq!(held.await.unwrap().status(), 200);
    assert_eq!(client::get_host(address, "acme.example", "/").await.status(), 200);
}

#[tokio::test]
async fn unknown_tenants_pass_are_refused_or_get_the_default_as_configured() {
    let known = "inline_table: { tenants: { acme: {}, other: { routing: { cluster: green } } } }\n";
    let (pass, _blue, _green) = world(&format!("{BY_HOST}{known}")).await;
    assert_eq!(pass.get_host("nobody", "/").await.text(), "blue");
    let (deny, _blue, _green) = world(&format!("{BY_HOST}{known}on_unknown: DENY")).await;
    assert_eq!(deny.get_host("nobody", "/").await.status(), 403);
    let (default, _blue, _green) = world(&format!("{BY_HOST}{known}default_tenant: other")).await;
    assert_eq!(default.get_host("nobody", "/").await.text(), "green");
}

#[tokio::test]
async fn a_suspended_tenant_is_refused_and_a_read_only_one_may_read() {
    let (proxy, _blue, _green) = world(&format!(
        "{BY_HOST}inline_table: {{ tenants: {{ gone: {{ state: SUSPENDED }}, read: {{ state: READ_ONLY }} }} }}"
    ))
    .await;
    let address = proxy.address().await;
    assert_eq!(proxy.get_host("gone.example", "/").await.status(), 403);
    assert_eq!(proxy.get_host("read.example", "/").await.status(), 200);
    let post = Request::post("/").header("host", "read.example").body(full("")).unwrap();
    assert_eq!(client::send(address, post).await.status(), 403);
}

#[tokio::test]
async fn a_cluster_template_falls_back_to_the_routes_cluster() {
    let value = format!(
        "{BY_HOST}inline_table: {{ tenants: {{ a: {{ routing: {{ cluster_template: '{{cell}}', cell: green }} }}, b: {{ routing: {{ cluster_template: '{{cell}}', cell: nowhere }} }} }} }}"
    );
    let (proxy, _blue, _green) = world(&value).await;
    assert_eq!(proxy.get_host("a.example", "/").await.text(), "green");
    assert_eq!(proxy.get_host("b.example", "/").await.text(), "blue");
}

#[tokio::test]
async fn the_admin_page_tells_the_tenants() {
    let value = format!("{BY_HOST}inline_table: {{ tenants: {{ acme: {{}} }} }}");
    let (proxy, _blue, _green) = world(&value).await;
    proxy.get_host("acme.example", "/").await;
    let answer = proxy.admin_get("/tenants").await;
    assert_eq!(answer.status(), 200);
    assert!(answer.text().contains("acme"), "{}", answer.text());
}
