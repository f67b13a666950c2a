//! RFC 8998 beside standard TLS in one context.

use std::sync::Arc;
use std::time::Duration;

use palanquin_config::ir::matcher::StringMatcher;
use palanquin_config::ir::matcher::StringPattern;
use palanquin_config::ir::private_key::LockedKey;
use palanquin_config::ir::private_key::PrivateKey;
use palanquin_config::ir::sm::SmCurve;
use palanquin_config::ir::sm::SmPolicy;
use palanquin_config::ir::tls::CipherSuite;
use palanquin_config::ir::tls::DownstreamTls;
use palanquin_config::ir::tls::SanKind;
use palanquin_config::ir::tls::SanMatcher;
use palanquin_config::ir::tls::Secret;
use palanquin_config::ir::tls::SecretSource;
use palanquin_config::ir::tls::TicketKeys;
use palanquin_config::ir::tls::TicketSource;
use palanquin_config::ir::tls::TlsCertificate;
use palanquin_config::ir::tls::TlsVersion;
use palanquin_config::ir::tls::UpstreamTls;
use palanquin_config::ir::tls::ValidationContext;
use palanquin_pki::Algorithm;
use palanquin_pki::Authority;
use palanquin_pki::Issued;
use palanquin_pki::Leaf;
use palanquin_pki::Usage;
use palanquin_pki::Validity;
use palanquin_rfc8998 as rfc8998;
use palanquin_sm::keys;
use rustls::AlertDescription;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::ServerName;
use rustls::server::ProducesTickets;
use tokio_rustls::TlsConnector;

use super::downstream;
use super::only;
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
use crate::check_secret;
use crate::tickets::Tickets;

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

fn server_of(authority: &Authority) -> TlsCertificate {
    configured(&authority.issue(&Leaf::server("a.test").dns("a.test")).unwrap())
}

fn client_of(authority: &Authority, uri: &str) -> TlsCertificate {
    configured(&authority.issue(&Leaf::client("client").uri(uri)).unwrap())
}

fn trust(authority: &Authority) -> ValidationContext {
    let der = CertificateDer::from(authority.der().to_vec());
    ValidationContext { trusted_ca: Some(vec![der]), ..ValidationContext::default() }
}

/// A context with a certificate of each world.
fn dual(sm: &Authority, ca: &Ca) -> DownstreamTls {
    downstream(vec![ca.leaf(&["a.test"]), server_of(sm)])
}

/// A client of RFC 8998 without a certificate.
fn sm_client() -> UpstreamTls {
    let mut client = upstream(vec![]);
    client.common.params.sm.is_named = true;
    client
}

fn mutual(mut server: DownstreamTls, context: ValidationContext) -> DownstreamTls {
    server.require_client_certificate = true;
    server.common.validation = Some(validation(context));
    server
}

#[tokio::test]
async fn one_context_serves_both_worlds() {
    let (sm, ca) = (authority(), Ca::new("ca"));
    let server = dual(&sm, &ca);
    let (seen, _) = secured(&server, &sm_client()).await;
    assert_eq!(seen.info.version, "TLSv1.3");
    assert_eq!(seen.info.cipher, "TLS_SM4_GCM_SM3");
    assert_eq!(seen.info.group, "curveSM2MLKEM768");
    assert_eq!(seen.info.local.as_ref().unwrap().issuer, "CN=SM root");
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let mut client = upstream(vec![]);
        client.common.params = only(version);
        let (seen, _) = secured(&server, &client).await;
        assert!(seen.info.cipher.contains("AES"), "{}", seen.info.cipher);
        assert_eq!(seen.info.local.as_ref().unwrap().issuer, "CN=ca");
    }
}

#[tokio::test]
async fn suites_and_groups_are_followed_on_both_sides() {
    let sm = authority();
    let mut server = downstream(vec![server_of(&sm)]);
    server.common.params.sm.tls13_suites = vec![CipherSuite(0x00c7)];
    server.common.params.sm.curves = vec![SmCurve::Sm2];
    let (seen, client) = secured(&server, &sm_client()).await;
    assert_eq!((seen.info.cipher, seen.info.group), ("TLS_SM4_CCM_SM3", "curveSM2"));
    assert_eq!(client.info.cipher, "TLS_SM4_CCM_SM3");
    assert_eq!(client.info.peer_signature, "sm2sig_sm3");

    let mut client = sm_client();
    client.common.params.sm.tls13_suites = vec![CipherSuite(0x00c6)];
    let error = refused(&server, &client).await;
    assert!(error.transport_failure_reason().contains("NO_SHARED_CIPHER"), "{error:?}");
}

/// Everything of both worlds in one hello.
fn mixed_client(authorities: &[&[u8]]) -> ClientConfig {
    let mut crypto = rustls::crypto::aws_lc_rs::default_provider();
    crypto.cipher_suites.extend(&rfc8998::provider().cipher_suites);
    crypto.kx_groups.extend(&rfc8998::provider().kx_groups);
    mixed_client_of(crypto, authorities)
}

fn mixed_client_of(mut crypto: CryptoProvider, authorities: &[&[u8]]) -> ClientConfig {
    let standard = crypto.signature_verification_algorithms;
    let all = [standard.all, rfc8998::verify::CERTIFICATES.all].concat();
    let mapping = [standard.mapping, rfc8998::verify::HANDSHAKE.mapping].concat();
    crypto.signature_verification_algorithms.all = Vec::leak(all);
    crypto.signature_verification_algorithms.mapping = Vec::leak(mapping);
    let mut roots = RootCertStore::empty();
    for der in authorities {
        roots.add(CertificateDer::from(der.to_vec())).unwrap();
    }
    let crypto = Arc::new(crypto);
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), crypto.clone());
    let mut config = ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_webpki_verifier(verifier.build().unwrap())
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config
}

/// The suite, the group and the signature scheme of a handshake with a client of rustls itself.
async fn agreed(server: &ServerTls, client: ClientConfig) -> Result<(u16, u16), std::io::Error> {
    let (left, right) = tokio::io::duplex(64 * 1024);
    let accept = server.handshake(Peeked::foreign(left), HandshakeCx::default());
    let name = ServerName::try_from("a.test").unwrap();
    let connect = TlsConnector::from(Arc::new(client)).connect(name, right);
    let (_accepted, connected) = tokio::join!(Box::pin(accept), Box::pin(connect));
    let stream = connected?;
    let session = stream.get_ref().1;
    let suite = u16::from(session.negotiated_cipher_suite().unwrap().suite());
    Ok((suite, u16::from(session.negotiated_key_exchange_group().unwrap().name())))
}

#[tokio::test]
async fn a_hello_of_both_worlds_is_answered_from_one_by_policy() {
    let (sm, ca) = (authority(), Ca::new("ca"));
    let roots = [sm.der(), &ca.der()];
    for (policy, is_sm) in
        [(SmPolicy::PreferSm, true), (SmPolicy::SmOnly, true), (SmPolicy::PreferStandard, false)]
    {
        let server = ServerTls::build(&DownstreamTls { sm_policy: policy, ..dual(&sm, &ca) });
        let (suite, group) = agreed(&server.unwrap(), mixed_client(&roots)).await.unwrap();
        assert_eq!([0xc6, 0xc7].contains(&suite), is_sm, "{policy:?} {suite:x}");
        assert_eq!([41, 0x11ee].contains(&group), is_sm, "{policy:?} {group:x}");
    }
    // Half an offer of SM is none, and what is left is served as usual.
    let server = ServerTls::build(&dual(&sm, &ca)).unwrap();
    let standard = rustls::crypto::aws_lc_rs::default_provider;
    let mut suites = standard();
    suites.cipher_suites.splice(0..0, rfc8998::provider().cipher_suites.iter().copied());
    let mut groups = standard();
    groups.kx_groups.splice(0..0, rfc8998::provider().kx_groups.iter().copied());
    for crypto in [suites, groups] {
        let agreed = agreed(&server, mixed_client_of(crypto, &roots)).await.unwrap();
        assert_eq!(agreed.0 >> 8, 0x13);
        assert!(![41, 0x11ee].contains(&agreed.1));
    }
}

#[tokio::test]
async fn a_standard_client_of_an_sm_only_listener_gets_a_handshake_failure() {
    let (sm, ca) = (authority(), Ca::new("ca"));
    let by_policy = DownstreamTls { sm_policy: SmPolicy::SmOnly, ..dual(&sm, &ca) };
    let by_certificate = downstream(vec![server_of(&sm)]);
    for server in [by_policy, by_certificate] {
        let server = ServerTls::build(&server).unwrap();
        for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
            let mut client = upstream(vec![]);
            client.common.params = only(version);
            let client = ClientTls::build(&client).unwrap();
            let (accepted, connected) = shake(&server, &client, TlsTarget::default()).await;
            let text = accepted.unwrap_err().transport_failure_reason();
            assert!(text.contains("NO_SHARED_CIPHER"), "{text}");
            let error = connected.unwrap_err();
            assert!(
                matches!(error, TlsError::Refused(AlertDescription::HandshakeFailure)),
                "{version:?} {error:?}"
            );
        }
    }
}

#[tokio::test]
async fn clients_are_identified_and_their_names_checked() {
    let sm = authority();
    let matcher = SanMatcher {
        kind: SanKind::Uri,
        matcher: StringMatcher {
            pattern: StringPattern::Exact("spiffe://td/ns/x/sa/y".into()),
            ignore_case: false,
        },
    };
    let context = ValidationContext { san_matchers: vec![matcher], ..trust(&sm) };
    let server = mutual(downstream(vec![server_of(&sm)]), context);
    let right = client_of(&sm, "spiffe://td/ns/x/sa/y");
    let der = right.chain[0].to_vec();
    let (seen, _) = secured(&server, &upstream(vec![right])).await;
    let peer = seen.info.peer.as_ref().unwrap();
    assert!(peer.validated);
    assert_eq!((&*peer.uri_sans[0], &*peer.subject), ("spiffe://td/ns/x/sa/y", "CN=client"));
    assert_eq!(peer.der, der);
    assert_eq!(seen.info.peer_signature, "sm2sig_sm3");

    let error = refused(&server, &upstream(vec![client_of(&sm, "spiffe://td/other")])).await;
    assert_eq!(error.stat(), Some("fail_verify_san"));
    assert!(matches!(refused(&server, &sm_client()).await, TlsError::NoPeerCertificate));
}

#[tokio::test]
async fn bad_clients_are_refused_for_their_fault() {
    let sm = authority();
    let leaf = || Leaf::client("client").uri("spiffe://td/x");
    let issue = |leaf: &Leaf| sm.issue(leaf).unwrap();
    let stranger = Authority::root(Algorithm::Sm2, "other root").unwrap();
    let revoked = issue(&leaf());
    let list = sm.revoke(&[&revoked]).unwrap();
    let crl = CertificateRevocationListDer::from(list.der().to_vec());
    let context = ValidationContext { crls: vec![crl], ..trust(&sm) };
    let server = mutual(downstream(vec![server_of(&sm)]), context);
    secured(&server, &upstream(vec![configured(&issue(&leaf()))])).await;
    let expired = Validity::expired(std::time::SystemTime::now());
    for (what, client, expected) in [
        ("revoked", revoked, "certificate revoked"),
        ("expired", issue(&leaf().validity(expired)), "certificate has expired"),
        ("stranger", stranger.issue(&leaf()).unwrap(), "unable to get local issuer certificate"),
        ("signature", issue(&leaf()).with_broken_signature(), "certificate signature failure"),
        ("usage", issue(&Leaf::server("client")), "unsupported certificate purpose"),
    ] {
        let client = upstream(vec![configured(&client)]);
        let text = refused(&server, &client).await.transport_failure_reason();
        assert!(text.contains(expected), "{what}: {text}");
    }
}

#[tokio::test]
async fn a_server_is_verified_with_its_name() {
    let sm = authority();
    let mut client = sm_client();
    client.auto_sni_san_validation = true;
    client.common.validation = Some(validation(trust(&sm)));
    secured(&downstream(vec![server_of(&sm)]), &client).await;
    let other = sm.issue(&Leaf::server("b.test").dns("b.test")).unwrap();
    let error = refused_by_client(&downstream(vec![configured(&other)]), &client).await;
    assert_eq!(error.stat(), Some("fail_verify_san"));
    let stranger = Authority::root(Algorithm::Sm2, "other root").unwrap();
    let error = refused_by_client(&downstream(vec![server_of(&stranger)]), &client).await;
    assert_eq!(error.stat(), Some("fail_verify_error"));
}

#[tokio::test]
async fn sessions_are_resumed_with_the_clients_identity() {
    let sm = authority();
    let server = mutual(downstream(vec![server_of(&sm)]), trust(&sm));
    let server = ServerTls::build(&server).unwrap();
    let mut client = upstream(vec![client_of(&sm, "spiffe://td/x")]);
    client.max_session_keys = 1;
    let client = ClientTls::build(&client).unwrap();
    let (first, _) = shake(&server, &client, TlsTarget::default()).await;
    assert!(!first.unwrap().info.resumed);
    let (second, _) = shake(&server, &client, TlsTarget::default()).await;
    let info = second.unwrap().info;
    assert!(info.resumed);
    assert_eq!(&*info.peer.as_ref().unwrap().uri_sans[0], "spiffe://td/x");
}

/// A server whose tickets are sealed by configured keys, the same for all.
fn with_ticket_keys(mut server: DownstreamTls) -> Arc<ServerTls> {
    let keys = SecretSource::Inline(Arc::new(TicketKeys { keys: vec![[7; 80]] }));
    server.resumption.tickets = Some(TicketSource::Keys(keys));
    ServerTls::build(&server).unwrap()
}

#[tokio::test]
async fn a_ticket_crosses_neither_policies_nor_worlds() {
    let sm = authority();
    let certificate = sm.issue(&Leaf::server("a.test").dns("a.test")).unwrap();
    let own = || configured(&certificate);
    let mut client = upstream(vec![client_of(&sm, "spiffe://td/x")]);
    client.max_session_keys = 1;
    let client = ClientTls::build(&client).unwrap();
    let open = with_ticket_keys(downstream(vec![own()]));
    let same = with_ticket_keys(downstream(vec![own()]));
    let strict = with_ticket_keys(mutual(downstream(vec![own()]), trust(&sm)));
    let resumed = async |server: &ServerTls| {
        let (accepted, _) = shake(server, &client, TlsTarget::default()).await;
        accepted.unwrap().info.resumed
    };
    assert!(!resumed(&open).await);
    assert!(resumed(&same).await, "configured keys are shared by equal contexts");
    assert!(!resumed(&strict).await);

    // The other stack does not open it either, even with the same keys and for an equal context.
    let keys = TicketKeys { keys: vec![[7; 80]] };
    let hour = Duration::from_hours(1);
    let standard = Tickets::configured(&keys, b"context", hour).unwrap();
    let national = rfc8998::Ticketer::configured([&keys.keys[0][..]], b"context", hour);
    let (one, two) = (standard.encrypt(b"session").unwrap(), national.encrypt(b"session").unwrap());
    assert!(standard.decrypt(&one).is_some() && national.decrypt(&two).is_some());
    assert!(standard.decrypt(&two).is_none() && national.decrypt(&one).is_none());
}

fn fault(certificates: Vec<TlsCertificate>) -> String {
    ServerTls::build(&downstream(certificates)).unwrap_err().to_string()
}

#[test]
fn a_pair_is_found_in_any_order_and_what_is_none_is_refused() {
    let sm = authority();
    let pair = sm.issue_pair(&Leaf::server("a.test").dns("a.test")).unwrap();
    let other = sm.issue_pair(&Leaf::server("b.test").dns("b.test")).unwrap();
    let (sign, enc) = (|| configured(&pair.sign), || configured(&pair.enc));
    for certificates in [vec![sign(), enc()], vec![enc(), sign()], vec![sign()]] {
        ServerTls::build(&downstream(certificates)).unwrap();
    }
    assert!(fault(vec![enc()]).contains("tls_certificates[0]"), "{}", fault(vec![enc()]));
    let text = fault(vec![sign(), configured(&other.enc)]);
    assert!(
        text.contains("tls_certificates[1]") && text.contains("no certificate for signing"),
        "{text}"
    );
    let text = fault(vec![sign(), sign()]);
    assert!(text.contains("two SM certificates for signing"), "{text}");
    let text = fault(vec![sign(), enc(), enc()]);
    assert!(text.contains("two SM certificates for encryption"), "{text}");
    let mut mixed = sign();
    mixed.key = enc().key;
    assert!(fault(vec![mixed]).contains("does not belong to the certificate"));
    let useless = sm.issue(&Leaf::server("a.test").usage(Some(Usage::KEY_CERT_SIGN))).unwrap();
    assert!(fault(vec![configured(&useless)]).contains("neither signatures nor encryption"));
}

#[test]
fn a_policy_without_certificate_is_an_error() {
    let ca = Ca::new("ca");
    let server =
        DownstreamTls { sm_policy: SmPolicy::SmOnly, ..downstream(vec![ca.leaf(&["a.test"])]) };
    let error = ServerTls::build(&server).unwrap_err().to_string();
    assert!(error.contains("sm_only"), "{error}");
}

#[test]
fn an_sm_certificate_without_a_suite_is_an_error() {
    let sm = authority();
    let mut server = downstream(vec![server_of(&sm)]);
    server.common.params = only(TlsVersion::Tls12);
    let error = ServerTls::build(&server).unwrap_err().to_string();
    assert!(error.contains("no SM suite is allowed"), "{error}");
}

/// Whether a client is served whose hello comes in many records of a few bytes.
async fn in_pieces(server: &ServerTls, mut client: ClientConfig) -> bool {
    client.max_fragment_size = Some(37);
    let (left, right) = tokio::io::duplex(64 * 1024);
    let accept = server.handshake(Peeked::foreign(left), HandshakeCx::default());
    let name = ServerName::try_from("a.test").unwrap();
    let connect = TlsConnector::from(Arc::new(client)).connect(name, right);
    let (accepted, _connected) = tokio::join!(Box::pin(accept), Box::pin(connect));
    accepted.is_ok()
}

#[tokio::test]
async fn a_hello_in_pieces_meets_the_same_policy() {
    let (sm, ca) = (authority(), Ca::new("ca"));
    let roots = [sm.der(), &ca.der()];
    let server = DownstreamTls { sm_policy: SmPolicy::SmOnly, ..dual(&sm, &ca) };
    let server = ServerTls::build(&server).unwrap();
    assert!(in_pieces(&server, mixed_client(&roots)).await);
    let standard = rustls::crypto::aws_lc_rs::default_provider();
    assert!(!in_pieces(&server, mixed_client_of(standard, &roots)).await);
}

fn locked(pem: &str, passphrase: Option<&[u8]>) -> PrivateKey {
    let passphrase = passphrase.map(<[u8]>::to_vec);
    PrivateKey::Locked(LockedKey::new(pem.as_bytes().to_vec(), passphrase))
}

#[tokio::test]
async fn locked_keys_are_opened() {
    let sm = authority();
    let pair = sm.issue_pair(&Leaf::server("a.test").dns("a.test")).unwrap();
    let read = |issued: &Issued| keys::from_pem(issued.key_pem().as_bytes()).unwrap();
    let (sign_key, enc_key) = (read(&pair.sign), read(&pair.enc));
    let protection = keys::Protection::default();
    let pem = keys::to_encrypted_pem(&sign_key, b"open sesame", &protection).unwrap();
    let sign =
        |passphrase| TlsCertificate { key: locked(&pem, passphrase), ..configured(&pair.sign) };
    let envelope = keys::to_enveloped_pem(&enc_key, sign_key.public_key()).unwrap();
    let enc = || TlsCertificate { key: locked(&envelope, None), ..configured(&pair.enc) };
    secured(&downstream(vec![sign(Some(b"open sesame")), enc()]), &sm_client()).await;

    assert!(fault(vec![sign(Some(b"no"))]).contains("private_key"));
    assert!(fault(vec![sign(None)]).contains("passphrase"));
    let other = sm.issue_pair(&Leaf::server("a.test").dns("a.test")).unwrap();
    let text = fault(vec![configured(&other.sign), enc()]);
    assert!(text.contains("tls_certificates[1].private_key"), "{text}");
    // A secret alone: the envelope cannot be looked into, a key that is open can.
    let secret = |certificate| Secret::Certificate(SecretSource::Inline(Arc::new(certificate)));
    check_secret(&secret(enc())).unwrap();
    check_secret(&secret(configured(&pair.enc))).unwrap();
    let mut mismatched = configured(&pair.enc);
    mismatched.key = configured(&pair.sign).key;
    assert!(check_secret(&secret(mismatched)).is_err());
}

#[test]
fn no_secret_shows_in_debug_output() {
    let sm = authority();
    let pair = sm.issue_pair(&Leaf::server("a.test").dns("a.test")).unwrap();
    let key = locked("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA", Some(b"open sesame"));
    assert_eq!(format!("{key:?}"), "Locked(LockedKey { .. })");
    let server = downstream(vec![configured(&pair.sign), configured(&pair.enc)]);
    let text = format!("{server:?} {:?}", ServerTls::build(&server).unwrap());
    for issued in [&pair.sign, &pair.enc] {
        let scalar = format!("{:?}", &issued.key().private_scalar()[..8]);
        assert!(!text.contains(scalar.trim_end_matches(']')));
    }
}

#[test]
fn a_client_of_both_worlds_is_an_error() {
    let ca = Ca::new("ca");
    let mut client = sm_client();
    client.common.certificates = vec![SecretSource::Inline(Arc::new(ca.leaf(&["client"])))];
    let error = ClientTls::build(&client).unwrap_err().to_string();
    assert!(error.contains("standard certificate"), "{error}");
}

#[tokio::test]
async fn the_certificate_is_chosen_by_server_name_in_each_world() {
    let (sm, ca) = (authority(), Ca::new("ca"));
    let other = sm.issue(&Leaf::server("b.test").dns("b.test")).unwrap();
    let server = downstream(vec![
        ca.leaf(&["a.test"]),
        server_of(&sm),
        ca.leaf(&["b.test"]),
        configured(&other),
    ]);
    for name in ["a.test", "b.test"] {
        for mut client in [sm_client(), upstream(vec![])] {
            client.sni = Some(name.into());
            let (_, seen) = secured(&server, &client).await;
            assert_eq!(&*seen.info.peer.as_ref().unwrap().dns_sans[0], name);
        }
    }
}
