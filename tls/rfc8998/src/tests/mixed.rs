//! Clients of both worlds.

use std::sync::Arc;

use rustls::ClientConnection;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::server::Acceptor;

use super::World;
use super::shake;
use crate::SM2SIG_SM3;
use crate::offers_sm;
use crate::provider;

/// Everything of the standard provider, and parts of ours.
fn both(sm_suites: bool, sm_groups: bool) -> Arc<CryptoProvider> {
    let mut crypto = rustls::crypto::aws_lc_rs::default_provider();
    if sm_suites {
        crypto.cipher_suites.extend(&provider().cipher_suites);
    }
    if sm_groups {
        crypto.kx_groups.extend(&provider().kx_groups);
    }
    Arc::new(crypto)
}

#[test]
fn an_sm_server_takes_only_sm_parts_of_a_hello_of_both_worlds() {
    let world = World::new();
    let server = world.server_config(provider(), true);
    let outcome = shake(server, world.client_config(&both(true, true))).worked();
    assert_eq!(u16::from(outcome.suite()), 0x00c6);
    assert_eq!(u16::from(outcome.group()), 0x11ee);
}

#[test]
fn half_an_offer_is_none() {
    let world = World::new();
    for (suites, groups, expected) in
        [(true, true, true), (true, false, false), (false, true, false)]
    {
        let config = Arc::new(world.client_config(&both(suites, groups)));
        let name = ServerName::try_from("a.test").unwrap();
        let mut client = ClientConnection::new(config, name).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        let mut acceptor = Acceptor::default();
        acceptor.read_tls(&mut &hello[..]).unwrap();
        let accepted = acceptor.accept().unwrap().unwrap();
        assert_eq!(offers_sm(&accepted.client_hello()), expected, "{suites} {groups}");
        assert!(accepted.client_hello().signature_schemes().contains(&SM2SIG_SM3));
    }
}
