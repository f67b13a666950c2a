//! Peers that break the rules: each is refused, with one alert, and nothing panics or grows.

use palanquin_sm::sm2::DEFAULT_ID;

use super::script::Script;
use super::*;
use crate::codec::ContentType;
use crate::codec::MessageType;
use crate::codec::certificate_list;
use crate::codec::ecdhe_parameters;
use crate::codec::prefixed_u16;

fn with_length(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prefixed_u16(&mut out, |out| out.extend_from_slice(bytes));
    out
}

fn premaster() -> [u8; 48] {
    let mut premaster = [9; 48];
    premaster[..2].copy_from_slice(&[1, 1]);
    premaster
}

fn server_enc_key() -> PublicKey {
    keyed(&PKI.server.enc).key().public_key().clone()
}

#[test]
fn a_script_that_keeps_the_rules_comes_through() {
    for suite in [CipherSuite::EccGcm, CipherSuite::EccCbc] {
        let mut script = Script::begin(server_config(), suite);
        let ciphertext = server_enc_key().encrypt(&premaster()).unwrap();
        script.say(MessageType::ClientKeyExchange, &with_length(&ciphertext)).unwrap();
        script.finish(&premaster()).unwrap();
        assert!(script.server.established().is_some());
    }
}

/// Whether the ciphertext, the length or the version of the secret is wrong: the same alert at the same point,
/// which is that of a client that does not know the secret.
#[test]
fn bad_ciphertexts_and_bad_secrets_cannot_be_told_apart() {
    let key = server_enc_key();
    let mut broken = key.encrypt(&premaster()).unwrap();
    *broken.last_mut().unwrap() ^= 1;
    let mut version = premaster();
    version[1] = 3;
    let ciphertexts = [
        ("broken", broken),
        ("no DER", vec![1, 2, 3]),
        ("empty", Vec::new()),
        ("short", key.encrypt(&premaster()[..47]).unwrap()),
        ("long", key.encrypt(&[&premaster()[..], &[0]].concat()).unwrap()),
        ("version", key.encrypt(&version).unwrap()),
        ("other secret", key.encrypt(&[1; 48]).unwrap()),
    ];
    for suite in [CipherSuite::EccGcm, CipherSuite::EccCbc] {
        for (name, ciphertext) in &ciphertexts {
            let mut script = Script::begin(server_config(), suite);
            script.say(MessageType::ClientKeyExchange, &with_length(ciphertext)).unwrap();
            assert_eq!(script.alert(), None, "{name}: an alert before Finished");
            let secret = if *name == "version" { version } else { premaster() };
            let error = script.finish(&secret).unwrap_err();
            assert!(matches!(error, Error::Record), "{name}: {error:?}");
            assert_eq!(script.alert(), Some(Alert::BAD_RECORD_MAC), "{name}");
        }
    }
}

fn ecdhe_script() -> Script {
    let mut script = Script::begin(mutual_server_config(), CipherSuite::EcdheGcm);
    let own = dual(&PKI.client);
    script.say(MessageType::Certificate, &certificate_list(own.list())).unwrap();
    script
}

#[test]
fn both_encodings_of_a_share_are_read_whatever_the_curve_bytes_say() {
    let point = PrivateKey::generate().unwrap().public_key().clone();
    let plain = ecdhe_parameters(&point.to_uncompressed());
    let mut other_curve = plain;
    other_curve[..3].copy_from_slice(&[3, 0, 0]);
    for body in
        [plain.to_vec(), with_length(&plain), other_curve.to_vec(), with_length(&other_curve)]
    {
        ecdhe_script().say(MessageType::ClientKeyExchange, &body).unwrap();
    }
    let (short, long) = (&plain[..68], [&plain[..], &[0]].concat());
    for body in [with_length(short), with_length(&long), short.to_vec(), long, Vec::new()] {
        let error = ecdhe_script().say(MessageType::ClientKeyExchange, &body).unwrap_err();
        assert!(matches!(error, Error::Decode("ClientKeyExchange")), "{error:?}");
    }
}

#[test]
fn a_share_that_is_no_point_of_the_curve_is_refused() {
    let mut off_curve = PrivateKey::generate().unwrap().public_key().to_uncompressed();
    off_curve[64] ^= 1;
    let mut compressed = off_curve;
    compressed[0] = 2;
    for point in [off_curve, compressed, [0; 65]] {
        let body = with_length(&ecdhe_parameters(&point));
        let mut script = ecdhe_script();
        let error = script.say(MessageType::ClientKeyExchange, &body).unwrap_err();
        assert!(matches!(error, Error::IllegalParameter(_)), "{error:?}");
        assert_eq!(script.alert(), Some(Alert::ILLEGAL_PARAMETER));
    }
}

#[test]
fn ecdhe_without_a_certificate_or_with_one_only_is_refused() {
    for config in [mutual_server_config(), server_config()] {
        let mut script = Script::begin(config.clone(), CipherSuite::EcdheGcm);
        let none = certificate_list(std::iter::empty());
        let error = script.say(MessageType::Certificate, &none).unwrap_err();
        assert!(matches!(error, Error::NoPeerCertificate), "{error:?}");
        let mut script = Script::begin(config, CipherSuite::EcdheGcm);
        let one = certificate_list(std::iter::once(PKI.client.sign.der()));
        let error = script.say(MessageType::Certificate, &one).unwrap_err();
        assert!(matches!(error, Error::Certificates(crate::CertificateFault::NoEncryption)));
        assert_eq!(script.alert(), Some(Alert::BAD_CERTIFICATE));
    }
}

#[test]
fn a_client_cannot_leave_out_its_proof() {
    let server = keyed(&PKI.server.enc);
    let client =
        PrivateKey::from_bytes(PKI.client.enc.key().private_scalar().try_into().unwrap()).unwrap();
    let ephemeral = PrivateKey::generate().unwrap();
    let mut script = ecdhe_script();
    let peer = Peer {
        id: DEFAULT_ID,
        static_key: server.key().public_key(),
        ephemeral: ephemeral.public_key(),
    };
    let mut secret = [0; 48];
    let share = client.respond(DEFAULT_ID, &peer, &mut secret).unwrap();
    let body = with_length(&ecdhe_parameters(&share.to_uncompressed()));
    script.say(MessageType::ClientKeyExchange, &body).unwrap();
    let error = script.finish(&secret).unwrap_err();
    assert!(matches!(error, Error::Unexpected("ChangeCipherSpec")), "{error:?}");
}

/// The signature is over the hash of the transcript, and no other.
#[test]
fn a_proof_of_another_transcript_is_refused() {
    let sign = keyed(&PKI.client.sign);
    let mut script = Script::begin(mutual_server_config(), CipherSuite::EccGcm);
    let own = dual(&PKI.client);
    script.say(MessageType::Certificate, &certificate_list(own.list())).unwrap();
    let early = script.transcript();
    let ciphertext = server_enc_key().encrypt(&premaster()).unwrap();
    script.say(MessageType::ClientKeyExchange, &with_length(&ciphertext)).unwrap();
    let proof = sign.key().sign(DEFAULT_ID, &[&early]).unwrap();
    let body = with_length(&proof.to_der());
    let error = script.say(MessageType::CertificateVerify, &body).unwrap_err();
    assert!(matches!(error, Error::Decrypt("CertificateVerify")), "{error:?}");
    assert_eq!(script.alert(), Some(Alert::DECRYPT_ERROR));
}

#[test]
fn messages_out_of_order_are_refused() {
    let kinds = [
        MessageType::HelloRequest,
        MessageType::ClientHello,
        MessageType::ServerHello,
        MessageType::Certificate,
        MessageType::ServerKeyExchange,
        MessageType::CertificateVerify,
        MessageType::Finished,
    ];
    for kind in kinds {
        let mut script = Script::begin(server_config(), CipherSuite::EccGcm);
        let error = script.say(kind, &[]).unwrap_err();
        assert!(matches!(error, Error::Unexpected("handshake message")), "{kind:?}: {error:?}");
        assert_eq!(script.alert(), Some(Alert::UNEXPECTED_MESSAGE));
    }
    for content in [ContentType::ApplicationData, ContentType::ChangeCipherSpec] {
        let mut script = Script::begin(server_config(), CipherSuite::EccGcm);
        script.channel.send_record(content, std::iter::once(&[1][..]), 1).unwrap();
        assert!(matches!(script.deliver(), Err(Error::Unexpected(_))));
        assert_eq!(script.alert(), Some(Alert::UNEXPECTED_MESSAGE));
    }
}

#[test]
fn keys_do_not_change_in_the_middle_of_a_message() {
    let mut script = Script::begin(server_config(), CipherSuite::EccGcm);
    let half = [16, 0, 0, 200, 1, 2, 3];
    script.channel.send_record(ContentType::Handshake, std::iter::once(&half[..]), 7).unwrap();
    script.deliver().unwrap();
    script.channel.send_change_cipher_spec().unwrap();
    assert!(matches!(script.deliver(), Err(Error::Unexpected("ChangeCipherSpec"))));
}

#[test]
fn records_and_messages_that_are_too_long_are_refused_by_their_headers() {
    let cases: [(&[u8], Alert); 7] = [
        (&[22, 1, 1, 0x40, 1], Alert::RECORD_OVERFLOW),
        (&[22, 1, 1, 0, 4, 1, 1, 0, 1], Alert::ILLEGAL_PARAMETER),
        (&[22, 1, 1, 0, 0], Alert::DECODE_ERROR),
        (&[22, 3, 1, 0, 4], Alert::PROTOCOL_VERSION),
        (&[24, 1, 1, 0, 4], Alert::UNEXPECTED_MESSAGE),
        (&[22, 1, 1, 0, 4, 99, 0, 0, 0], Alert::UNEXPECTED_MESSAGE),
        (&[21, 1, 1, 0, 3, 1, 1, 1], Alert::DECODE_ERROR),
    ];
    for (bytes, alert) in cases {
        let mut server = server(server_config());
        let error = feed(&mut server, bytes, 1).unwrap_err();
        assert_eq!(error.alert(), Some(alert), "{bytes:?}");
        assert_eq!(take_output(&mut server), [21, 1, 1, 0, 2, 2, alert.0]);
    }
}

#[test]
fn a_certificate_message_with_too_many_certificates_is_refused() {
    let mut script = Script::begin(mutual_server_config(), CipherSuite::EccGcm);
    let many = certificate_list(std::iter::repeat_n(PKI.client.sign.der(), 13));
    let error = script.say(MessageType::Certificate, &many).unwrap_err();
    assert!(matches!(error, Error::IllegalParameter(_)), "{error:?}");
}

#[test]
fn every_changed_byte_of_a_protected_record_is_noticed() {
    for suite in [CipherSuite::EccGcm, CipherSuite::EccCbc] {
        let config = ServerConfig { suites: vec![suite], ..server_config() };
        let (mut sender, _) = connected(&client_config(), &config);
        sender.write(&[IoSlice::new(b"attack at dawn")], 1).unwrap();
        let length = take_output(&mut sender).len();
        for at in 0..length {
            let (mut sender, mut receiver) = connected(&client_config(), &config);
            sender.write(&[IoSlice::new(b"attack at dawn")], 1).unwrap();
            let mut bytes = take_output(&mut sender);
            bytes[at] ^= 0x40;
            // Room for what a longer length would wait for.
            bytes.resize(length + 0x5000, 0);
            let error = feed(&mut receiver, &bytes, usize::MAX).unwrap_err();
            assert!(receiver.plaintext().is_empty());
            if at >= 5 {
                assert!(matches!(error, Error::Record), "{suite} {at}: {error:?}");
            }
        }
    }
}

#[test]
fn records_cannot_be_repeated_left_out_or_turned_round() {
    for suite in [CipherSuite::EccGcm, CipherSuite::EccCbc] {
        let config = ServerConfig { suites: vec![suite], ..server_config() };
        let (mut sender, mut receiver) = connected(&client_config(), &config);
        let mut record = |text: &[u8]| {
            sender.write(&[IoSlice::new(text)], 1).unwrap();
            take_output(&mut sender)
        };
        let (first, second) = (record(b"first"), record(b"second"));
        feed(&mut receiver, &first, usize::MAX).unwrap();
        receiver.consume(usize::MAX);
        assert!(matches!(feed(&mut receiver, &first, usize::MAX), Err(Error::Record)));
        let (_, mut receiver) = connected(&client_config(), &config);
        assert!(matches!(feed(&mut receiver, &second, usize::MAX), Err(Error::Record)));
        // What a side wrote does not open as what it reads.
        let (mut sender, _) = connected(&client_config(), &config);
        sender.write(&[IoSlice::new(b"mirror")], 1).unwrap();
        let mirrored = take_output(&mut sender);
        assert!(matches!(feed(&mut sender, &mirrored, usize::MAX), Err(Error::Record)));
    }
}

#[test]
fn empty_records_and_split_ones_are_borne_but_no_flood_of_them() {
    for suite in [CipherSuite::EccGcm, CipherSuite::EccCbc] {
        let config = ServerConfig { suites: vec![suite], ..server_config() };
        let (mut sender, mut receiver) = connected(&client_config(), &config);
        // Tongsuo: an empty one first. gmtls: the first byte alone.
        sender.write_empty_record();
        carry(&mut sender, &mut receiver, b"G");
        carry(&mut sender, &mut receiver, b"ET /");
        for _ in 0..33 {
            sender.write_empty_record();
        }
        let bytes = take_output(&mut sender);
        let error = feed(&mut receiver, &bytes, usize::MAX).unwrap_err();
        assert!(matches!(error, Error::Unexpected("empty record")), "{error:?}");
    }
}

#[test]
fn renegotiation_is_refused_from_both_sides() {
    for (kind, from_client) in
        [(MessageType::ClientHello, true), (MessageType::HelloRequest, false)]
    {
        let (client, server) = connected(&client_config(), &server_config());
        let (mut from, mut to) = if from_client { (client, server) } else { (server, client) };
        from.write_message(kind);
        let bytes = take_output(&mut from);
        let error = feed(&mut to, &bytes, usize::MAX).unwrap_err();
        assert!(matches!(error, Error::Renegotiation), "{error:?}");
        let bytes = take_output(&mut to);
        let error = feed(&mut from, &bytes, usize::MAX).unwrap_err();
        assert!(matches!(error, Error::AlertReceived(Alert::NO_RENEGOTIATION)), "{error:?}");
    }
}

/// Every byte of both handshakes, changed in some ways and cut off: each side ends or waits, and none panics.
#[test]
fn no_changed_byte_makes_anything_panic() {
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    };
    let clear = |suite| {
        let config = ServerConfig { suites: vec![suite], ..mutual_server_config() };
        (client(mutual_client_config()), server(config))
    };
    for suite in [CipherSuite::EccCbc, CipherSuite::EcdheGcm] {
        for round in 0..150 {
            let (mut client, mut server) = clear(suite);
            for flight in 0..4 {
                let (from, to) = if flight % 2 == 0 {
                    (&mut client, &mut server)
                } else {
                    (&mut server, &mut client)
                };
                let mut bytes = take_output(from);
                if bytes.is_empty() {
                    break;
                }
                if flight == round % 4 {
                    let at = random() % bytes.len();
                    match random() % 4 {
                        0 => bytes[at] = random() as u8,
                        1 => bytes[at] ^= 1 << (random() % 8),
                        2 => drop(bytes.remove(at)),
                        _ => bytes.insert(at, random() as u8),
                    }
                }
                let _ = feed(to, &bytes, 1 + random() % 600);
            }
        }
    }
}

#[test]
fn arbitrary_bytes_make_nothing_panic() {
    let mut state = 99u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    };
    for _ in 0..500 {
        let mut body: Vec<u8> = (0..random() % 300).map(|_| random() as u8).collect();
        let kind = [1, 2, 11, 12, 13, 14, 16, 20][random() % 8];
        let mut bytes = vec![22, 1, 1];
        prefixed_u16(&mut bytes, |out| {
            out.push(kind);
            crate::codec::prefixed_u24(out, |out| out.append(&mut body));
        });
        let _ = feed(&mut server(server_config()), &bytes, usize::MAX);
        let _ = feed(&mut client(client_config()), &bytes, usize::MAX);
    }
}
