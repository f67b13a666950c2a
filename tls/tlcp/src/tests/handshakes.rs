//! Handshakes that succeed.

use std::sync::Arc;

use super::*;
use crate::KeyExchange;

fn text() -> Vec<u8> {
    (0..100_000u32).map(|number| (number * 7) as u8).collect()
}

#[test]
fn every_suite_one_way_and_mutual_carries_data_and_is_taken_up_again() {
    for suite in CipherSuite::ALL {
        for mutual in [false, true] {
            if !mutual && suite.key_exchange() == KeyExchange::Ecdhe {
                continue;
            }
            let mut server = if mutual { mutual_server_config() } else { server_config() };
            server.suites = vec![suite];
            let client = if mutual { mutual_client_config() } else { client_config() };
            for resumed in [false, true] {
                let (mut client, mut server) = connected(&client, &server);
                for side in [&client, &server] {
                    let established = side.established().unwrap();
                    assert_eq!(established.suite, suite);
                    assert_eq!(established.resumed, resumed, "{suite} mutual: {mutual}");
                    assert_eq!(established.server_name.as_deref(), Some("server.example"));
                }
                let peer = client.established().unwrap().peer.clone().unwrap();
                assert_eq!(peer.sign.as_ref(), PKI.server.sign.der());
                let peer = server.established().unwrap().peer.clone();
                let peer =
                    peer.map(|peer| (peer.sign.to_vec(), peer.enc.clone().unwrap().to_vec()));
                let pair = (PKI.client.sign.der().to_vec(), PKI.client.enc.der().to_vec());
                assert_eq!(peer, mutual.then_some(pair));
                carry(&mut client, &mut server, &text());
                carry(&mut server, &mut client, &text());
            }
        }
    }
}

#[test]
fn a_handshake_in_pieces_of_one_byte_succeeds() {
    for suite in CipherSuite::ALL {
        let server_config = ServerConfig { suites: vec![suite], ..mutual_server_config() };
        let (mut client, mut server) = (client(mutual_client_config()), server(server_config));
        let outcome = pump(&mut client, &mut server, 1);
        assert!(outcome.client.is_none() && outcome.server.is_none(), "{outcome:?}");
        assert!(client.established().is_some() && server.established().is_some());
    }
}

#[test]
fn ecdhe_without_client_authentication_takes_an_unknown_client_with_a_pair() {
    let other = Authority::root(Algorithm::Sm2, "another root").unwrap();
    let pair = other.issue_pair(&Leaf::client("stranger")).unwrap();
    let client = ClientConfig { certificate: Some(dual(&pair)), ..client_config() };
    let server = ServerConfig { suites: vec![CipherSuite::EcdheGcm], ..server_config() };
    connected(&client, &server);
}

#[test]
fn the_servers_order_decides_and_ecdhe_comes_last_without_client_authentication() {
    let order = vec![CipherSuite::EcdheGcm, CipherSuite::EcdheCbc, CipherSuite::EccCbc];
    let server = ServerConfig { suites: order.clone(), ..server_config() };
    let (client, _) = connected(&mutual_client_config(), &server);
    assert_eq!(client.established().unwrap().suite, CipherSuite::EccCbc);
    let server = ServerConfig { suites: order, ..mutual_server_config() };
    let (client, _) = connected(&mutual_client_config(), &server);
    assert_eq!(client.established().unwrap().suite, CipherSuite::EcdheGcm);
}

#[test]
fn the_servers_first_protocol_that_the_client_knows_is_agreed_on() {
    let protocols = |list: &[&str]| list.iter().map(|name| name.as_bytes().to_vec()).collect();
    let server = ServerConfig { protocols: protocols(&["h2", "http/1.1"]), ..server_config() };
    let config = ClientConfig { protocols: protocols(&["http/1.1", "h2"]), ..client_config() };
    let (client, other) = connected(&config, &server);
    assert_eq!(client.established().unwrap().protocol.as_deref(), Some(&b"h2"[..]));
    assert_eq!(other.established().unwrap().protocol.as_deref(), Some(&b"h2"[..]));
    let config = ClientConfig { protocols: protocols(&["spdy"]), ..client_config() };
    let (client, _) = connected(&config, &server);
    assert_eq!(client.established().unwrap().protocol, None);
}

#[test]
fn an_optional_client_may_have_no_certificate_or_a_signing_one_only() {
    let optional = ClientAuth::Optional(ByRoot::new(&PKI.root));
    let server = ServerConfig { client_auth: optional, ..server_config() };
    let (_, open) = connected(&client_config(), &server);
    assert!(open.established().unwrap().peer.is_none());
    let alone = DualCertificate::sign_only(keyed(&PKI.client.sign), Vec::new()).unwrap();
    let client = ClientConfig { certificate: Some(Arc::new(alone)), ..client_config() };
    let (_, open) = connected(&client, &server);
    let peer = open.established().unwrap().peer.clone().unwrap();
    assert_eq!(peer.sign.as_ref(), PKI.client.sign.der());
    assert_eq!(peer.enc, None);
}

#[test]
fn an_intermediate_is_sent_and_used_from_both_sides() {
    let middle = PKI.root.intermediate("middle").unwrap();
    let dual = |leaf: &Leaf| {
        let pair = middle.issue_pair(leaf).unwrap();
        let chain = vec![der(middle.der())];
        Arc::new(DualCertificate::new(keyed(&pair.sign), keyed(&pair.enc), chain).unwrap())
    };
    let client =
        ClientConfig { certificate: Some(dual(&Leaf::client("c"))), ..mutual_client_config() };
    let certificates = Arc::new(Always(dual(&Leaf::server("s").dns("server.example"))));
    for suite in [CipherSuite::EccGcm, CipherSuite::EcdheCbc] {
        let certificates = certificates.clone();
        let server = ServerConfig { certificates, suites: vec![suite], ..mutual_server_config() };
        connected(&client, &server);
    }
}

#[test]
fn a_session_of_another_name_is_not_taken_up() {
    let root = ByRoot::new(&PKI.root);
    let pair = PKI
        .root
        .issue_pair(&Leaf::server("both").dns("server.example").dns("other.example"))
        .unwrap();
    let server_config =
        ServerConfig { certificates: Arc::new(Always(dual(&pair))), ..server_config() };
    let config = ClientConfig { verifier: root, ..client_config() };
    connected(&config, &server_config);
    // A client that keeps its sessions in one place, whatever the name.
    let stored = config.sessions.as_ref().unwrap().get("s:443", UnixTime::now()).unwrap();
    let forged =
        crate::session::Session { server_name: Some("other.example".into()), ..(*stored).clone() };
    config.sessions.as_ref().unwrap().put("s:443", Arc::new(forged));
    let other = Target { server_name: Some("other.example".into()), ..target() };
    let mut client = Connection::client(Arc::new(config), other, UnixTime::now()).unwrap();
    let mut server = server(server_config);
    let outcome = pump(&mut client, &mut server, usize::MAX);
    assert!(outcome.client.is_none() && outcome.server.is_none(), "{outcome:?}");
    assert!(!server.established().unwrap().resumed);
}

#[test]
fn a_session_that_the_server_forgot_leads_to_a_full_handshake() {
    let client = client_config();
    connected(&client, &server_config());
    let (_, open) = connected(&client, &server_config());
    assert!(!open.established().unwrap().resumed);
    let config = server_config();
    connected(&client, &config);
    let gcm_only = ServerConfig { suites: vec![CipherSuite::EccCbc], ..config };
    let (_, open) = connected(&client, &gcm_only);
    assert!(!open.established().unwrap().resumed, "a session of a suite that is off now");
}

#[test]
fn goodbyes_end_both_directions_once() {
    let (mut client, mut server) = connected(&client_config(), &server_config());
    client.close();
    client.close();
    assert_eq!(client.write(&[IoSlice::new(b"late")], 1).unwrap(), 0);
    let bytes = take_output(&mut client);
    feed(&mut server, &bytes, usize::MAX).unwrap();
    assert!(server.is_closed_by_peer());
    carry(&mut server, &mut client, b"the other direction is open still");
}

#[test]
fn no_secret_is_in_debug_output() {
    let (client, server) = connected(&mutual_client_config(), &mutual_server_config());
    let key = PKI.server.enc.key().private_scalar();
    let shown = format!("{client:?} {server:?} {:?} {:?}", client_config(), server_config());
    for number in key.windows(4) {
        assert!(!shown.contains(&format!("{number:?}").replace(['[', ']'], "")));
    }
    assert!(shown.contains("EccGcm") || shown.contains("ECC_SM4_GCM_SM3"));
}
