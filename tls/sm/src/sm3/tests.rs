//! Vectors of the standards, and RustCrypto.

use ::sm3::Digest;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// GB/T 32905-2016 appendix A.1.
#[test]
fn three_bytes_hash_as_the_standard_shows() {
    let expected = "66C7F0F462EEEDD9D1F2D46BDC10E4E24167C4875CF2F7A2297DA02B8F4BA8E0";
    assert_eq!(digest(b"abc")[..], hex(expected));
}

/// GB/T 32905-2016 appendix A.2.
#[test]
fn a_whole_block_hashes_as_the_standard_shows() {
    let expected = "DEBE9FF92275B8A138604889C18E5A4D6FDB70E5387E5765293DCBA39C0C5732";
    assert_eq!(digest(&b"abcd".repeat(16))[..], hex(expected));
}

#[test]
fn a_hash_in_pieces_is_the_hash_of_the_whole() {
    let data: Vec<u8> = (0..500u32).map(|i| (i * 7) as u8).collect();
    for cut in [0, 1, 55, 56, 63, 64, 65, 127, 128, 300, 500] {
        let mut hash = Sm3::new();
        hash.update(&data[..cut]);
        let fork = hash.clone();
        hash.update(&data[cut..]);
        assert_eq!(hash.finalize(), digest(&data));
        assert_eq!(fork.finalize(), digest(&data[..cut]));
    }
}

/// GM/T 0042-2015 D.3.
#[test]
fn hmac_of_the_vectors_of_gmt_0042() {
    let key: Vec<u8> = (1..=32).collect();
    let text = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".repeat(2);
    let expected = "CA05E144ED05D1857840D1F318A4A8669E559FC8391F414485BFDF7BB408963A";
    assert_eq!(hmac(&key, &[&text[..10], &text[10..]])[..], hex(expected));
}

proptest! {
    #[test]
    fn every_length_in_any_pieces_agrees_with_the_oracle(data in vec(any::<u8>(), 0..=4096), cuts in vec(0usize..200, 0..40)) {
        let mut hash = Sm3::new();
        let mut rest = &data[..];
        for cut in cuts {
            let (head, tail) = rest.split_at(cut.min(rest.len()));
            hash.update(head);
            rest = tail;
        }
        hash.update(rest);
        prop_assert_eq!(hash.finalize(), <[u8; 32]>::from(::sm3::Sm3::digest(&data)));
    }
}

/// What a processor without the instructions does, and one without AVX-512.
#[test]
fn every_way_to_compress_agrees() {
    let block: [u8; BLOCK_SIZE] = std::array::from_fn(|i| (i * 37 + 11) as u8);
    let mut states = Vec::new();
    for way in compress::ways() {
        let mut state = START;
        for _ in 0..5 {
            way(&mut state, &[block, block]);
        }
        states.push(state);
    }
    assert!(states.iter().all(|state| *state == states[0]));
}
