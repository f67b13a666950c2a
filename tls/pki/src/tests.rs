//! What is issued is read back by parsers and verifiers that are not ours.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::time::Duration;
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::UnixTime;
use webpki::BorrowedCertRevocationList;
use webpki::EndEntityCert;
use webpki::KeyUsage;
use webpki::RevocationOptionsBuilder;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::prelude::X509Certificate;

use super::*;

fn server(authority: &Authority) -> Issued {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let leaf = Leaf::server("a.example").dns("a.example").ip(address).uri("spiffe://td/ns/x/sa/y");
    authority.issue(&leaf).unwrap()
}

/// Verifies with webpki as a client would; only P-256, which it knows.
fn verify(
    root: &Authority,
    issued: &Issued,
    usage: KeyUsage,
    crl: Option<&Crl>,
) -> Result<(), webpki::Error> {
    let root = CertificateDer::from(root.der());
    let anchors = [webpki::anchor_from_trusted_cert(&root)?];
    let chain: Vec<_> = issued.chain().skip(1).map(CertificateDer::from).collect();
    let der = CertificateDer::from(issued.der());
    let lists = crl.map(|crl| [BorrowedCertRevocationList::from_der(crl.der()).unwrap().into()]);
    let lists: Option<Vec<&webpki::CertRevocationList<'_>>> =
        lists.as_ref().map(|lists| lists.iter().collect());
    let revocation =
        lists.as_ref().map(|lists| RevocationOptionsBuilder::new(lists).unwrap().build());
    EndEntityCert::try_from(&der)?
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &chain,
            UnixTime::now(),
            usage,
            revocation,
            None,
        )
        .map(drop)
}

#[test]
fn a_chain_of_p256_is_verified_by_webpki() {
    let root = Authority::root(Algorithm::P256, "root").unwrap();
    let issuing = root.intermediate("issuing").unwrap();
    let leaf = server(&issuing);
    assert_eq!(leaf.chain().count(), 2);
    verify(&root, &leaf, KeyUsage::server_auth(), None).unwrap();
    let der = CertificateDer::from(leaf.der());
    let names = EndEntityCert::try_from(&der).unwrap();
    for name in ["a.example", "127.0.0.1"] {
        let name = ServerName::try_from(name).unwrap();
        names.verify_is_valid_for_subject_name(&name).unwrap();
    }
}

#[test]
fn what_is_wrong_on_purpose_is_refused_by_webpki() {
    let now = SystemTime::now();
    let root = Authority::root(Algorithm::P256, "root").unwrap();
    let stranger = Authority::root(Algorithm::P256, "root").unwrap();
    let refused =
        |issued: &Issued| verify(&root, issued, KeyUsage::server_auth(), None).unwrap_err();
    let leaf = Leaf::server("a.example").dns("a.example");
    let expired = root.issue(&leaf.clone().validity(Validity::expired(now))).unwrap();
    assert!(matches!(refused(&expired), webpki::Error::CertExpired { .. }));
    let future = root.issue(&leaf.clone().validity(Validity::future(now))).unwrap();
    assert!(matches!(refused(&future), webpki::Error::CertNotValidYet { .. }));
    let client = root.issue(&Leaf::client("a")).unwrap();
    assert!(matches!(refused(&client), webpki::Error::RequiredEkuNotFoundContext(_)));
    let code = root.issue(&leaf.extended(&[ExtendedUsage::CodeSigning])).unwrap();
    assert!(matches!(refused(&code), webpki::Error::RequiredEkuNotFoundContext(_)));
    let broken = server(&root).with_broken_signature();
    assert_eq!(refused(&broken), webpki::Error::InvalidSignatureForPublicKey);
    assert_eq!(refused(&server(&stranger)), webpki::Error::InvalidSignatureForPublicKey);
}

#[test]
fn revoked_certificates_are_on_the_list_and_others_not() {
    let root = Authority::root(Algorithm::P256, "root").unwrap();
    let (good, bad) = (server(&root), server(&root));
    let list = root.revoke(&[&bad]).unwrap();
    verify(&root, &good, KeyUsage::server_auth(), Some(&list)).unwrap();
    let refused = verify(&root, &bad, KeyUsage::server_auth(), Some(&list)).unwrap_err();
    assert_eq!(refused, webpki::Error::CertRevoked);
    let none = root.revoke(&[]).unwrap();
    verify(&root, &bad, KeyUsage::server_auth(), Some(&none)).unwrap();
}

#[test]
fn a_chain_of_sm2_is_signed_with_the_default_identifier() {
    let root = Authority::root(Algorithm::Sm2, "root").unwrap();
    let issuing = root.intermediate("issuing").unwrap();
    for (issued, issuer) in
        [(server(&issuing).der().to_vec(), issuing.key()), (issuing.der().to_vec(), root.key())]
    {
        let (_, certificate) = X509Certificate::from_der(&issued).unwrap();
        assert_eq!(certificate.signature_algorithm.algorithm.to_id_string(), "1.2.156.10197.1.501");
        let point: &[u8; 65] = issuer.public_point().try_into().unwrap();
        let key = palanquin_sm::sm2::PublicKey::from_uncompressed(point).unwrap();
        let signature =
            palanquin_sm::sm2::Signature::from_der(&certificate.signature_value.data).unwrap();
        let signed = certificate.tbs_certificate.as_ref();
        key.verify(palanquin_sm::sm2::DEFAULT_ID, &[signed], &signature).unwrap();
    }
}

#[test]
fn the_certificates_of_a_pair_differ_in_key_and_usage_only() {
    let root = Authority::root(Algorithm::Sm2, "root").unwrap();
    let pair = root.issue_pair(&Leaf::server("a.example").dns("a.example")).unwrap();
    let (_, sign) = X509Certificate::from_der(pair.sign.der()).unwrap();
    let (_, enc) = X509Certificate::from_der(pair.enc.der()).unwrap();
    let usage = |certificate: &X509Certificate<'_>| {
        let usage = certificate.key_usage().unwrap().unwrap().value;
        (usage.digital_signature(), usage.key_encipherment(), usage.key_agreement())
    };
    assert_eq!(usage(&sign), (true, false, false));
    assert_eq!(usage(&enc), (false, true, true));
    assert_eq!(sign.subject(), enc.subject());
    assert_ne!(sign.public_key(), enc.public_key());
}

#[test]
fn a_workload_has_its_identity_alone() {
    let root = Authority::root(Algorithm::P256, "root").unwrap();
    let issued = root.issue(&Leaf::workload("spiffe://td/ns/x/sa/y")).unwrap();
    let (rest, certificate) = X509Certificate::from_der(issued.der()).unwrap();
    assert!(rest.is_empty());
    assert_eq!(certificate.subject().iter().count(), 0);
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert!(names.critical);
    assert_eq!(names.value.general_names, [GeneralName::URI("spiffe://td/ns/x/sa/y")]);
    assert!(certificate.basic_constraints().unwrap().is_none());
    for usage in [KeyUsage::server_auth(), KeyUsage::client_auth()] {
        verify(&root, &issued, usage, None).unwrap();
    }
}

#[test]
fn names_that_are_not_ascii_are_refused() {
    let root = Authority::root(Algorithm::P256, "root").unwrap();
    let refused = root.issue(&Leaf::server("x").dns("caf\u{e9}.example"));
    assert!(matches!(refused, Err(Error::Name(name)) if name == "caf\u{e9}.example"));
}

#[test]
fn a_time_that_x509_cannot_write_is_refused() {
    let root = Authority::root(Algorithm::P256, "root").unwrap();
    let now = SystemTime::now();
    let far = Validity { not_before: now, not_after: now + Duration::from_hours(100_000_000) };
    assert!(matches!(root.issue(&Leaf::server("x").validity(far)), Err(Error::Time(_))));
}

#[test]
fn debug_shows_no_key() {
    let root = Authority::root(Algorithm::Sm2, "root").unwrap();
    let shown = format!("{:?} {:?}", server(&root).key(), root.key());
    assert_eq!(shown, "Key { algorithm: Sm2, .. } Key { algorithm: Sm2, .. }");
}
