//! Every suite with every group, one way and mutual.

use std::io::Read;
use std::io::Write;
use std::sync::Arc;

use rustls::CipherSuite;
use rustls::ConnectionCommon;
use rustls::NamedGroup;
use rustls::SideData;
use rustls::crypto::CryptoProvider;

use super::Outcome;
use super::World;
use super::shake;
use crate::CURVE_SM2;
use crate::CURVE_SM2_MLKEM768;
use crate::TLS_SM4_CCM_SM3;
use crate::TLS_SM4_GCM_SM3;
use crate::provider;

fn only(suite: CipherSuite, group: NamedGroup) -> Arc<CryptoProvider> {
    let mut crypto = CryptoProvider::clone(provider());
    crypto.cipher_suites.retain(|known| known.suite() == suite);
    crypto.kx_groups.retain(|known| known.name() == group);
    Arc::new(crypto)
}

/// 100 KiB each way.
fn exchange(outcome: &mut Outcome) {
    let Outcome { server, client, .. } = outcome;
    carry(client, server);
    carry(server, client);
}

fn carry<A: SideData, B: SideData>(from: &mut ConnectionCommon<A>, to: &mut ConnectionCommon<B>) {
    let message = vec![0x5a; 100 * 1024];
    let mut received = Vec::new();
    from.set_buffer_limit(None);
    from.writer().write_all(&message).unwrap();
    while from.wants_write() {
        let mut wire = Vec::new();
        from.write_tls(&mut wire).unwrap();
        let mut rest = &wire[..];
        while !rest.is_empty() {
            to.read_tls(&mut rest).unwrap();
            let waiting = to.process_new_packets().unwrap().plaintext_bytes_to_read();
            let old = received.len();
            received.resize(old + waiting, 0);
            to.reader().read_exact(&mut received[old..]).unwrap();
        }
    }
    assert!(received == message);
}

#[test]
fn both_suites_work_with_both_groups_one_way_and_mutual() {
    let world = World::new();
    for suite in [TLS_SM4_GCM_SM3, TLS_SM4_CCM_SM3] {
        for group in [CURVE_SM2, CURVE_SM2_MLKEM768] {
            for mutual in [false, true] {
                let crypto = only(suite, group);
                let server = world.server_config(&crypto, mutual);
                let mut outcome = shake(server, world.client_config(&crypto)).worked();
                assert_eq!((outcome.suite(), outcome.group()), (suite, group));
                let peer = outcome.server.peer_certificates();
                let seen = peer.map(|chain| chain[0].to_vec());
                assert_eq!(seen, mutual.then(|| world.client.der().to_vec()));
                exchange(&mut outcome);
            }
        }
    }
}

#[test]
fn gcm_and_the_hybrid_group_come_first_and_alpn_is_agreed() {
    let world = World::new();
    let mut server = world.server_config(provider(), false);
    server.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = world.client_config(provider());
    client.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let outcome = shake(server, client).worked();
    assert_eq!((outcome.suite(), outcome.group()), (TLS_SM4_GCM_SM3, CURVE_SM2_MLKEM768));
    assert_eq!(outcome.client.alpn_protocol(), Some(&b"h2"[..]));
}

#[test]
fn a_server_without_the_hybrid_group_takes_the_point_that_came_along() {
    let world = World::new();
    let server = world.server_config(&only(TLS_SM4_GCM_SM3, CURVE_SM2), false);
    let outcome = shake(server, world.client_config(provider())).worked();
    assert_eq!(outcome.group(), CURVE_SM2);
    assert_eq!(outcome.server.handshake_kind(), Some(rustls::HandshakeKind::Full));
}

#[test]
fn without_a_common_suite_or_group_the_handshake_fails() {
    use rustls::AlertDescription::HandshakeFailure;
    let world = World::new();
    for (server, client) in [
        (only(TLS_SM4_GCM_SM3, CURVE_SM2), only(TLS_SM4_CCM_SM3, CURVE_SM2)),
        (only(TLS_SM4_GCM_SM3, CURVE_SM2), only(TLS_SM4_GCM_SM3, CURVE_SM2_MLKEM768)),
    ] {
        let outcome = shake(world.server_config(&server, false), world.client_config(&client));
        assert_eq!(outcome.client_error, Some(rustls::Error::AlertReceived(HandshakeFailure)));
    }
}

#[test]
fn a_changed_record_is_refused() {
    let world = World::new();
    let mut outcome =
        shake(world.server_config(provider(), false), world.client_config(provider())).worked();
    outcome.client.writer().write_all(b"hello").unwrap();
    let mut wire = Vec::new();
    outcome.client.write_tls(&mut wire).unwrap();
    *wire.last_mut().unwrap() ^= 1;
    outcome.server.read_tls(&mut &wire[..]).unwrap();
    let error = outcome.server.process_new_packets().unwrap_err();
    assert_eq!(error, rustls::Error::DecryptError);
}
