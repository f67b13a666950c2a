//! Vectors of the standards, and every path against RustCrypto.

mod oracle;
mod reference;

use super::*;

const KEY: [u8; 16] = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210_u128.to_be_bytes();
const NONCE: [u8; 12] = [0, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0, 0xAB, 0xCD];
const AAD: &str = "FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2";
const PLAIN: &str = "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBCCCCCCCCCCCCCCCCDDDDDDDDDDDDDDDD\
                     EEEEEEEEEEEEEEEEFFFFFFFFFFFFFFFFEEEEEEEEEEEEEEEEAAAAAAAAAAAAAAAA";

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// RFC 8998 appendix A.1.
#[test]
fn gcm_seals_and_opens_the_vector_of_rfc_8998() {
    let cipher = Sm4Gcm::new(&KEY);
    let mut data = hex(PLAIN);
    let tag = cipher.seal(&NONCE, &hex(AAD), &mut data);
    let sealed = hex("17F399F08C67D5EE19D0DC9969C4BB7D5FD46FD3756489069157B282BB200735\
         D82710CA5C22F0CCFA7CBF93D496AC15A56834CBCF98C397B4024A2691233B8D");
    assert_eq!(data, sealed);
    assert_eq!(tag[..], hex("83DE3541E4C2B58177E065A9BF7B62EC"));
    cipher.open(&NONCE, &hex(AAD), &mut data, &tag).unwrap();
    assert_eq!(data, hex(PLAIN));
}

/// RFC 8998 appendix A.2.
#[test]
fn ccm_seals_and_opens_the_vector_of_rfc_8998() {
    let cipher = Sm4Ccm::new(&KEY);
    let mut data = hex(PLAIN);
    let tag = cipher.seal(&NONCE, &hex(AAD), &mut data);
    let sealed = hex("48AF93501FA62ADBCD414CCE6034D895DDA1BF8F132F042098661572E7483094\
         FD12E518CE062C98ACEE28D95DF4416BED31A2F04476C18BB40C84A74B97DC5B");
    assert_eq!(data, sealed);
    assert_eq!(tag[..], hex("16842D4FA186F56AB33256971FA110F4"));
    cipher.open(&NONCE, &hex(AAD), &mut data, &tag).unwrap();
    assert_eq!(data, hex(PLAIN));
}

#[test]
fn a_changed_byte_does_not_open_and_shows_no_plaintext() {
    for flipped in 0..3 {
        let (mut data, mut aad) = (hex(PLAIN), hex(AAD));
        let gcm = Sm4Gcm::new(&KEY);
        let mut tag = gcm.seal(&NONCE, &aad, &mut data);
        match flipped {
            0 => data[63] ^= 1,
            1 => aad[0] ^= 0x80,
            _ => tag[15] ^= 1,
        }
        assert_eq!(gcm.open(&NONCE, &aad, &mut data, &tag), Err(OpenError));
        assert_eq!(data, [0; 64]);

        let (mut data, mut aad) = (hex(PLAIN), hex(AAD));
        let ccm = Sm4Ccm::new(&KEY);
        let mut tag = ccm.seal(&NONCE, &aad, &mut data);
        match flipped {
            0 => data[63] ^= 1,
            1 => aad[0] ^= 0x80,
            _ => tag[15] ^= 1,
        }
        assert_eq!(ccm.open(&NONCE, &aad, &mut data, &tag), Err(OpenError));
        assert_eq!(data, [0; 64]);
    }
}

/// GB/T 32907-2016 appendix A.1: one block (CBC from a zero vector is the bare cipher).
#[test]
fn one_block_is_encrypted_as_the_standard_shows() {
    let cipher = Sm4Cbc::new(&KEY);
    let mut block = KEY;
    cipher.encrypt(&[0; 16], &mut block);
    assert_eq!(block[..], hex("681EDF34D206965E86B3E94F536E4246"));
    cipher.decrypt(&[0; 16], &mut block);
    assert_eq!(block, KEY);
}

/// GB/T 32907-2016 appendix A.2.
#[test]
fn a_million_encryptions_end_where_the_standard_says() {
    let cipher = Sm4Cbc::new(&KEY);
    let mut block = KEY;
    for _ in 0..1_000_000 {
        cipher.encrypt(&[0; 16], &mut block);
    }
    assert_eq!(block[..], hex("595298C7C6FD271F0402F804C33D3F66"));
}

#[test]
fn cbc_chains_its_blocks() {
    let cipher = Sm4Cbc::new(&KEY);
    let mut data = hex(PLAIN);
    cipher.encrypt(&KEY, &mut data);
    let mut chain = KEY;
    for (sealed, plain) in data.chunks(16).zip(hex(PLAIN).chunks(16)) {
        let mut block: [u8; 16] = std::array::from_fn(|i| plain[i] ^ chain[i]);
        cipher.encrypt(&[0; 16], &mut block);
        assert_eq!(sealed, block);
        chain = block;
    }
    cipher.decrypt(&KEY, &mut data);
    assert_eq!(data, hex(PLAIN));
}
