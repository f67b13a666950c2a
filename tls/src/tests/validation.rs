//! Whose certificates are accepted.

use palanquin_config::ir::matcher::StringMatcher;
use palanquin_config::ir::matcher::StringPattern;
use palanquin_config::ir::tls::DownstreamTls;
use palanquin_config::ir::tls::SanKind;
use palanquin_config::ir::tls::SanMatcher;
use palanquin_config::ir::tls::TlsVersion;
use palanquin_config::ir::tls::ValidationContext;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::SanType;
use rcgen::date_time_ymd;

use super::downstream;
use super::only;
use super::pki::Ca;
use super::pki::params;
use super::refused;
use super::refused_by_client;
use super::secured;
use super::upstream;
use super::validation;
use crate::ClientTls;
use crate::ServerTls;
use crate::TlsTarget;

/// A server that requires certificates by these rules.
fn strict(ca: &Ca, context: ValidationContext) -> DownstreamTls {
    let mut server = downstream(vec![ca.leaf(&["a.test"])]);
    server.require_client_certificate = true;
    server.common.validation = Some(validation(context));
    server
}

fn exact(kind: SanKind, text: &str) -> SanMatcher {
    let pattern = StringPattern::Exact(text.into());
    SanMatcher { kind, matcher: StringMatcher { pattern, ignore_case: false } }
}

fn trust_with_san(ca: &Ca, matcher: SanMatcher) -> ValidationContext {
    ValidationContext { san_matchers: vec![matcher], ..ca.trust() }
}

#[tokio::test]
async fn a_required_certificate_is_asked_for_in_both_versions() {
    let ca = Ca::new("ca");
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let mut server = strict(&ca, ca.trust());
        server.common.params = only(version);
        let with = upstream(vec![ca.workload(&["spiffe://td/ns/a/sa/b"])]);
        let (accepted, _) = secured(&server, &with).await;
        let peer = accepted.info.peer.as_ref().unwrap();
        assert_eq!(peer.spiffe_id(), Some("spiffe://td/ns/a/sa/b"));
        let error = refused(&server, &upstream(vec![])).await;
        assert_eq!(error.stat(), Some("fail_verify_no_cert"));
        let text = error.transport_failure_reason();
        assert!(text.contains("PEER_DID_NOT_RETURN_A_CERTIFICATE"), "{text}");
    }
}

#[tokio::test]
async fn an_optional_certificate_may_be_missing_but_not_wrong() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let mut server = strict(&ca, ca.trust());
        server.require_client_certificate = false;
        server.common.params = only(version);
        let (accepted, _) = secured(&server, &upstream(vec![])).await;
        assert!(accepted.info.peer.is_none());
        let (accepted, _) = secured(&server, &upstream(vec![ca.leaf(&["c.test"])])).await;
        assert!(accepted.info.peer.as_ref().unwrap().validated);
        let error = refused(&server, &upstream(vec![other.leaf(&["c.test"])])).await;
        assert_eq!(error.stat(), Some("fail_verify_error"));
        let text = error.transport_failure_reason();
        assert!(text.contains("unable to get local issuer certificate"), "{text}");
    }
}

#[tokio::test]
async fn a_resumed_session_keeps_the_clients_identity() {
    let ca = Ca::new("ca");
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let mut server = strict(&ca, ca.trust());
        server.common.params = only(version);
        let server = ServerTls::build(&server).unwrap();
        let mut client = upstream(vec![ca.workload(&["spiffe://td/x"])]);
        client.max_session_keys = 1;
        let client = ClientTls::build(&client).unwrap();
        let (first, _) = super::shake(&server, &client, TlsTarget::default()).await;
        let (second, _) = super::shake(&server, &client, TlsTarget::default()).await;
        let (first, second) = (first.unwrap(), second.unwrap());
        assert!(second.info.resumed);
        assert_eq!(second.info.peer.as_ref().unwrap().spiffe_id(), Some("spiffe://td/x"));
        let hash = |secured: &crate::Secured| secured.info.peer.as_ref().unwrap().sha256.clone();
        assert_eq!(hash(&first), hash(&second));
    }
}

#[tokio::test]
async fn one_san_must_match_and_a_dot_is_a_dot() {
    let ca = Ca::new("ca");
    let server = strict(&ca, trust_with_san(&ca, exact(SanKind::Dns, "cert-manager.io")));
    secured(&server, &upstream(vec![ca.leaf(&["x.test", "cert-manager.io"])])).await;
    let error = refused(&server, &upstream(vec![ca.leaf(&["cert-managerXio"])])).await;
    assert_eq!(error.stat(), Some("fail_verify_san"));
    let error = refused(&server, &upstream(vec![ca.workload(&["cert-manager.io"])])).await;
    assert_eq!(error.stat(), Some("fail_verify_san"), "a name of another type does not count");
    // The text that Envoy 1.40 gives.
    assert_eq!(
        error.transport_failure_reason(),
        "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert \
         failed: SAN matcher, certificate SANs are [cert-manager.io]:TLS_error_end"
    );
}

#[tokio::test]
async fn every_type_of_name_can_be_matched() {
    let ca = Ca::new("ca");
    let text = |text: &str| text.try_into().unwrap();
    let other = (vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], "user@realm".into());
    let certificate = || {
        let names = vec![
            SanType::Rfc822Name(text("ops@a.test")),
            SanType::IpAddress([10, 1, 2, 3].into()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
            SanType::URI(text("spiffe://td/a")),
            SanType::OtherName(other.clone()),
        ];
        ca.issue(params(names), &rcgen::PKCS_ECDSA_P256_SHA256)
    };
    for matcher in [
        exact(SanKind::Email, "ops@a.test"),
        exact(SanKind::IpAddress, "10.1.2.3"),
        exact(SanKind::IpAddress, "2001:db8::1"),
        exact(SanKind::Uri, "spiffe://td/a"),
        exact(SanKind::OtherName("1.3.6.1.4.1.311.20.2.3".into()), "user@realm"),
    ] {
        let server = strict(&ca, trust_with_san(&ca, matcher));
        secured(&server, &upstream(vec![certificate()])).await;
    }
    let wrong_oid = exact(SanKind::OtherName("1.2.3".into()), "user@realm");
    let server = strict(&ca, trust_with_san(&ca, wrong_oid));
    assert_eq!(
        refused(&server, &upstream(vec![certificate()])).await.stat(),
        Some("fail_verify_san")
    );
}

#[tokio::test]
async fn a_name_with_a_nul_byte_refuses_the_certificate() {
    let ca = Ca::new("ca");
    let mut matcher = exact(SanKind::Uri, "right");
    matcher.matcher.pattern = StringPattern::Prefix("right".into());
    for context in [ca.trust(), trust_with_san(&ca, matcher)] {
        let client = upstream(vec![ca.workload(&["right\0.evil"])]);
        let error = refused(&strict(&ca, context), &client).await;
        assert_eq!(error.stat(), Some("fail_verify_error"));
    }
}

#[tokio::test]
async fn an_expired_certificate_is_accepted_only_when_allowed() {
    let ca = Ca::new("ca");
    let certificate = |from, to| {
        let mut params = params(vec![]);
        (params.not_before, params.not_after) = (from, to);
        upstream(vec![ca.issue(params, &rcgen::PKCS_ECDSA_P256_SHA256)])
    };
    let past = certificate(date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let future = certificate(date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
    for (client, reason) in [(&past, "has expired"), (&future, "not yet valid")] {
        let error = refused(&strict(&ca, ca.trust()), client).await;
        assert_eq!(error.stat(), Some("fail_verify_error"));
        let text = error.transport_failure_reason();
        assert!(text.contains(reason), "{text}");
        let lenient = ValidationContext { allow_expired: true, ..ca.trust() };
        secured(&strict(&ca, lenient), client).await;
    }
}

#[tokio::test]
async fn a_certificate_for_servers_only_is_none_for_clients() {
    let ca = Ca::new("ca");
    let mut params = params(vec![]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let client = upstream(vec![ca.issue(params, &rcgen::PKCS_ECDSA_P256_SHA256)]);
    let error = refused(&strict(&ca, ca.trust()), &client).await;
    let text = error.transport_failure_reason();
    assert!(text.contains("unsupported certificate purpose"), "{text}");
}

#[tokio::test]
async fn untrusted_certificates_are_accepted_as_not_validated_when_asked() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let context = ValidationContext { accept_untrusted: true, ..ca.trust() };
    let server = strict(&ca, context);
    let uri = "spiffe://td/a";
    let (accepted, _) = secured(&server, &upstream(vec![other.workload(&[uri])])).await;
    let peer = accepted.info.peer.as_ref().unwrap();
    assert!(!peer.validated);
    assert_eq!(peer.spiffe_id(), None);
    let (accepted, _) = secured(&server, &upstream(vec![ca.workload(&[uri])])).await;
    assert_eq!(accepted.info.peer.as_ref().unwrap().spiffe_id(), Some(uri));
}

#[tokio::test]
async fn a_pin_accepts_its_certificate_and_no_other() {
    let ca = Ca::new("ca");
    let pinned = ca.leaf(&["c.test"]);
    let digest = |bytes: &[u8]| -> [u8; 32] {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        digest.as_ref().try_into().unwrap()
    };
    let hash = digest(&pinned.chain[0]);
    let parsed = x509_parser::parse_x509_certificate(&pinned.chain[0]).unwrap().1;
    let spki = digest(parsed.tbs_certificate.subject_pki.raw);
    let by_hash =
        ValidationContext { certificate_hashes: vec![[0; 32], hash], ..Default::default() };
    let by_key = ValidationContext { spki_pins: vec![spki], ..ca.trust() };
    let client = upstream(vec![pinned]);
    for context in [by_hash, by_key] {
        let server = strict(&ca, context);
        let (accepted, _) = secured(&server, &client).await;
        assert!(accepted.info.peer.as_ref().unwrap().validated);
        let error = refused(&server, &upstream(vec![ca.leaf(&["c.test"])])).await;
        assert_eq!(error.stat(), Some("fail_verify_cert_hash"));
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_and_so_is_one_without_a_fresh_list() {
    let ca = Ca::new("ca");
    let numbered = |serial: u64| {
        let mut params = params(vec![]);
        params.serial_number = Some(serial.into());
        upstream(vec![ca.issue(params, &rcgen::PKCS_ECDSA_P256_SHA256)])
    };
    let fresh = ValidationContext { crls: vec![ca.revoke(7, 2090)], ..ca.trust() };
    let server = strict(&ca, fresh);
    secured(&server, &numbered(8)).await;
    let text = refused(&server, &numbered(7)).await.transport_failure_reason();
    assert!(text.contains("certificate revoked"), "{text}");
    let stale = ValidationContext { crls: vec![ca.revoke(7, 2025)], ..ca.trust() };
    let text = refused(&strict(&ca, stale), &numbered(8)).await.transport_failure_reason();
    assert!(text.contains("CRL has expired"), "{text}");
    let foreign = ValidationContext { crls: vec![Ca::new("b").revoke(7, 2090)], ..ca.trust() };
    let text = refused(&strict(&ca, foreign), &numbered(8)).await.transport_failure_reason();
    assert!(text.contains("unable to get certificate CRL"), "{text}");
}

#[tokio::test]
async fn the_depth_of_a_chain_is_limited_when_asked() {
    let root = Ca::new("root");
    let (one, two) = (root.intermediate("one"), root.intermediate("one").intermediate("two"));
    let mut short = one.leaf(&["c.test"]);
    short.chain.push(one.der());
    let limited = |most| ValidationContext { max_verify_depth: Some(most), ..root.trust() };
    let client = upstream(vec![short]);
    // The trusted certificate counts, the leaf does not.
    secured(&strict(&root, limited(2)), &client).await;
    let error = refused(&strict(&root, limited(1)), &client).await;
    assert_eq!(error.stat(), Some("fail_verify_error"));
    let orphan = upstream(vec![two.leaf(&["c.test"])]);
    assert_eq!(
        refused(&strict(&root, root.trust()), &orphan).await.stat(),
        Some("fail_verify_error")
    );
}

#[tokio::test]
async fn a_client_checks_the_servers_chain_and_name() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let server = downstream(vec![ca.leaf(&["*.test"])]);
    let mut client = upstream(vec![]);
    client.common.validation = Some(validation(ca.trust()));
    let (_, connected) = secured(&server, &client).await;
    assert!(connected.info.peer.as_ref().unwrap().validated);

    client.auto_sni_san_validation = true;
    secured(&server, &client).await;
    client.sni = Some("a.b.test".into());
    assert_eq!(refused_by_client(&server, &client).await.stat(), Some("fail_verify_san"));
    client.sni = None;
    assert_eq!(refused_by_client(&server, &client).await.stat(), Some("fail_verify_san"));

    client.auto_sni_san_validation = false;
    client.common.validation = Some(validation(other.trust()));
    assert_eq!(refused_by_client(&server, &client).await.stat(), Some("fail_verify_error"));
}

#[tokio::test]
async fn a_caller_may_ask_for_the_name_of_an_endpoint() {
    let ca = Ca::new("ca");
    let server = ServerTls::build(&downstream(vec![ca.leaf(&["a.test"])])).unwrap();
    let mut client = upstream(vec![]);
    client.common.validation = Some(validation(ca.trust()));
    let client = ClientTls::build(&client).unwrap();
    let target = |sni| TlsTarget { sni: Some(sni), check_name: true, ..TlsTarget::default() };
    let (_, connected) = super::shake(&server, &client, target("a.test")).await;
    connected.unwrap();
    let (_, connected) = super::shake(&server, &client, target("b.test")).await;
    assert_eq!(connected.unwrap_err().stat(), Some("fail_verify_san"));
}

#[tokio::test]
async fn a_self_signed_certificate_that_is_trusted_itself_is_accepted() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = params(vec![]);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let der = params.self_signed(&key).unwrap().der().clone();
    let certificate = palanquin_config::ir::tls::TlsCertificate {
        chain: vec![der.clone()],
        key: rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap().into(),
        ocsp_staple: None,
    };
    let context = ValidationContext { trusted_ca: Some(vec![der]), ..Default::default() };
    let ca = Ca::new("ca");
    secured(&strict(&ca, context), &upstream(vec![certificate])).await;
}

#[tokio::test]
async fn a_subject_reads_as_openssl_prints_it() {
    let ca = Ca::new("ca, with \"quotes\"");
    let mut params = params(vec![]);
    params.distinguished_name.push(DnType::OrganizationName, " Ä & Co, Ltd+");
    params.distinguished_name.push(DnType::CountryName, "DE");
    let client = upstream(vec![ca.issue(params, &rcgen::PKCS_ECDSA_P256_SHA256)]);
    let (accepted, _) = secured(&strict(&ca, ca.trust()), &client).await;
    let peer = accepted.info.peer.as_ref().unwrap();
    assert_eq!(peer.subject, r"C=DE,O=\ \C3\84 & Co\, Ltd\+,CN=leaf");
    assert_eq!(peer.issuer, r#"CN=ca\, with \"quotes\""#);
    assert_eq!(peer.sha256.len(), 64);
}
