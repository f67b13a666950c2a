//! HelloRetryRequest.

use std::sync::Arc;

use rustls::AlertDescription;
use rustls::Error;
use rustls::HandshakeKind;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::kx_group::SECP256R1;

use super::World;
use super::shake;
use super::shake_shared;
use crate::CURVE_SM2;
use crate::GROUPS;
use crate::TLS_SM4_GCM_SM3;
use crate::provider;

/// A client whose first share is of a group that the server has not.
fn guesses_wrong() -> Arc<CryptoProvider> {
    let mut crypto = CryptoProvider::clone(provider());
    crypto.kx_groups = vec![SECP256R1, GROUPS[1]];
    crypto.cipher_suites.retain(|suite| suite.suite() == TLS_SM4_GCM_SM3);
    Arc::new(crypto)
}

#[test]
fn a_client_that_guessed_another_group_is_asked_for_curve_sm2() {
    let world = World::new();
    let server = world.server_config(provider(), true);
    let outcome = shake(server, world.client_config(&guesses_wrong())).worked();
    assert_eq!(outcome.group(), CURVE_SM2);
    let kind = Some(HandshakeKind::FullWithHelloRetryRequest);
    assert_eq!((outcome.server.handshake_kind(), outcome.client.handshake_kind()), (kind, kind));
}

#[test]
fn a_client_that_sent_only_a_point_is_asked_for_the_hybrid_group() {
    let world = World::new();
    let mut hybrid = CryptoProvider::clone(provider());
    hybrid.kx_groups.truncate(1);
    let mut client = CryptoProvider::clone(provider());
    client.kx_groups.reverse();
    let server = world.server_config(&Arc::new(hybrid), false);
    let outcome = shake(server, world.client_config(&Arc::new(client))).worked();
    assert_eq!(outcome.group(), crate::CURVE_SM2_MLKEM768);
}

#[test]
fn another_suite_in_the_second_hello_is_refused() {
    let world = World::new();
    let server = Arc::new(world.server_config(provider(), false));
    let client = Arc::new(world.client_config(&guesses_wrong()));
    let mut hellos = 0;
    let outcome = shake_shared(&server, &client, &mut |bytes| {
        // After the change_cipher_spec record that RFC 8446 §D.4 puts before it.
        let skip = if bytes.first() == Some(&20) { 6 } else { 0 };
        if bytes.get(skip) != Some(&22) {
            return;
        }
        hellos += 1;
        // Headers, version, random, session id, length of the list.
        let suite = skip + 5 + 4 + 2 + 32 + 1 + 32 + 2;
        assert_eq!(bytes[suite..suite + 2], [0x00, 0xc6]);
        if hellos == 2 {
            bytes[suite + 1] = 0xc7;
        }
    });
    assert_eq!(hellos, 2);
    assert_eq!(
        outcome.client_error,
        Some(Error::AlertReceived(AlertDescription::IllegalParameter))
    );
    assert!(
        matches!(outcome.server_error, Some(Error::PeerMisbehaved(_))),
        "{:?}",
        outcome.server_error
    );
}
