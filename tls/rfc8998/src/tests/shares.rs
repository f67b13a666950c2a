//! Shares that are not what the group prescribes.

use std::sync::Arc;

use rustls::AlertDescription;
use rustls::Error;
use rustls::NamedGroup;
use rustls::PeerMisbehaved;
use rustls::crypto::ActiveKeyExchange;
use rustls::crypto::CompletedKeyExchange;
use rustls::crypto::CryptoProvider;
use rustls::crypto::SharedSecret;
use rustls::crypto::SupportedKxGroup;

use super::World;
use super::shake;
use crate::CURVE_SM2;
use crate::CURVE_SM2_MLKEM768;
use crate::GROUPS;
use crate::provider;

/// Sends a made-up share.
#[derive(Debug, Clone)]
struct Forger {
    group: NamedGroup,
    share: Vec<u8>,
}

impl SupportedKxGroup for Forger {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(self.clone()))
    }

    fn start_and_complete(&self, _: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let secret = SharedSecret::from(&[7; 32][..]);
        Ok(CompletedKeyExchange { group: self.group, pub_key: self.share.clone(), secret })
    }

    fn name(&self) -> NamedGroup {
        self.group
    }
}

impl ActiveKeyExchange for Forger {
    fn complete(self: Box<Self>, _: &[u8]) -> Result<SharedSecret, Error> {
        unreachable!("the server must not answer")
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn group(&self) -> NamedGroup {
        self.group
    }
}

fn forging(group: NamedGroup, share: Vec<u8>) -> Arc<CryptoProvider> {
    let forger = Box::leak(Box::new(Forger { group, share }));
    Arc::new(CryptoProvider { kx_groups: vec![forger], ..CryptoProvider::clone(provider()) })
}

/// A good share of each side: the client's and the server's.
fn good(group: NamedGroup) -> (Vec<u8>, Vec<u8>) {
    let group = GROUPS.into_iter().find(|known| known.name() == group).unwrap();
    let client = group.start().unwrap().pub_key().to_vec();
    let server = group.start_and_complete(&client).unwrap().pub_key;
    (client, server)
}

/// What a point must not be.
fn bad_points(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut off_curve = good.to_vec();
    off_curve[64] ^= 1;
    let mut hybrid_form = good.to_vec();
    hybrid_form[0] = 6 + (good[64] & 1);
    let mut unreduced = good.to_vec();
    unreduced[1..33].fill(0xff);
    let mut compressed = vec![2 + (good[64] & 1)];
    compressed.extend_from_slice(&good[1..33]);
    let mut long = good.to_vec();
    long.push(0);
    let mut zero = vec![0; 65];
    zero[0] = 4;
    vec![
        ("off the curve", off_curve),
        ("hybrid form", hybrid_form),
        ("coordinate not reduced", unreduced),
        ("compressed", compressed),
        ("infinity", vec![0]),
        ("infinity, padded", vec![0; 65]),
        ("zero", zero),
        ("short", good[..64].to_vec()),
        ("long", long),
        ("one byte", vec![4]),
    ]
}

fn refused_from_client(world: &World, group: NamedGroup, what: &str, share: Vec<u8>) {
    let server = world.server_config(provider(), false);
    let outcome = shake(server, world.client_config(&forging(group, share)));
    assert_eq!(
        outcome.server_error,
        Some(Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare)),
        "{what}"
    );
    let alert = Error::AlertReceived(AlertDescription::IllegalParameter);
    assert_eq!(outcome.client_error, Some(alert), "{what}");
}

fn refused_from_server(world: &World, group: NamedGroup, what: &str, share: Vec<u8>) {
    let server = world.server_config(&forging(group, share), false);
    let outcome = shake(server, world.client_config(provider()));
    assert_eq!(
        outcome.client_error,
        Some(Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare)),
        "{what}"
    );
    let alert = Error::AlertReceived(AlertDescription::IllegalParameter);
    assert_eq!(outcome.server_error, Some(alert), "{what}");
}

#[test]
fn a_point_of_any_wrong_form_is_an_illegal_parameter_on_both_sides() {
    let world = World::new();
    for (what, share) in bad_points(&good(CURVE_SM2).0) {
        refused_from_client(&world, CURVE_SM2, what, share.clone());
        refused_from_server(&world, CURVE_SM2, what, share);
    }
}

#[test]
fn a_hybrid_share_with_a_wrong_point_is_an_illegal_parameter_on_both_sides() {
    let world = World::new();
    let (client, server) = good(CURVE_SM2_MLKEM768);
    for (what, point) in bad_points(&client[..65]) {
        let share = [&point[..], &client[65..]].concat();
        refused_from_client(&world, CURVE_SM2_MLKEM768, what, share);
    }
    for (what, point) in bad_points(&server[..65]) {
        let share = [&point[..], &server[65..]].concat();
        refused_from_server(&world, CURVE_SM2_MLKEM768, what, share);
    }
}

#[test]
fn a_hybrid_share_of_another_length_or_with_an_invalid_key_ends_the_handshake() {
    let world = World::new();
    let (client, server) = good(CURVE_SM2_MLKEM768);
    // The two halves in the order that other hybrid groups have.
    let swapped = [&client[65..], &client[..65]].concat();
    // FIPS 203 §7.2: every coefficient must be below the modulus.
    let mut unreduced = client.clone();
    unreduced[65..65 + 3].fill(0xff);
    for (what, share) in [
        ("truncated", client[..client.len() - 1].to_vec()),
        ("only the point", client[..65].to_vec()),
        ("too long", [&client[..], &[0]].concat()),
        ("swapped", swapped),
        ("unreduced key", unreduced),
        ("a server's share", server.clone()),
    ] {
        refused_from_client(&world, CURVE_SM2_MLKEM768, what, share);
    }
    for (what, share) in [
        ("truncated", server[..server.len() - 1].to_vec()),
        ("only the point", server[..65].to_vec()),
        ("too long", [&server[..], &[0]].concat()),
        ("a client's share", client),
    ] {
        refused_from_server(&world, CURVE_SM2_MLKEM768, what, share);
    }
}

#[test]
fn a_changed_ciphertext_is_found_when_the_keys_differ() {
    let group = GROUPS[0];
    let exchange = group.start().unwrap();
    let mut completed = group.start_and_complete(exchange.pub_key()).unwrap();
    completed.pub_key[100] ^= 1;
    let secret = exchange.complete(&completed.pub_key).unwrap();
    // ML-KEM rejects implicitly: by another secret.
    assert_ne!(secret.secret_bytes()[32..], completed.secret.secret_bytes()[32..]);
    assert_eq!(secret.secret_bytes()[..32], completed.secret.secret_bytes()[..32]);
}

#[test]
fn whatever_byte_of_a_share_is_changed_it_is_refused_or_gives_another_secret() {
    let group = GROUPS[0];
    let exchange = group.start().unwrap();
    let client = exchange.pub_key().to_vec();
    for at in (0..65).chain((65..client.len()).step_by(13)) {
        let mut changed = client.clone();
        changed[at] ^= 0x55;
        match group.start_and_complete(&changed) {
            Err(error) => assert_eq!(error, PeerMisbehaved::InvalidKeyShare.into()),
            Ok(completed) => assert!(at >= 65 && completed.secret.secret_bytes().len() == 64),
        }
    }
    let server = group.start_and_complete(&client).unwrap();
    for at in (0..65).chain((65..server.pub_key.len()).step_by(13)) {
        let mut changed = server.pub_key.clone();
        changed[at] ^= 0x55;
        // Every attempt takes an exchange of its own; the secrets differ anyway.
        match group.start().unwrap().complete(&changed) {
            Err(error) => assert_eq!(error, PeerMisbehaved::InvalidKeyShare.into()),
            Ok(secret) => assert_ne!(secret.secret_bytes(), server.secret.secret_bytes()),
        }
    }
}
