//! TLCP beside TLS in one context.

use palanquin_config::ir::matcher::StringMatcher;
use palanquin_config::ir::matcher::StringPattern;
use palanquin_config::ir::sm::SmPolicy;
use palanquin_config::ir::tls::CipherSuite;
use palanquin_config::ir::tls::DownstreamTls;
use palanquin_config::ir::tls::SanKind;
use palanquin_config::ir::tls::SanMatcher;
use palanquin_config::ir::tls::TlsCertificate;
use palanquin_config::ir::tls::UpstreamTls;
use palanquin_config::ir::tls::ValidationContext;
use palanquin_pki::Algorithm;
use palanquin_pki::Authority;
use palanquin_pki::DualPair;
use palanquin_pki::Issued;
use palanquin_pki::Leaf;
use palanquin_pki::Usage;
use palanquin_pki::Validity;
use rustls::AlertDescription;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use super::downstream;
use super::pki::Ca;
use super::refused;
use super::refused_by_client;
use super::secured;
use super::shake;
use super::upstream;
use super::validation;
use crate::ClientTls;
use crate::HandshakeCx;
use crate::Peeked;
use crate::ServerTls;
use crate::TlsError;
use crate::TlsTarget;
use crate::inspect::Sniffed;
use crate::inspect::client_hello;

const ECC_GCM: CipherSuite = CipherSuite(0xe053);
const ALL: [(CipherSuite, &str); 4] = [
    (ECC_GCM, "ECC_SM4_GCM_SM3"),
    (CipherSuite(0xe013), "ECC_SM4_CBC_SM3"),
    (CipherSuite(0xe051), "ECDHE_SM4_GCM_SM3"),
    (CipherSuite(0xe011), "ECDHE_SM4_CBC_SM3"),
];

fn authority() -> Authority {
    Authority::root(Algorithm::Sm2, "SM root").unwrap()
}

fn configured(issued: &Issued) -> TlsCertificate {
    TlsCertificate {
        chain: issued.chain().map(|der| CertificateDer::from(der.to_vec())).collect(),
        key: PrivatePkcs8KeyDer::from(issued.key().pkcs8_der().to_vec()).into(),
        ocsp_staple: None,
    }
}

/// As configured: in the wrong order, which does not matter.
fn pair(pair: &DualPair) -> Vec<TlsCertificate> {
    vec![configured(&pair.enc), configured(&pair.sign)]
}

fn server_pair(authority: &Authority) -> Vec<TlsCertificate> {
    pair(&authority.issue_pair(&Leaf::server("a.test").dns("a.test")).unwrap())
}

fn client_pair(authority: &Authority, uri: &str) -> Vec<TlsCertificate> {
    pair(&authority.issue_pair(&Leaf::client("client").uri(uri)).unwrap())
}

fn trust(authority: &Authority) -> ValidationContext {
    let der = CertificateDer::from(authority.der().to_vec());
    ValidationContext { trusted_ca: Some(vec![der]), ..ValidationContext::default() }
}

fn mutual(mut server: DownstreamTls, context: ValidationContext) -> DownstreamTls {
    server.require_client_certificate = true;
    server.common.validation = Some(validation(context));
    server
}

/// A client of TLCP with one suite.
fn client(certificates: Vec<TlsCertificate>, suite: CipherSuite) -> UpstreamTls {
    let mut client = upstream(certificates);
    let sm = &mut client.common.params.sm;
    (sm.is_named, sm.tls13_suites, sm.tlcp_suites) = (true, Vec::new(), vec![suite]);
    client
}

#[tokio::test]
async fn one_context_serves_tlcp_rfc_8998_and_tls() {
    let (sm, ca) = (authority(), Ca::new("ca"));
    for policy in [SmPolicy::PreferSm, SmPolicy::PreferStandard] {
        let mut certificates = server_pair(&sm);
        certificates.push(ca.leaf(&["a.test"]));
        let server = DownstreamTls { sm_policy: policy, ..downstream(certificates) };
        let (seen, _) = secured(&server, &client(vec![], ECC_GCM)).await;
        assert_eq!((seen.info.version, seen.info.cipher), ("TLCPv1.1", "ECC_SM4_GCM_SM3"));
        assert_eq!(seen.info.sni.as_deref(), Some("a.test"));
        let mut rfc8998 = upstream(vec![]);
        rfc8998.common.params.sm.is_named = true;
        let (seen, _) = secured(&server, &rfc8998).await;
        assert_eq!((seen.info.version, seen.info.cipher), ("TLSv1.3", "TLS_SM4_GCM_SM3"));
        let (seen, _) = secured(&server, &upstream(vec![])).await;
        assert!(seen.info.cipher.contains("AES"), "{}", seen.info.cipher);
    }
}

#[tokio::test]
async fn every_suite_is_mutual_and_knows_both_identities() {
    let sm = authority();
    let mut server = mutual(downstream(server_pair(&sm)), trust(&sm));
    server.common.alpn = vec![(*b"h2").into()];
    for (suite, name) in ALL {
        let mut client = client(client_pair(&sm, "spiffe://td/x"), suite);
        client.common.validation = Some(validation(trust(&sm)));
        client.auto_sni_san_validation = true;
        client.common.alpn = vec![(*b"h2").into()];
        let (seen, told) = secured(&server, &client).await;
        for info in [&seen.info, &told.info] {
            assert_eq!((info.version, info.cipher), ("TLCPv1.1", name));
            assert_eq!(info.alpn.as_deref(), Some(&b"h2"[..]));
            assert_eq!(info.peer_signature, "sm2sig_sm3");
            assert!(info.peer.as_ref().unwrap().validated);
            assert_eq!(info.group, if name.starts_with("ECDHE") { "curveSM2" } else { "" });
        }
        assert_eq!(&*seen.info.peer.as_ref().unwrap().uri_sans[0], "spiffe://td/x");
        assert_eq!(&*told.info.peer.as_ref().unwrap().dns_sans[0], "a.test");
        assert_eq!(&*seen.info.local.as_ref().unwrap().dns_sans[0], "a.test");
        assert!(seen.transport.is_encrypted());
    }
}

#[tokio::test]
async fn matchers_lists_of_revoked_ones_and_pins_hold_for_tlcp() {
    let sm = authority();
    let leaf = || Leaf::client("client").uri("spiffe://td/x");
    let good = sm.issue_pair(&leaf()).unwrap();
    let other = sm.issue_pair(&Leaf::client("other").uri("spiffe://td/other")).unwrap();
    let (revoked_sign, revoked_enc) =
        (sm.issue_pair(&leaf()).unwrap(), sm.issue_pair(&leaf()).unwrap());
    let expired = Validity::expired(std::time::SystemTime::now());
    let stranger = Authority::root(Algorithm::Sm2, "other root").unwrap();
    let list = sm.revoke(&[&revoked_sign.sign, &revoked_enc.enc]).unwrap();
    let matcher = SanMatcher {
        kind: SanKind::Uri,
        matcher: StringMatcher {
            pattern: StringPattern::Exact("spiffe://td/x".into()),
            ignore_case: false,
        },
    };
    let crl = CertificateRevocationListDer::from(list.der().to_vec());
    let context = ValidationContext { san_matchers: vec![matcher], crls: vec![crl], ..trust(&sm) };
    let server = mutual(downstream(server_pair(&sm)), context);
    let mixed = DualPair {
        sign: sm.issue(&leaf()).unwrap(),
        enc: stranger.issue_pair(&leaf()).unwrap().enc,
    };
    let strangers = stranger.issue_pair(&leaf()).unwrap();
    let late = sm.issue_pair(&leaf().validity(expired)).unwrap();
    let servers = sm.issue_pair(&Leaf::server("client").uri("spiffe://td/x")).unwrap();
    for (suite, _) in ALL {
        secured(&server, &client(pair(&good), suite)).await;
        for (what, bad, stat, words) in [
            ("matcher", &other, "fail_verify_san", "SANs are [spiffe://td/other]"),
            ("revoked sign", &revoked_sign, "fail_verify_error", "certificate revoked"),
            ("revoked enc", &revoked_enc, "fail_verify_error", "certificate revoked"),
            ("stranger", &strangers, "fail_verify_error", "unable to get local issuer certificate"),
            (
                "half a stranger",
                &mixed,
                "fail_verify_error",
                "unable to get local issuer certificate",
            ),
            ("expired", &late, "fail_verify_error", "certificate has expired"),
            ("usage", &servers, "fail_verify_error", "unsupported certificate purpose"),
        ] {
            let error = refused(&server, &client(pair(bad), suite)).await;
            assert_eq!(error.stat(), Some(stat), "{what}: {error:?}");
            let text = error.transport_failure_reason();
            assert!(text.contains(words), "{what}: {text}");
        }
    }
    let error = refused(&server, &client(vec![], ECC_GCM)).await;
    assert!(matches!(error, TlsError::NoPeerCertificate), "{error:?}");
    let mut pinned = mutual(downstream(server_pair(&sm)), trust(&sm));
    let context = ValidationContext { certificate_hashes: vec![[7; 32]], ..trust(&sm) };
    pinned.common.validation = Some(validation(context));
    let error = refused(&pinned, &client(pair(&good), ECC_GCM)).await;
    assert_eq!(error.stat(), Some("fail_verify_cert_hash"));
}

#[tokio::test]
async fn a_client_may_show_its_signing_certificate_alone_under_ecc() {
    let sm = authority();
    let server = mutual(downstream(server_pair(&sm)), trust(&sm));
    let one = configured(&sm.issue(&Leaf::client("client").uri("spiffe://td/x")).unwrap());
    let (seen, _) = secured(&server, &client(vec![one], ECC_GCM)).await;
    assert_eq!(&*seen.info.peer.as_ref().unwrap().uri_sans[0], "spiffe://td/x");
}

#[tokio::test]
async fn a_server_is_verified_with_its_name() {
    let sm = authority();
    let mut strict = client(vec![], ECC_GCM);
    strict.auto_sni_san_validation = true;
    strict.common.validation = Some(validation(trust(&sm)));
    secured(&downstream(server_pair(&sm)), &strict).await;
    let other = sm.issue_pair(&Leaf::server("b.test").dns("b.test")).unwrap();
    let error = refused_by_client(&downstream(pair(&other)), &strict).await;
    assert_eq!(error.stat(), Some("fail_verify_san"));
    let stranger = Authority::root(Algorithm::Sm2, "other root").unwrap();
    let error = refused_by_client(&downstream(server_pair(&stranger)), &strict).await;
    assert_eq!(error.stat(), Some("fail_verify_error"));
}

#[tokio::test]
async fn a_pair_of_two_endpoints_is_refused() {
    let sm = authority();
    let mine = sm.issue_pair(&Leaf::client("client").uri("spiffe://td/x")).unwrap();
    let theirs = sm.issue_pair(&Leaf::client("other").uri("spiffe://td/y")).unwrap();
    let mixed = DualPair { sign: mine.sign, enc: theirs.enc };
    let error = ClientTls::build(&client(pair(&mixed), ECC_GCM)).unwrap_err();
    assert!(
        error.to_string().contains("no certificate for signing with the same names"),
        "{error}"
    );
}

#[tokio::test]
async fn pairs_are_chosen_by_server_name() {
    let sm = authority();
    let wildcard = sm.issue_pair(&Leaf::server("w").dns("*.b.test")).unwrap();
    let server = downstream([server_pair(&sm), pair(&wildcard)].into_iter().flatten().collect());
    let server = ServerTls::build(&server).unwrap();
    for (name, expected) in [("a.test", "a.test"), ("x.b.test", "*.b.test"), ("c.test", "a.test")] {
        let client = ClientTls::build(&client(vec![], ECC_GCM)).unwrap();
        let target = TlsTarget { sni: Some(name), ..TlsTarget::default() };
        let (accepted, connected) = shake(&server, &client, target).await;
        assert_eq!(&*accepted.unwrap().info.local.as_ref().unwrap().dns_sans[0], expected);
        assert_eq!(&*connected.unwrap().info.peer.as_ref().unwrap().dns_sans[0], expected);
    }
}

#[tokio::test]
async fn sessions_are_resumed_with_the_clients_identity_in_one_context_only() {
    let sm = authority();
    let certificates = sm.issue_pair(&Leaf::server("a.test").dns("a.test")).unwrap();
    let build = || ServerTls::build(&mutual(downstream(pair(&certificates)), trust(&sm))).unwrap();
    let (server, other) = (build(), build());
    let mut client = client(client_pair(&sm, "spiffe://td/x"), ECC_GCM);
    client.max_session_keys = 1;
    let client = ClientTls::build(&client).unwrap();
    for (server, is_resumed) in [(&server, false), (&server, true), (&other, false)] {
        let (seen, _) = shake(server, &client, TlsTarget::default()).await;
        let info = seen.unwrap().info;
        assert_eq!(info.resumed, is_resumed);
        assert_eq!(&*info.peer.as_ref().unwrap().uri_sans[0], "spiffe://td/x");
    }
    let mut off = mutual(downstream(pair(&certificates)), trust(&sm));
    off.resumption.stateful = false;
    let off = ServerTls::build(&off).unwrap();
    for _ in 0..2 {
        let (seen, _) = shake(&off, &client, TlsTarget::default()).await;
        assert!(!seen.unwrap().info.resumed);
    }
}

/// The alert of a server that has nothing for TLCP; in a record of TLCP, which the client can read.
#[tokio::test]
async fn a_listener_without_a_pair_refuses_tlcp() {
    let (sm, ca) = (authority(), Ca::new("ca"));
    let sign_only = configured(&sm.issue(&Leaf::server("a.test").dns("a.test")).unwrap());
    let mut no_suite = downstream(server_pair(&sm));
    no_suite.common.params.sm.tlcp_suites.clear();
    for server in [downstream(vec![ca.leaf(&["a.test"])]), downstream(vec![sign_only]), no_suite] {
        let server = ServerTls::build(&server).unwrap();
        let client = ClientTls::build(&client(vec![], ECC_GCM)).unwrap();
        let (accepted, connected) = shake(&server, &client, TlsTarget::default()).await;
        let accepted = accepted.unwrap_err();
        assert!(accepted.transport_failure_reason().contains("WRONG_VERSION_NUMBER"));
        let error = connected.unwrap_err();
        assert!(matches!(error, TlsError::Alert(AlertDescription::ProtocolVersion)), "{error:?}");
    }
}

#[tokio::test]
async fn a_suite_that_is_not_shared_is_a_handshake_failure() {
    let sm = authority();
    let mut server = downstream(server_pair(&sm));
    server.common.params.sm.tlcp_suites = vec![CipherSuite(0xe013)];
    let server = ServerTls::build(&server).unwrap();
    let client = ClientTls::build(&client(vec![], ECC_GCM)).unwrap();
    let (accepted, connected) = shake(&server, &client, TlsTarget::default()).await;
    assert!(accepted.unwrap_err().transport_failure_reason().contains("NO_SHARED_CIPHER"));
    let error = connected.unwrap_err();
    assert!(matches!(error, TlsError::Alert(AlertDescription::HandshakeFailure)), "{error:?}");
}

#[test]
fn clients_that_cannot_offer_anything_are_errors_of_the_configuration() {
    let sm = authority();
    let ecdhe = CipherSuite(0xe051);
    let one = || configured(&sm.issue(&Leaf::client("client").uri("spiffe://td/x")).unwrap());
    for certificates in [vec![], vec![one()]] {
        let error = ClientTls::build(&client(certificates, ecdhe)).unwrap_err().to_string();
        assert!(error.contains("need a pair"), "{error}");
    }
    let ca = Ca::new("ca");
    let error = ClientTls::build(&client(vec![ca.leaf(&["c"])], ECC_GCM)).unwrap_err().to_string();
    assert!(error.contains("standard certificate"), "{error}");
    let no_usage = |usage| {
        let leaf = Leaf::server("a.test").dns("a.test").usage(usage);
        configured(&sm.issue(&leaf).unwrap())
    };
    let server = downstream(vec![no_usage(None), no_usage(Some(Usage::ENCRYPTION))]);
    let error = ServerTls::build(&server).unwrap_err().to_string();
    assert!(error.contains("key usage"), "{error}");
}

#[test]
fn a_server_with_suites_of_tlcp_only_needs_a_pair() {
    let sm = authority();
    let one = configured(&sm.issue(&Leaf::server("a.test").dns("a.test")).unwrap());
    let mut server = downstream(vec![one]);
    let params = &mut server.common.params.sm;
    (params.is_named, params.tls13_suites) = (true, Vec::new());
    let error = ServerTls::build(&server).unwrap_err().to_string();
    assert!(error.contains("need a pair"), "{error}");
}

/// The first bytes decide, however they come.
#[tokio::test]
async fn a_hello_of_tlcp_is_seen_in_any_pieces_and_its_name_is_read() {
    let sm = authority();
    let client = ClientTls::build(&client(vec![], ECC_GCM)).unwrap();
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let connect = client.handshake(Peeked::foreign(near), TlsTarget::default());
    let server = ServerTls::build(&downstream(server_pair(&sm))).unwrap();
    let (slow, pipe) = tokio::io::duplex(64 * 1024);
    let accept = server.handshake(Peeked::foreign(slow), HandshakeCx::default());
    let carry = async move {
        let mut hello = vec![0; 2048];
        let length = far.read(&mut hello).await.unwrap();
        hello.truncate(length);
        for end in 0..length {
            assert_eq!(client_hello(&hello[..end]), Sniffed::Incomplete, "{end} bytes");
        }
        let Sniffed::Hello(seen) = client_hello(&hello) else { panic!("no hello") };
        assert!(seen.tlcp);
        assert_eq!(seen.server_name.as_deref(), Some("a.test"));
        let (mut answers, mut questions) = tokio::io::split(pipe);
        let (mut back, mut forth) = tokio::io::split(far);
        for byte in hello {
            questions.write_all(&[byte]).await.unwrap();
            questions.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        let _ = tokio::join!(
            tokio::io::copy(&mut answers, &mut forth),
            tokio::io::copy(&mut back, &mut questions)
        );
    };
    let both = async { tokio::join!(Box::pin(connect), Box::pin(accept)) };
    tokio::select! {
        (connected, accepted) = both => {
            assert_eq!(connected.unwrap().info.version, "TLCPv1.1");
            assert_eq!(accepted.unwrap().info.version, "TLCPv1.1");
        }
        () = Box::pin(carry) => panic!("both ends are open"),
    }
}

#[test]
fn other_versions_are_neither_tls_nor_tlcp() {
    for bytes in [&[22, 1, 0][..], &[22, 1, 2], &[22, 2, 1], &[22, 0], &[21, 1, 1]] {
        assert_eq!(client_hello(bytes), Sniffed::NotTls, "{bytes:?}");
    }
}
