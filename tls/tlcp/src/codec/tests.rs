//! Reading of what peers send, strictly.

use super::*;
use crate::error::Error;

fn hello(extensions: &[u8]) -> Vec<u8> {
    let head = [&[1, 1][..], &[7; 32], &[0], &[0, 2, 0xe0, 0x53], &[1, 0]].concat();
    [head, extensions.to_vec()].concat()
}

#[test]
fn a_hello_reads_as_it_was_written() {
    let id = SessionId::new(&[5; 32]).unwrap();
    let protocols = [b"h2".to_vec(), b"http/1.1".to_vec()];
    let suites = [0xe053, 0xe013].into_iter();
    let body = ClientHello::write(&[7; 32], &id, suites, Some("a.example"), &protocols);
    let read = ClientHello::read(&body).unwrap();
    assert_eq!((read.random, read.session_id), ([7; 32], id));
    assert_eq!(read.suite_numbers().collect::<Vec<_>>(), [0xe053, 0xe013]);
    assert_eq!(read.extensions.server_name, Some("a.example"));
    assert_eq!(read.protocols().collect::<Vec<_>>(), protocols);
    let answers = Answers { renegotiation: true, server_name: true, protocol: Some(b"h2") };
    let body = ServerHello::write(&[8; 32], &id, 0xe053, &answers);
    let read = ServerHello::read(&body).unwrap();
    assert_eq!((read.random, read.session_id, read.suite), ([8; 32], id, 0xe053));
    assert_eq!(read.protocol().unwrap(), Some(&b"h2"[..]));
    assert_eq!(read.extensions.renegotiation, Some(&[][..]));
}

#[test]
fn a_hello_without_name_and_protocols_has_no_extensions_at_all() {
    let body = ClientHello::write(&[7; 32], &SessionId::default(), [0xe053].into_iter(), None, &[]);
    assert_eq!(body, hello(&[]));
}

#[test]
fn unknown_extensions_of_a_client_are_passed_over() {
    let body = hello(&[0, 8, 0, 35, 0, 0, 0, 23, 0, 0]);
    assert!(ClientHello::read(&body).unwrap().extensions.unknown);
}

#[test]
fn malformed_hellos_are_refused() {
    let cases: [(&str, Vec<u8>); 9] = [
        ("a byte too many", hello(&[0])),
        ("extensions cut off", hello(&[0, 9, 0, 35, 0, 0])),
        ("an extension twice", hello(&[0, 8, 0, 35, 0, 0, 0, 35, 0, 0])),
        ("an empty list of names", hello(&[0, 6, 0, 0, 0, 2, 0, 0])),
        ("a name with a NUL", hello(&[0, 11, 0, 0, 0, 7, 0, 5, 0, 0, 2, b'a', 0])),
        ("an empty protocol", hello(&[0, 7, 0, 16, 0, 3, 0, 1, 0])),
        ("an odd list of suites", [&[1, 1][..], &[7; 32], &[0, 0, 3, 1, 2, 3, 1, 0]].concat()),
        ("no suites", [&[1, 1][..], &[7; 32], &[0, 0, 0, 1, 0]].concat()),
        (
            "a long session id",
            [&[1, 1][..], &[7; 32], &[33], &[0; 33], &[0, 2, 1, 2, 1, 0]].concat(),
        ),
    ];
    for (name, body) in cases {
        assert!(matches!(ClientHello::read(&body), Err(Error::Decode(_))), "{name}");
    }
    let old = [&[3, 3][..], &hello(&[])[2..]].concat();
    assert!(matches!(ClientHello::read(&old), Err(Error::Version(0x0303))));
    let compressed = [&[1, 1][..], &[7; 32], &[0, 0, 2, 0xe0, 0x53, 1, 1]].concat();
    assert!(matches!(ClientHello::read(&compressed), Err(Error::IllegalParameter(_))));
}

#[test]
fn every_cut_of_a_message_is_refused() {
    let id = SessionId::new(&[5; 32]).unwrap();
    let answers = Answers { protocol: Some(b"h2"), ..Answers::default() };
    let body = ServerHello::write(&[8; 32], &id, 0xe053, &answers);
    for length in 0..body.len() {
        // A hello may end before its extensions.
        let is_whole = length == 2 + 32 + 33 + 2 + 1;
        assert_eq!(ServerHello::read(&body[..length]).is_ok(), is_whole);
    }
    let body = CertificateRequest::write([&b"name"[..], b"other"].into_iter());
    assert!(CertificateRequest::read(&body).is_ok());
    for length in 0..body.len() {
        assert!(CertificateRequest::read(&body[..length]).is_err());
    }
    let body = certificate_list([&b"one"[..], b"two"].into_iter());
    assert_eq!(read_certificate_list(&body).unwrap().len(), 2);
    for length in 0..body.len() {
        assert!(read_certificate_list(&body[..length]).is_err());
    }
}

#[test]
fn messages_are_joined_from_any_pieces() {
    let wire = [&[1, 0, 0, 3, 7, 7, 7][..], &[14, 0, 0, 0], &[16, 0, 0, 1, 9]].concat();
    for step in 1..=wire.len() {
        let mut joiner = Joiner::default();
        let mut seen = Vec::new();
        for piece in wire.chunks(step) {
            joiner.push(piece);
            while let Some(message) = joiner.next().unwrap() {
                seen.push((message.kind, message.body.to_vec()));
            }
        }
        let expected = [
            (MessageType::ClientHello, vec![7, 7, 7]),
            (MessageType::ServerHelloDone, vec![]),
            (MessageType::ClientKeyExchange, vec![9]),
        ];
        assert_eq!(seen, expected);
        assert!(joiner.is_empty());
    }
}
