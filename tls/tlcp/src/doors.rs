//! Doors for the fuzz targets and the timing program: what is not reached through a connection without knowing its
//! keys. Not for anybody else; they change without notice.

use palanquin_sm::sm3::HmacSm3;

use crate::codec;
use crate::codec::CertificateRequest;
use crate::codec::ClientHello;
use crate::codec::ContentType;
use crate::codec::Joiner;
use crate::codec::MAX_SEALED;
use crate::codec::MessageType;
use crate::codec::RecordHeader;
use crate::codec::ServerHello;
use crate::codec::ServerKeyExchange;
use crate::protect;

/// Reads bytes as records that carry handshake messages, and each message as what it says it is.
pub fn read_everything(mut bytes: &[u8]) {
    let mut joiner = Joiner::default();
    while let Ok(Some(header)) = RecordHeader::read(bytes, MAX_SEALED) {
        let whole = codec::HEADER_LEN + header.length;
        let Some(record) = bytes.get(..whole) else { return };
        joiner.push(&record[codec::HEADER_LEN..]);
        bytes = &bytes[whole..];
        while let Ok(Some(message)) = joiner.next() {
            let body = message.body;
            match message.kind {
                MessageType::ClientHello => {
                    if let Ok(hello) = ClientHello::read(body) {
                        assert!(hello.protocols().count() <= body.len());
                        assert!(hello.suite_numbers().count() > 0);
                    }
                }
                MessageType::ServerHello => {
                    let _ = ServerHello::read(body).and_then(|hello| hello.protocol().map(drop));
                }
                MessageType::Certificate => {
                    let _ = codec::read_certificate_list(body);
                }
                MessageType::ServerKeyExchange => {
                    let _ = ServerKeyExchange::read_ecc(body);
                    let _ = ServerKeyExchange::read_ecdhe(body);
                }
                MessageType::CertificateRequest => {
                    let _ = CertificateRequest::read(body);
                }
                MessageType::ClientKeyExchange => {
                    let _ = codec::read_client_point(body);
                    let _ = codec::read_signature(body, "ClientKeyExchange");
                }
                _ => {
                    let _ = codec::read_signature(body, "CertificateVerify");
                }
            }
        }
    }
}

/// Checks MAC and padding of data that is already decrypted, in constant time. Gives the length of the plaintext.
pub fn strip_cbc(data: &[u8]) -> Option<usize> {
    protect::strip(&HmacSm3::new(&[1; 32]), [7; 8], ContentType::ApplicationData, data)
}

/// Compares the constant-time opening of CBC with a plain one, on data that is already decrypted.
pub fn compare_cbc(data: &[u8]) {
    if data.len() < 33 || data.len() > MAX_SEALED {
        return;
    }
    let (number, content) = ([7; 8], ContentType::ApplicationData);
    let keyed = HmacSm3::new(&[1; 32]);
    let naive = || {
        let padding = usize::from(*data.last()?) + 1;
        let length = data.len().checked_sub(padding + 32)?;
        let (plain, rest) = data.split_at(length);
        let (mac, padded) = rest.split_at(32);
        let mut expected = keyed.clone();
        expected.update(&protect::authenticated(number, content, length));
        expected.update(plain);
        let good = expected.finalize() == mac
            && padded.iter().all(|byte| *byte == *data.last().unwrap_or(&0));
        good.then_some(length)
    };
    assert_eq!(protect::strip(&keyed, number, content, data), naive());
}

/// What [`compare_cbc`] finds good: plaintext, its MAC, and padding up to 256 bytes.
pub fn pad_cbc(plain: &[u8], last: u8) -> Vec<u8> {
    let mut mac = HmacSm3::new(&[1; 32]);
    mac.update(&protect::authenticated([7; 8], ContentType::ApplicationData, plain.len()));
    mac.update(plain);
    [plain, &mac.finalize(), &vec![last; usize::from(last) + 1]].concat()
}
