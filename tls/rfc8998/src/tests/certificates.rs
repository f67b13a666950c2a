//! Certificates and signatures that must be refused, on both sides.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use palanquin_pki::Algorithm;
use palanquin_pki::Authority;
use palanquin_pki::Issued;
use palanquin_pki::Leaf;
use palanquin_pki::Usage;
use palanquin_pki::Validity;
use palanquin_sm::keys;
use palanquin_sm::sm2::DEFAULT_ID;
use palanquin_sm::sm2::PrivateKey;
use rustls::AlertDescription;
use rustls::Error;
use rustls::SignatureAlgorithm;
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::Signer;
use rustls::sign::SigningKey;

use super::Outcome;
use super::World;
use super::certified;
use super::certified_by;
use super::shake;
use crate::SM2SIG_SM3;
use crate::provider;

/// Signs CertificateVerify with the identifier of certificates.
#[derive(Debug, Clone)]
struct WrongId(Arc<PrivateKey>);

impl WrongId {
    fn of(issued: &Issued) -> Arc<dyn SigningKey> {
        let pem = issued.key_pem();
        let PrivateKeyDer::Pkcs8(der) = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap()
        else {
            panic!("not PKCS#8")
        };
        let key = keys::from_pkcs8_der(der.secret_pkcs8_der()).unwrap();
        Arc::new(Self(Arc::new(key)))
    }
}

impl SigningKey for WrongId {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(self.clone()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::Unknown(8)
    }
}

impl Signer for WrongId {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(DEFAULT_ID, &[message]).unwrap().to_der())
    }

    fn scheme(&self) -> SignatureScheme {
        SM2SIG_SM3
    }
}

fn with_server(world: &World, issued: &Issued) -> Outcome {
    let server = world.server_with(provider(), true, certified(issued));
    shake(server, world.client_config(provider()))
}

fn with_client(world: &World, issued: &Issued) -> Outcome {
    let server = world.server_config(provider(), true);
    shake(server, world.client_with(provider(), certified(issued)))
}

#[test]
fn the_wrong_sm2_identifier_is_a_decrypt_error_on_both_sides() {
    let world = World::new();
    let alert = Some(Error::AlertReceived(AlertDescription::DecryptError));
    let own = certified_by(&world.server, WrongId::of(&world.server));
    let server = world.server_with(provider(), false, own);
    let outcome = shake(server, world.client_config(provider()));
    assert_eq!(outcome.server_error, alert);

    let own = certified_by(&world.client, WrongId::of(&world.client));
    let client = world.client_with(provider(), own);
    let outcome = shake(world.server_config(provider(), true), client);
    assert_eq!(outcome.client_error, alert);
}

#[test]
fn bad_certificates_are_refused_on_both_sides_with_the_alert_of_their_fault() {
    let world = World::new();
    let authority = &world.authority;
    let start = SystemTime::now() - Duration::from_hours(72);
    let past = Validity::days(start, 1);
    let stranger = Authority::root(Algorithm::Sm2, "root").unwrap();
    let namesake = Authority::root(Algorithm::Sm2, "elsewhere").unwrap();
    let server = || Leaf::server("a.test").dns("a.test");
    let client = || Leaf::client("client");
    for (what, by_server, by_client, expected) in [
        (
            "expired",
            authority.issue(&server().validity(past)),
            authority.issue(&client().validity(past)),
            AlertDescription::CertificateExpired,
        ),
        (
            "bad signature",
            authority.issue(&server()).map(Issued::with_broken_signature),
            authority.issue(&client()).map(Issued::with_broken_signature),
            AlertDescription::DecryptError,
        ),
        (
            "unknown authority of the same name",
            stranger.issue(&server()),
            stranger.issue(&client()),
            AlertDescription::DecryptError,
        ),
        (
            "unknown authority",
            namesake.issue(&server()),
            namesake.issue(&client()),
            AlertDescription::UnknownCA,
        ),
        (
            "wrong extended usage",
            authority.issue(&Leaf::client("a.test").dns("a.test")),
            authority.issue(&Leaf::server("client")),
            AlertDescription::UnsupportedCertificate,
        ),
        (
            "for encryption",
            authority.issue(&server().usage(Some(Usage::ENCRYPTION))),
            authority.issue(&client().usage(Some(Usage::ENCRYPTION))),
            AlertDescription::UnsupportedCertificate,
        ),
    ] {
        let alert = Some(Error::AlertReceived(expected));
        assert_eq!(with_server(&world, &by_server.unwrap()).server_error, alert, "{what}");
        assert_eq!(with_client(&world, &by_client.unwrap()).client_error, alert, "{what}");
    }
}

#[test]
fn a_certificate_without_key_usage_and_one_under_an_intermediate_are_taken() {
    let world = World::new();
    let below = world.authority.intermediate("below").unwrap();
    let leaf = Leaf::server("a.test").dns("a.test");
    with_server(&world, &below.issue(&leaf).unwrap()).worked();
    with_server(&world, &world.authority.issue(&leaf.usage(None)).unwrap()).worked();
}

#[test]
fn a_standard_certificate_never_serves_and_is_never_taken() {
    let world = World::new();
    let standard = Authority::root(Algorithm::P256, "standard").unwrap();
    let issued = standard.issue(&Leaf::server("a.test").dns("a.test")).unwrap();
    let der = PrivateKeyDer::from_pem_slice(issued.key_pem().as_bytes()).unwrap();
    assert!(provider().key_provider.load_private_key(der).is_err());
    // A P-256 certificate whose owner signs with an SM2 key.
    let own = certified_by(&issued, key_of(&world.server));
    let outcome = shake(world.server_with(provider(), false, own), world.client_config(provider()));
    assert!(outcome.client_error.is_some() && outcome.client.is_handshaking());
}

fn key_of(issued: &Issued) -> Arc<dyn SigningKey> {
    Arc::clone(&certified(issued).key)
}

#[test]
fn no_key_shows_in_debug_output() {
    let world = World::new();
    let pem = world.server.key_pem();
    let PrivateKeyDer::Pkcs8(der) = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap() else {
        panic!("not PKCS#8")
    };
    let secret = keys::from_pkcs8_der(der.secret_pkcs8_der()).unwrap().to_bytes();
    let text = format!("{:?}", certified(&world.server));
    let hex: Vec<_> = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.concat();
    let list = format!("{:?}", &secret[..8]);
    let list = list.trim_end_matches(']');
    assert!(!text.contains(&hex[..16]) && !text.contains(list), "{text}");
}
