//! Pairs of certificates that are wrong, and where each is refused.

use std::sync::Arc;
use std::time::SystemTime;

use palanquin_pki::Usage;
use palanquin_pki::Validity;

use super::*;
use crate::CertificateFault;
use crate::DualCertificateError;
use crate::certificates::Pair;

/// A pair that [`DualCertificate::new`] would refuse.
fn unchecked(list: Vec<KeyedCertificate>) -> Arc<DualCertificate> {
    Arc::new(DualCertificate::unchecked(list))
}

fn refused_by_client(server: Arc<DualCertificate>, suite: CipherSuite) -> Outcome {
    let config = ServerConfig {
        certificates: Arc::new(Always(server)),
        suites: vec![suite],
        ..mutual_server_config()
    };
    let (mut client, mut server) = (client(mutual_client_config()), super::server(config));
    pump(&mut client, &mut server, usize::MAX)
}

fn refused_by_server(client: Arc<DualCertificate>, suite: CipherSuite) -> Outcome {
    let config = ClientConfig { certificate: Some(client), ..client_config() };
    let server_config = ServerConfig { suites: vec![suite], ..mutual_server_config() };
    let (mut client, mut server) = (super::client(config), server(server_config));
    pump(&mut client, &mut server, usize::MAX)
}

#[test]
fn our_own_pair_is_looked_at_before_it_is_used() {
    let pair = &PKI.server;
    let swapped = DualCertificate::new(keyed(&pair.enc), keyed(&pair.sign), Vec::new());
    assert_eq!(swapped.unwrap_err(), CertificateFault::NotForSigning.into());
    let same = DualCertificate::new(keyed(&pair.sign), keyed(&pair.sign), Vec::new());
    assert_eq!(same.unwrap_err(), CertificateFault::NotForEncryption.into());
    let wrong_key =
        KeyedCertificate::new(der(pair.enc.der()), Arc::new(PrivateKey::generate().unwrap()));
    let mismatched = DualCertificate::new(keyed(&pair.sign), wrong_key, Vec::new());
    assert_eq!(mismatched.unwrap_err(), DualCertificateError::KeyMismatch("encryption"));
    let p256 = Authority::root(Algorithm::P256, "P-256").unwrap();
    let issued = p256.issue(&Leaf::server("server")).unwrap();
    let key = Arc::new(PrivateKey::generate().unwrap());
    let standard = KeyedCertificate::new(der(issued.der()), key);
    let standard = DualCertificate::sign_only(standard, Vec::new());
    assert_eq!(standard.unwrap_err(), CertificateFault::NotSm2.into());
}

#[test]
fn a_swapped_pair_and_one_of_the_same_usage_are_refused_on_both_sides() {
    let both = Usage::SIGN | Usage::ENCRYPTION;
    for suite in CipherSuite::ALL {
        for (leaf, is_client) in
            [(Leaf::server("s").dns("server.example"), false), (Leaf::client("c"), true)]
        {
            let issue = |usage| keyed(&PKI.root.issue(&leaf.clone().usage(usage)).unwrap());
            let wrong = [
                vec![issue(Some(Usage::ENCRYPTION)), issue(Some(Usage::SIGN))],
                vec![issue(Some(Usage::SIGN)), issue(Some(Usage::SIGN))],
                vec![issue(Some(both)), issue(Some(both))],
                vec![issue(None), issue(None)],
            ];
            for pair in wrong {
                let pair = unchecked(pair);
                if is_client {
                    let outcome = refused_by_server(pair, suite);
                    assert!(matches!(outcome.server, Some(Error::Certificates(_))), "{outcome:?}");
                    let alert = Error::AlertReceived(Alert::BAD_CERTIFICATE).to_string();
                    assert_eq!(outcome.client.unwrap().to_string(), alert);
                } else {
                    let outcome = refused_by_client(pair, suite);
                    assert!(matches!(outcome.client, Some(Error::Certificates(_))), "{outcome:?}");
                    let alert = Error::AlertReceived(Alert::BAD_CERTIFICATE).to_string();
                    assert_eq!(outcome.server.unwrap().to_string(), alert);
                }
            }
        }
    }
}

#[test]
fn a_single_certificate_is_refused_of_a_server_and_of_a_client_under_ecdhe() {
    let list = vec![der(PKI.server.sign.der())];
    let fault = PeerCertificates::sort(list, Pair::Required).unwrap_err();
    assert_eq!(fault, CertificateFault::NoEncryption);
    let alone = unchecked(vec![keyed(&PKI.client.sign)]);
    let config = ClientConfig { certificate: Some(alone), ..client_config() };
    let server_config =
        ServerConfig { suites: vec![CipherSuite::EcdheGcm], ..mutual_server_config() };
    let (mut client, mut server) = (client(config), server(server_config));
    let outcome = pump(&mut client, &mut server, usize::MAX);
    // The client does not offer the suite at all.
    assert!(matches!(outcome.server, Some(Error::NothingInCommon(_))), "{outcome:?}");
}

#[test]
fn both_orders_of_a_chain_are_accepted() {
    let middle = PKI.root.intermediate("middle").unwrap();
    let pair = middle.issue_pair(&Leaf::server("s").dns("server.example")).unwrap();
    let (sign, enc, issuer) = (der(pair.sign.der()), der(pair.enc.der()), der(middle.der()));
    let root = der(PKI.root.der());
    let orders = [
        vec![sign.clone(), enc.clone(), issuer.clone()],
        vec![sign.clone(), issuer.clone(), enc.clone()],
        vec![sign.clone(), issuer.clone(), root.clone(), enc.clone()],
    ];
    for order in orders {
        let peer = PeerCertificates::sort(order, Pair::Required).unwrap();
        assert_eq!((&peer.sign, peer.enc.as_ref()), (&sign, Some(&enc)));
        assert_eq!(peer.intermediates[0], issuer);
        ByRoot::new(&PKI.root).verify(&peer, Some("server.example"), UnixTime::now()).unwrap();
    }
    let order = vec![sign.clone(), issuer.clone()];
    let peer = PeerCertificates::sort(order.clone(), Pair::Optional).unwrap();
    assert_eq!((peer.enc, peer.intermediates), (None, vec![issuer]));
    assert!(PeerCertificates::sort(order, Pair::Required).is_err());
}

#[test]
fn certificates_of_strangers_and_of_other_times_get_the_fitting_alert() {
    let other = Authority::root(Algorithm::Sm2, "another root").unwrap();
    let server = Leaf::server("s").dns("server.example");
    let expired = server.clone().validity(Validity::expired(SystemTime::now()));
    let renamed = Leaf::server("s").dns("elsewhere.example");
    let cases = [
        (other.issue_pair(&server).unwrap(), Alert::UNKNOWN_CA),
        (PKI.root.issue_pair(&expired).unwrap(), Alert::CERTIFICATE_EXPIRED),
        (PKI.root.issue_pair(&renamed).unwrap(), Alert::BAD_CERTIFICATE),
    ];
    for (pair, alert) in cases {
        let outcome = refused_by_client(dual(&pair), CipherSuite::EccGcm);
        assert!(matches!(outcome.client, Some(Error::Verify(_))), "{outcome:?}");
        assert!(matches!(outcome.server, Some(Error::AlertReceived(got)) if got == alert));
    }
    let pair = other.issue_pair(&Leaf::client("stranger")).unwrap();
    for suite in CipherSuite::ALL {
        let outcome = refused_by_server(dual(&pair), suite);
        assert!(matches!(outcome.server, Some(Error::Verify(_))), "{outcome:?}");
        let got = outcome.client.unwrap();
        assert!(matches!(got, Error::AlertReceived(Alert::UNKNOWN_CA)), "{got:?}");
    }
}

#[test]
fn the_encryption_certificate_is_verified_as_well_as_the_signing_one() {
    let other = Authority::root(Algorithm::Sm2, "another root").unwrap();
    let theirs = other.issue_pair(&Leaf::server("s").dns("server.example")).unwrap();
    let mixed = unchecked(vec![keyed(&PKI.server.sign), keyed(&theirs.enc)]);
    let outcome = refused_by_client(mixed, CipherSuite::EccGcm);
    assert!(matches!(outcome.client, Some(Error::Verify(_))), "{outcome:?}");
}

#[test]
fn a_client_without_certificate_is_refused_where_one_is_required() {
    let (mut client, mut server) = (client(client_config()), server(mutual_server_config()));
    let outcome = pump(&mut client, &mut server, usize::MAX);
    assert!(matches!(outcome.server, Some(Error::NoPeerCertificate)), "{outcome:?}");
    let got = outcome.client.unwrap();
    assert!(matches!(got, Error::AlertReceived(Alert::HANDSHAKE_FAILURE)), "{got:?}");
}

#[test]
fn a_certificate_whose_key_the_peer_does_not_have_is_refused() {
    let stolen = |certificate: &Issued| {
        let key = Arc::new(PrivateKey::generate().unwrap());
        KeyedCertificate::new(der(certificate.der()), key)
    };
    let server = unchecked(vec![stolen(&PKI.server.sign), keyed(&PKI.server.enc)]);
    for suite in CipherSuite::ALL {
        let outcome = refused_by_client(server.clone(), suite);
        assert!(matches!(outcome.client, Some(Error::Decrypt("ServerKeyExchange"))));
        assert!(matches!(outcome.server, Some(Error::AlertReceived(Alert::DECRYPT_ERROR))));
        let client = unchecked(vec![stolen(&PKI.client.sign), keyed(&PKI.client.enc)]);
        let outcome = refused_by_server(client, suite);
        assert!(matches!(outcome.server, Some(Error::Decrypt("CertificateVerify"))));
        assert!(matches!(outcome.client, Some(Error::AlertReceived(Alert::DECRYPT_ERROR))));
    }
    // With the wrong encryption key both sides come to other secrets, which shows at Finished.
    let server = unchecked(vec![keyed(&PKI.server.sign), stolen(&PKI.server.enc)]);
    for suite in CipherSuite::ALL {
        let outcome = refused_by_client(server.clone(), suite);
        assert!(matches!(outcome.server, Some(Error::Record)), "{outcome:?}");
    }
}
