//! What logs are told of the chain that a peer presented, and of who issued its certificate.

use palanquin_config::ir::tls::DownstreamTls;
use palanquin_config::ir::tls::TlsCertificate;
use palanquin_config::ir::tls::ValidationContext;
use palanquin_filter_api::TlsInfo;
use rcgen::SanType;
use rustls::pki_types::CertificateDer;

use super::downstream;
use super::pki::Ca;
use super::pki::params;
use super::secured;
use super::upstream;
use super::validation;
use crate::identity;

fn server(ca: &Ca, trusted: Vec<CertificateDer<'static>>) -> DownstreamTls {
    let mut server = downstream(vec![ca.leaf(&["a.test"])]);
    server.common.validation = Some(validation(ValidationContext {
        trusted_ca: Some(trusted),
        ..ValidationContext::default()
    }));
    server
}

/// The SHA-256 of the issuer that the server names.
async fn issuer(server: &DownstreamTls, client: TlsCertificate) -> Option<String> {
    let (accepted, _) = secured(server, &upstream(vec![client])).await;
    let info: &TlsInfo = &accepted.info;
    info.issuer().map(|issuer| issuer.sha256.clone())
}

#[tokio::test]
async fn the_issuer_is_the_authority_or_the_intermediate_that_signed() {
    let ca = Ca::new("ca");
    let between = ca.intermediate("between");
    let server = server(&ca, vec![ca.der()]);
    let told = issuer(&server, ca.leaf(&["c.test"])).await;
    assert_eq!(told, Some(identity::sha256(&ca.der())));
    let mut leaf = between.leaf(&["c.test"]);
    leaf.chain.push(between.der());
    assert_eq!(issuer(&server, leaf).await, Some(identity::sha256(&between.der())));
}

#[tokio::test]
async fn among_authorities_of_one_name_the_signer_is_told() {
    let (first, second) = (Ca::new("ca"), Ca::new("ca"));
    let server = server(&first, vec![first.der(), second.der()]);
    for ca in [&first, &second] {
        let told = issuer(&server, ca.leaf(&["c.test"])).await;
        assert_eq!(told, Some(identity::sha256(&ca.der())));
    }
}

#[tokio::test]
async fn a_presented_certificate_that_did_not_sign_is_no_issuer() {
    let (ca, pretender) = (Ca::new("ca"), Ca::new("ca"));
    let leaf = || {
        let mut leaf = ca.leaf(&["c.test"]);
        leaf.chain.push(pretender.der());
        leaf
    };
    let by_authority = server(&ca, vec![ca.der()]);
    assert_eq!(issuer(&by_authority, leaf()).await, Some(identity::sha256(&ca.der())));
    let leaf = leaf();
    let by_itself = server(&ca, vec![leaf.chain[0].clone()]);
    assert_eq!(issuer(&by_itself, leaf).await, None, "the leaf itself is trusted");
}

#[tokio::test]
async fn who_was_not_verified_has_no_issuer() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let mut server = downstream(vec![ca.leaf(&["a.test"])]);
    server.common.validation =
        Some(validation(ValidationContext { accept_untrusted: true, ..ca.trust() }));
    assert_eq!(issuer(&server, other.leaf(&["c.test"])).await, None);
    assert!(issuer(&server, ca.leaf(&["c.test"])).await.is_some());
}

#[test]
fn facts_of_a_chain_begin_with_the_leaf() {
    let ca = Ca::new("ca");
    let mut params = params(vec![SanType::OtherName((
        vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3],
        "user@corp.test".into(),
    ))]);
    params.serial_number = Some(vec![0, 0xcb, 0xad].into());
    let leaf = ca.issue(params, &rcgen::PKCS_ECDSA_P256_SHA256).chain.remove(0);
    let read = identity::of(&[leaf.clone(), ca.der()], true).unwrap();
    assert_eq!(read.other_sans, ["user@corp.test".into()]);
    let facts = read.chain_facts();
    assert_eq!(facts.sha256, [identity::sha256(&leaf), identity::sha256(&ca.der())]);
    assert_eq!(facts.serials, ["cbad".to_owned(), identity::serial_of(&ca.der()).unwrap()]);
    assert!(facts.sha1.iter().all(|digest| digest.len() == 40));
    assert_eq!(facts.sha1.len(), 2);
    let unreadable = identity::of(&[leaf, CertificateDer::from(vec![1])], false).unwrap();
    assert_eq!(unreadable.chain_facts().serials, ["cbad", ""]);
}
