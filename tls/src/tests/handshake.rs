//! What is negotiated: versions, certificates, ALPN, sessions.

use rustls::NamedGroup;

use palanquin_config::ir::tls::Curve;
use palanquin_config::ir::tls::ServerResumption;
use palanquin_config::ir::tls::TlsVersion;

use super::downstream;
use super::only;
use super::pki::Ca;
use super::pki::params;
use super::secured;
use super::shake;
use super::upstream;
use crate::ClientTls;
use crate::ServerTls;
use crate::TlsTarget;
use crate::Transport;

fn group(transport: &Transport) -> NamedGroup {
    let Transport::Rustls(stream) = transport else { panic!("not rustls") };
    stream.get_ref().1.negotiated_key_exchange_group().unwrap().name()
}

#[tokio::test]
async fn the_hybrid_key_exchange_and_tls_1_3_are_the_default() {
    let ca = Ca::new("ca");
    let (server, client) =
        secured(&downstream(vec![ca.leaf(&["a.test"])]), &upstream(vec![])).await;
    assert_eq!(group(&server.transport), NamedGroup::X25519MLKEM768);
    assert_eq!(server.info.version, "TLSv1.3");
    assert_eq!(client.info.cipher, "TLS_AES_128_GCM_SHA256");
    assert_eq!(server.info.sni.as_deref(), Some("a.test"));
    assert!(server.info.peer.is_none());
    let peer = client.info.peer.as_ref().unwrap();
    assert_eq!(&*peer.dns_sans[0], "a.test");
    assert!(!peer.validated, "nobody vouched for it");
}

#[tokio::test]
async fn configured_versions_suites_and_curves_are_followed() {
    let ca = Ca::new("ca");
    let mut server = downstream(vec![ca.leaf(&["a.test"])]);
    server.common.params = only(TlsVersion::Tls12);
    server.common.params.cipher_suites = vec![palanquin_config::ir::tls::CipherSuite(0xc02c)];
    server.common.params.curves = vec![Curve::P384];
    let mut client = upstream(vec![]);
    client.common.params.curves = vec![Curve::X25519, Curve::P384];
    let (server, _) = secured(&server, &client).await;
    assert_eq!(server.info.version, "TLSv1.2");
    assert_eq!(server.info.cipher, "ECDHE-ECDSA-AES256-GCM-SHA384");
    assert_eq!(group(&server.transport), NamedGroup::secp384r1);
}

#[tokio::test]
async fn no_common_version_is_named_as_such() {
    let ca = Ca::new("ca");
    let mut server = downstream(vec![ca.leaf(&["a.test"])]);
    server.common.params = only(TlsVersion::Tls13);
    let mut client = upstream(vec![]);
    client.common.params = only(TlsVersion::Tls12);
    let error = super::refused(&server, &client).await;
    assert_eq!(error.stat(), Some("connection_error"));
    let text = error.transport_failure_reason();
    assert!(text.contains("UNSUPPORTED_PROTOCOL"), "{text}");
}

#[tokio::test]
async fn the_certificate_is_chosen_by_server_name() {
    let ca = Ca::new("ca");
    let server = downstream(vec![
        ca.leaf(&["default.test"]),
        ca.leaf(&["*.wild.test"]),
        ca.leaf(&["exact.wild.test", "b.test"]),
    ]);
    for (asked, expected) in [
        ("b.test", "exact.wild.test"),
        ("EXACT.wild.test", "exact.wild.test"),
        ("any.wild.test", "*.wild.test"),
        ("a.any.wild.test", "default.test"),
        ("unknown.test", "default.test"),
    ] {
        let mut client = upstream(vec![]);
        client.sni = Some(asked.into());
        let (server, client) = secured(&server, &client).await;
        assert_eq!(&*client.info.peer.as_ref().unwrap().dns_sans[0], expected, "{asked}");
        assert_eq!(&*server.info.local.as_ref().unwrap().dns_sans[0], expected, "{asked}");
    }
}

#[tokio::test]
async fn the_certificate_is_chosen_by_key_type() {
    let ca = Ca::new("ca");
    let names = || params(vec![rcgen::SanType::DnsName("a.test".try_into().unwrap())]);
    let rsa = ca.issue(names(), &rcgen::PKCS_RSA_SHA256);
    let rsa_der = rsa.chain[0].to_vec();
    let ecdsa = ca.leaf(&["a.test"]);
    let ecdsa_der = ecdsa.chain[0].to_vec();
    let server = downstream(vec![rsa, ecdsa]);
    let (_, client) = secured(&server, &upstream(vec![])).await;
    assert_eq!(client.info.peer.as_ref().unwrap().der, ecdsa_der, "ECDSA is preferred");

    let mut client = upstream(vec![]);
    client.common.params.signature_schemes =
        [0x0804, 0x0401].map(palanquin_config::ir::tls::SignatureScheme).to_vec();
    let (_, client) = secured(&server, &client).await;
    assert_eq!(client.info.peer.as_ref().unwrap().der, rsa_der);
}

#[tokio::test]
async fn a_client_of_tls_1_2_that_does_not_name_the_curve_of_a_certificate_gets_another() {
    let ca = Ca::new("ca");
    let names = || params(vec![rcgen::SanType::DnsName("a.test".try_into().unwrap())]);
    let rsa = ca.issue(names(), &rcgen::PKCS_RSA_SHA256);
    let rsa_der = rsa.chain[0].to_vec();
    let ecdsa = ca.leaf(&["a.test"]);
    let ecdsa_der = ecdsa.chain[0].to_vec();
    let server = downstream(vec![ecdsa, rsa]);
    for (version, curves, expected) in [
        (TlsVersion::Tls12, vec![Curve::X25519], &rsa_der),
        (TlsVersion::Tls12, vec![Curve::X25519, Curve::P256], &ecdsa_der),
        (TlsVersion::Tls13, vec![Curve::X25519], &ecdsa_der),
    ] {
        let mut client = upstream(vec![]);
        client.common.params = only(version);
        client.common.params.curves = curves;
        let (_, client) = secured(&server, &client).await;
        assert_eq!(&client.info.peer.as_ref().unwrap().der, expected, "{version:?}");
    }
}

#[tokio::test]
async fn alpn_takes_the_servers_first_and_goes_on_without_a_common_protocol() {
    let ca = Ca::new("ca");
    let mut server = downstream(vec![ca.leaf(&["a.test"])]);
    server.common.alpn = vec![(*b"h2").into(), (*b"http/1.1").into()];
    let built = ServerTls::build(&server).unwrap();
    let client = ClientTls::build(&upstream(vec![])).unwrap();
    for (offered, expected) in [
        (vec!["http/1.1", "h2"], Some("h2")),
        (vec!["http/1.1"], Some("http/1.1")),
        (vec!["spdy/3"], None),
        (vec![], None),
    ] {
        let alpn: Vec<_> = offered.iter().map(|protocol| protocol.as_bytes()).collect();
        let expected = expected.map(str::as_bytes);
        let target = TlsTarget { alpn: &alpn, ..TlsTarget::default() };
        let (server, client) = shake(&built, &client, target).await;
        assert_eq!(server.unwrap().info.alpn.as_deref(), expected);
        assert_eq!(client.unwrap().info.alpn.as_deref(), expected);
    }
}

#[tokio::test]
async fn a_session_is_resumed_by_ticket_in_both_versions() {
    let ca = Ca::new("ca");
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let mut client = upstream(vec![]);
        client.max_session_keys = 1;
        client.common.params = only(version);
        let client = ClientTls::build(&client).unwrap();
        let server = ServerTls::build(&downstream(vec![ca.leaf(&["a.test"])])).unwrap();
        let (first, _) = shake(&server, &client, TlsTarget::default()).await;
        assert!(!first.unwrap().info.resumed);
        let (second, seen) = shake(&server, &client, TlsTarget::default()).await;
        assert!(second.unwrap().info.resumed, "{version:?}");
        assert!(seen.unwrap().info.peer.is_some());
    }
}

#[tokio::test]
async fn without_tickets_a_session_of_tls_1_3_is_not_resumed() {
    let ca = Ca::new("ca");
    let mut server = downstream(vec![ca.leaf(&["a.test"])]);
    server.resumption = ServerResumption { tickets: None, ..server.resumption };
    let server = ServerTls::build(&server).unwrap();
    let mut client = upstream(vec![]);
    client.max_session_keys = 1;
    let client = ClientTls::build(&client).unwrap();
    for _ in 0..2 {
        let (accepted, _) = shake(&server, &client, TlsTarget::default()).await;
        assert!(!accepted.unwrap().info.resumed);
    }
}

#[tokio::test]
async fn a_ticket_of_another_context_leads_to_a_full_handshake() {
    let ca = Ca::new("ca");
    let certificate = || ca.leaf(&["a.test"]);
    let open = ServerTls::build(&downstream(vec![certificate()])).unwrap();
    let mut strict = downstream(vec![certificate()]);
    strict.require_client_certificate = true;
    strict.common.validation = Some(super::validation(ca.trust()));
    let strict = ServerTls::build(&strict).unwrap();
    let mut client = upstream(vec![]);
    client.max_session_keys = 1;
    let client = ClientTls::build(&client).unwrap();
    let (accepted, _) = shake(&open, &client, TlsTarget::default()).await;
    accepted.unwrap();
    let (accepted, _) = shake(&strict, &client, TlsTarget::default()).await;
    assert_eq!(accepted.unwrap_err().stat(), Some("fail_verify_no_cert"));
}

#[tokio::test]
async fn the_endpoints_host_name_is_asked_for_when_configured() {
    let ca = Ca::new("ca");
    let server = ServerTls::build(&downstream(vec![ca.leaf(&["a.test"])])).unwrap();
    let mut client = upstream(vec![]);
    client.auto_host_sni = true;
    let client = ClientTls::build(&client).unwrap();
    let target = TlsTarget { hostname: "host.test", ..TlsTarget::default() };
    let (accepted, _) = shake(&server, &client, target).await;
    assert_eq!(accepted.unwrap().info.sni.as_deref(), Some("host.test"));
    let (accepted, _) = shake(&server, &client, TlsTarget::default()).await;
    assert_eq!(accepted.unwrap().info.sni.as_deref(), Some("a.test"));
}

#[test]
fn a_key_of_another_certificate_is_an_error_of_the_configuration() {
    let ca = Ca::new("ca");
    let mut mixed = ca.leaf(&["a.test"]);
    mixed.key = ca.leaf(&["b.test"]).key;
    let error = ServerTls::build(&downstream(vec![ca.leaf(&["c.test"]), mixed])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "common_tls_context.tls_certificates[1].private_key: \
         the private key does not belong to the certificate"
    );
}

#[test]
fn a_server_without_certificate_and_a_secret_that_is_missing_are_errors() {
    assert!(ServerTls::build(&downstream(vec![])).is_err());
    let ca = Ca::new("ca");
    let mut server = downstream(vec![ca.leaf(&["a.test"])]);
    server.common.validation = Some(super::validation(ca.trust()));
    let overlay = server.common.validation.as_mut().unwrap();
    overlay.sds_overlay = Some("ROOTCA".into());
    let error = ServerTls::build(&server).unwrap_err();
    assert!(error.to_string().contains("ROOTCA"), "{error}");
}
