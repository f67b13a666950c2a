//! Resumption by tickets.

use std::sync::Arc;
use std::time::Duration;

use rustls::HandshakeKind;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;

use super::World;
use super::shake_shared;
use crate::TLS_SM4_CCM_SM3;
use crate::Ticketer;
use crate::provider;

fn tickets() -> Arc<Ticketer> {
    Arc::new(Ticketer::generated(Duration::from_hours(1)).unwrap())
}

#[test]
fn a_session_is_resumed_and_keeps_the_clients_identity() {
    let world = World::new();
    for mutual in [false, true] {
        let mut server = world.server_config(provider(), mutual);
        server.ticketer = tickets();
        let mut client = world.client_config(provider());
        client.resumption = Resumption::in_memory_sessions(4);
        let (server, client) = (Arc::new(server), Arc::new(client));
        let first = shake_shared(&server, &client, &mut |_| {}).worked();
        assert_eq!(first.server.handshake_kind(), Some(HandshakeKind::Full));
        let second = shake_shared(&server, &client, &mut |_| {}).worked();
        assert_eq!(second.server.handshake_kind(), Some(HandshakeKind::Resumed));
        let peer = second.server.peer_certificates().map(|chain| chain[0].to_vec());
        assert_eq!(peer, mutual.then(|| world.client.der().to_vec()));
    }
}

#[test]
fn a_ticket_of_another_context_or_of_the_other_suite_leads_to_a_full_handshake() {
    let world = World::new();
    let mut ccm = CryptoProvider::clone(provider());
    ccm.cipher_suites.retain(|suite| suite.suite() == TLS_SM4_CCM_SM3);
    let shared = tickets();
    for (crypto, tickets) in
        [(Arc::clone(provider()), tickets()), (Arc::new(ccm), Arc::clone(&shared))]
    {
        let mut issuing = world.server_config(provider(), false);
        issuing.ticketer = Arc::clone(&shared) as _;
        let mut asked = world.server_config(&crypto, false);
        asked.ticketer = tickets;
        let mut client = world.client_config(provider());
        client.resumption = Resumption::in_memory_sessions(4);
        let client = Arc::new(client);
        shake_shared(&Arc::new(issuing), &client, &mut |_| {}).worked();
        let second = shake_shared(&Arc::new(asked), &client, &mut |_| {}).worked();
        assert_eq!(second.server.handshake_kind(), Some(HandshakeKind::Full));
    }
}
