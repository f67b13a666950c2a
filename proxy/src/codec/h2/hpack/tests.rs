//! RFC 7541 appendix C, and both sides against each other.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, Malformed> {
    let mut fields = Vec::new();
    decoder.decode(block, |field, size| {
        let field = field.expect("a field that HTTP allows");
        assert_eq!(field.size(), size);
        let name = match &field.name {
            FieldName::Pseudo(pseudo) => pseudo.as_str(),
            FieldName::Regular(name) => name.as_str(),
        };
        fields.push((name.to_owned(), field.value.to_str().unwrap().to_owned()));
    })?;
    Ok(fields)
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const REQUEST: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];

#[test]
fn requests_of_the_rfc_decode_plain_and_in_huffman_code() {
    for blocks in [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ] {
        let mut decoder = Decoder::default();
        let first = decode(&mut decoder, &unhex(blocks[0])).unwrap();
        assert_eq!(first, pairs(&REQUEST));
        let second = decode(&mut decoder, &unhex(blocks[1])).unwrap();
        assert_eq!(second[..4], pairs(&REQUEST));
        assert_eq!(second[4..], pairs(&[("cache-control", "no-cache")]));
        let third = decode(&mut decoder, &unhex(blocks[2])).unwrap();
        assert_eq!(third[2], pairs(&[(":path", "/index.html")])[0]);
        assert_eq!(third[4], pairs(&[("custom-key", "custom-value")])[0]);
    }
}

#[test]
fn blocks_that_cannot_be_decoded_are_errors() {
    for (block, why) in [
        ("80", "index 0"),
        ("be", "an index behind the table"),
        ("41 0f 77", "a string behind the block"),
        ("ff ff ff ff ff 7f", "an integer that is too long"),
        ("82 3f", "a block that ends early"),
        ("82 20", "a table size that was not agreed on"),
        ("3f e2 1f", "a table size that was not agreed on"),
        ("41 81 00", "no Huffman code"),
        ("41 84 ff ff ff ff", "no Huffman code"),
        ("41 82 1f ff", "no Huffman code"),
    ] {
        let result = Decoder::default().decode(&unhex(block), |_, _| {});
        assert_eq!(result, Err(Malformed(why)), "{block}");
    }
}

#[test]
fn a_field_that_http_does_not_allow_is_told_and_stays_one_in_the_table() {
    let mut decoder = Decoder::default();
    for block in ["4001 4101 78", "be"] {
        let mut fields = 0;
        decoder.decode(&unhex(block), |field, _| fields += u32::from(field.is_none())).unwrap();
        assert_eq!(fields, 1, "{block}");
    }
}

#[test]
fn what_repeats_becomes_a_reference_and_secrets_do_not() {
    let mut encoder = Encoder::default();
    let mut headers = HeaderMap::new();
    headers.insert("x-tenant", HeaderValue::from_static("acme"));
    let mut secret = HeaderValue::from_static("hunter2");
    secret.set_sensitive(true);
    let sizes: Vec<usize> = (0..4)
        .map(|_| {
            let mut out = Vec::new();
            encoder.fields(&mut out, headers.iter());
            out.len()
        })
        .collect();
    assert_eq!(sizes[2..], [1, 1]);
    let mut out = Vec::new();
    headers.clear();
    headers.insert("authorization", secret);
    for _ in 0..3 {
        out.clear();
        encoder.fields(&mut out, headers.iter());
    }
    assert_eq!(out[0] & 0xf0, 0x10);
}

proptest! {
    #[test]
    fn a_decoder_reads_what_an_encoder_wrote(
        sections in prop::collection::vec(
            prop::collection::vec(("[a-d]{1,3}|content-type|x-request-id", "[ -~&&[^ ]]{0,40}"), 0..12),
            1..40,
        ),
        limits in prop::collection::vec(0_usize..5000, 1..40),
    ) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        for (section, limit) in sections.iter().zip(limits.iter().cycle()) {
            encoder.set_max_size(*limit);
            let mut headers = HeaderMap::new();
            for (name, value) in section {
                headers.append(
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_str(value).unwrap(),
                );
            }
            let mut block = Vec::new();
            encoder.begin(&mut block);
            encoder.pseudo(&mut block, Pseudo::Status, b"200");
            encoder.pseudo(&mut block, Pseudo::Authority, b"a.example");
            encoder.fields(&mut block, headers.iter());
            let expected: Vec<_> = headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect();
            prop_assert_eq!(&decode(&mut decoder, &block).unwrap()[2..], expected);
        }
    }

    #[test]
    fn no_block_makes_a_decoder_panic(blocks in prop::collection::vec(any::<Vec<u8>>(), 1..6)) {
        let mut decoder = Decoder::default();
        for block in blocks {
            let _ = decoder.decode(&block, |_, _| {});
            let empty = decoder.decode(b"", |_, _| {});
            prop_assert!(empty.is_ok(), "an empty block");
        }
    }
}
