//! What the admin endpoint tells of secrets, and what it keeps for itself.

use palanquin_tests::certs::Pki;
use palanquin_tests::config;
use palanquin_tests::control_plane;
use palanquin_tests::control_plane::ControlPlane;
use palanquin_tests::control_plane::Kind;
use palanquin_tests::proxy::Proxy;
use serde_json::Value;

use super::DELTA;
use super::HOST;
use super::certificate;
use super::listener;
use super::named;
use super::read;
use super::shows;

#[tokio::test]
async fn certificates_in_use_are_shown_with_their_expiry() {
    let pki = Pki::new();
    let me = pki.issue("me", &[HOST, "spiffe://mesh/me"]);
    let context = format!(
        "common_tls_context: {{ tls_certificates: [{{ certificate_chain: {{ filename: {} }}, private_key: {{ filename: {} }} }}], validation_context: {{ trusted_ca: {{ filename: {} }} }} }}",
        me.certificate.display(),
        me.key.display(),
        pki.ca().display(),
    );
    let proxy = Proxy::http(listener(&context), &[]).await;
    let all: Value = serde_json::from_slice(&proxy.admin_get("/certs").await.body).unwrap();
    let [only] = all["certificates"].as_array().unwrap().as_slice() else { panic!("{all}") };
    let own = &only["cert_chain"][0];
    assert_eq!(own["path"], me.certificate.display().to_string());
    assert_eq!(own["subject_alt_names"][0]["dns"], HOST);
    assert_eq!(own["subject_alt_names"][1]["uri"], "spiffe://mesh/me");
    assert!(own["serial_number"].as_str().unwrap().len() > 8);
    assert!(own["days_until_expiration"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    assert!(own["expiration_time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(only["ca_cert"][0]["path"], pki.ca().display().to_string());
    let days = proxy.stat("server.days_until_first_cert_expiring").await;
    assert!((1..u64::from(u32::MAX)).contains(&days), "{days}");
}

#[tokio::test]
async fn the_dump_shows_secrets_and_no_key() {
    let (pki, plane) = (Pki::new(), ControlPlane::start().await);
    let (fixed, good) = (pki.issue("fixed", &[HOST]), pki.issue("good", &[HOST]));
    let ads = "{ ads: {}, resource_api_version: V3 }";
    plane.put([control_plane::listener(&listener(&named("web", ads)).yaml())]);
    plane.put([certificate("web", &good)]);
    let secret = format!(
        "  secrets: [{{ name: fixed, tls_certificate: {{ certificate_chain: {{ inline_string: {:?} }}, private_key: {{ inline_string: {:?} }} }} }}]\n",
        read(&fixed.certificate),
        read(&fixed.key),
    );
    let text = config::dynamic(plane.address, DELTA);
    let text = text.replacen("static_resources:\n", &format!("static_resources:\n{secret}"), 1);
    let proxy = Proxy::launch(&text).await;
    shows(proxy.address().await, &pki, &good).await;
    plane.put([control_plane::secret("name: web\nvalidation_context: {}")]);
    plane.nacked(Kind::Secret).await;

    let dump = proxy.admin_get("/config_dump").await;
    for identity in [&fixed, &good] {
        let line = read(&identity.key).lines().nth(1).unwrap().to_owned();
        assert!(!dump.text().contains(&line), "a key is shown");
    }
    let dump: Value = serde_json::from_slice(&dump.body).unwrap();
    let secrets = dump["configs"].as_array().unwrap().iter();
    let mut secrets =
        secrets.filter(|one| one["@type"].as_str().unwrap().contains("SecretsConfigDump"));
    let secrets = secrets.next().unwrap();
    assert_eq!(secrets["static_secrets"][0]["name"], "fixed");
    let active = &secrets["dynamic_active_secrets"][0];
    assert_eq!(active["name"], "web");
    let key = &active["secret"]["tls_certificate"]["private_key"]["inline_string"];
    assert_eq!(key, "[redacted]");
    assert!(active["error_state"]["details"].as_str().unwrap().contains("validation_context"));
    let expiry = "listener.127.0.0.1_0.ssl.certificate.web.expiration_unix_time_seconds";
    assert!(proxy.stat(expiry).await > 0, "{}", proxy.admin_get("/stats").await.text());
}
