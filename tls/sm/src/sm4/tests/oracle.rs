//! Every path against RustCrypto's cipher, in modes written down here as the standards have them.

use ::sm4::cipher::BlockCipherEncrypt;
use ::sm4::cipher::KeyInit;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn paths() -> Vec<Path> {
    Path::ALL.into_iter().filter(|path| path.available()).collect()
}

fn block(key: &[u8; 16], mut block: [u8; 16]) -> [u8; 16] {
    ::sm4::Sm4::new(key.into()).encrypt_block((&mut block).into());
    block
}

fn cbc(key: &[u8; 16], iv: &[u8; 16], data: &[u8]) -> Vec<u8> {
    let mut chain = *iv;
    let mut sealed = Vec::new();
    for plain in data.chunks(16) {
        chain = block(key, std::array::from_fn(|i| plain.get(i).unwrap_or(&0) ^ chain[i]));
        sealed.extend(chain);
    }
    sealed
}

fn ctr(key: &[u8; 16], start: u128, data: &[u8]) -> Vec<u8> {
    let numbered = |i: usize| {
        let low = (start as u32).wrapping_add(i as u32);
        ((start >> 32 << 32) | u128::from(low)).to_be_bytes()
    };
    let chunks = data.chunks(16).enumerate();
    chunks
        .flat_map(|(i, chunk)| {
            chunk.iter().zip(block(key, numbered(i))).map(|(a, b)| a ^ b).collect::<Vec<_>>()
        })
        .collect()
}

/// SP 800-38D, with its multiplication bit by bit.
fn gcm(key: &[u8; 16], nonce: &[u8; 12], aad: &[u8], data: &[u8]) -> (Vec<u8>, [u8; 16]) {
    let h = u128::from_be_bytes(block(key, [0; 16]));
    let nonce = nonce.iter().fold(0u128, |n, byte| n << 8 | u128::from(*byte)) << 32;
    let sealed = ctr(key, nonce | 2, data);
    let mut sum = 0u128;
    let lengths = ((aad.len() as u128 * 8) << 64 | (data.len() as u128 * 8)).to_be_bytes();
    for chunk in aad.chunks(16).chain(sealed.chunks(16)).chain([&lengths[..]]) {
        let x = sum ^ u128::from_be_bytes(std::array::from_fn(|i| *chunk.get(i).unwrap_or(&0)));
        let mut v = h;
        sum = 0;
        for bit in (0..128).rev() {
            sum ^= if x >> bit & 1 == 1 { v } else { 0 };
            v = (v >> 1) ^ if v & 1 == 1 { 0xe1 << 120 } else { 0 };
        }
    }
    (sealed, (sum ^ u128::from_be_bytes(block(key, (nonce | 1).to_be_bytes()))).to_be_bytes())
}

/// SP 800-38C with a length of three bytes and a tag of 16.
fn ccm(key: &[u8; 16], nonce: &[u8; 12], aad: &[u8], data: &[u8]) -> (Vec<u8>, [u8; 16]) {
    let nonce = nonce.iter().fold(0u128, |n, byte| n << 8 | u128::from(*byte)) << 24;
    let flags = if aad.is_empty() { 0x3au128 } else { 0x7a };
    let mut input = (flags << 120 | nonce | data.len() as u128).to_be_bytes().to_vec();
    if !aad.is_empty() {
        input.extend((aad.len() as u16).to_be_bytes());
        input.extend(aad);
        input.resize(input.len().next_multiple_of(16), 0);
    }
    input.extend(data);
    let mac = cbc(key, &[0; 16], &input);
    let start = 2u128 << 120 | nonce;
    let tag = ctr(key, start, &mac[mac.len() - 16..]);
    (ctr(key, start | 1, data), tag.try_into().unwrap())
}

fn every_mode(key: [u8; 16], nonce: [u8; 12], iv: [u8; 16], aad: &[u8], data: &[u8]) {
    let whole = &data[..data.len() / 16 * 16];
    let (gcm_sealed, gcm_tag) = gcm(&key, &nonce, aad, data);
    let (ccm_sealed, ccm_tag) = ccm(&key, &nonce, aad, data);
    let cbc_sealed = cbc(&key, &iv, whole);
    for path in paths() {
        let cipher = Sm4Gcm::with_path(path, &key).unwrap();
        let mut buffer = data.to_vec();
        assert_eq!(cipher.seal(&nonce, aad, &mut buffer), gcm_tag, "{path:?}");
        assert_eq!(buffer, gcm_sealed, "{path:?}");
        cipher.open(&nonce, aad, &mut buffer, &gcm_tag).unwrap();
        assert_eq!(buffer, data, "{path:?}");

        let cipher = Sm4Ccm::with_path(path, &key).unwrap();
        assert_eq!(cipher.seal(&nonce, aad, &mut buffer), ccm_tag, "{path:?}");
        assert_eq!(buffer, ccm_sealed, "{path:?}");
        cipher.open(&nonce, aad, &mut buffer, &ccm_tag).unwrap();
        assert_eq!(buffer, data, "{path:?}");

        let cipher = Sm4Cbc::with_path(path, &key).unwrap();
        let mut buffer = whole.to_vec();
        cipher.encrypt(&iv, &mut buffer);
        assert_eq!(buffer, cbc_sealed, "{path:?}");
        cipher.decrypt(&iv, &mut buffer);
        assert_eq!(buffer, whole, "{path:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_path_agrees_with_the_oracle(
        key: [u8; 16], nonce: [u8; 12], iv: [u8; 16], aad in vec(any::<u8>(), 0..80), data in vec(any::<u8>(), 0..=4096),
    ) {
        every_mode(key, nonce, iv, &aad, &data);
    }

    #[test]
    fn every_path_agrees_on_much_associated_data(key: [u8; 16], aad in vec(any::<u8>(), 500..4000), data in vec(any::<u8>(), 0..40)) {
        every_mode(key, [7; 12], [8; 16], &aad, &data);
    }

    #[test]
    fn counters_wrap_in_their_four_bytes(key: [u8; 16], start: u128, below in 0u32..100, data in vec(any::<u8>(), 0..3000)) {
        let start = start >> 32 << 32 | u128::from(u32::MAX - below);
        let expected = ctr(&key, start, &data);
        for path in paths() {
            let mut buffer = data.clone();
            Cipher::new(path, &key).unwrap().ctr(&start.to_be_bytes(), &mut buffer);
            prop_assert_eq!(&buffer, &expected, "{:?}", path);
        }
    }
}

#[test]
fn every_length_up_to_two_passes_agrees() {
    let data: Vec<u8> = (0..2200u32).map(|i| (i * i >> 3) as u8).collect();
    for length in (0..=2200).filter(|n| n % 16 < 2 || n % 16 == 15) {
        every_mode([length as u8; 16], [3; 12], [9; 16], &data[..13], &data[..length]);
    }
}

#[test]
fn this_processor_has_a_path() {
    assert!(Path::best().available());
    println!("paths here: {:?}", paths());
}
