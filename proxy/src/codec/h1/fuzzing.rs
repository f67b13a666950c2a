//! Entry points for fuzzers: untrusted bytes in, no panic, and invariants that must hold.

use http::Method;

use super::buffer::Input;
use super::chunked::ChunkDecoder;
use super::chunked::Piece;
use super::parse::parse_request;
use super::parse_response::Asked;
use super::parse_response::parse_response;
use super::settings::ClientSettings;
use super::settings::HeadLimits;
use super::settings::Settings;

/// Parses a request head with strict and with lenient settings.
pub fn request_head(data: &[u8]) {
    let lenient =
        Settings { accept_http_10: true, allow_custom_methods: true, ..Settings::default() };
    for settings in [Settings::default(), lenient] {
        if let Ok(Some(head)) = parse_request(data, &settings) {
            assert!(head.bytes <= data.len());
            assert!(head.parts.headers.get_all(http::header::HOST).iter().count() == 1);
            assert!(!head.parts.headers.contains_key(http::header::TRANSFER_ENCODING));
        }
    }
}

/// Parses a response head.
pub fn response_head(data: &[u8]) {
    for method in [Method::GET, Method::HEAD, Method::CONNECT] {
        let asked = Asked::of(&method, method == Method::GET);
        if let Ok(Some(head)) = parse_response(data, asked, &ClientSettings::default()) {
            assert!(head.bytes <= data.len());
        }
    }
}

/// Decodes a chunked body whole and in single bytes; both must give the same.
pub fn chunked_body(data: &[u8]) {
    let whole = decode(data, data.len().max(1));
    let single = decode(data, 1);
    assert_eq!(whole, single);
}

/// What a body decodes to: its bytes, and whether and how it ended.
fn decode(data: &[u8], step: usize) -> (Vec<u8>, Option<bool>) {
    let mut decoder = ChunkDecoder::new(HeadLimits::default());
    let (mut input, mut body) = (Input::default(), Vec::new());
    for part in data.chunks(step) {
        input.push(part);
        loop {
            match decoder.next(&mut input) {
                Ok(Some(Piece::Data(bytes))) => body.extend_from_slice(&bytes),
                Ok(Some(_)) => return (body, Some(true)),
                Ok(None) => break,
                Err(_) => return (body, Some(false)),
            }
        }
    }
    (body, None)
}
