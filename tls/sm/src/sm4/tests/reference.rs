//! The modes as the standards have them, bit by bit, over RustCrypto's cipher: what every path must agree with, here and under the fuzzer.

use ::sm4::cipher::BlockCipherEncrypt;
use ::sm4::cipher::KeyInit;

fn block(key: &[u8; 16], mut block: [u8; 16]) -> [u8; 16] {
    ::sm4::Sm4::new(key.into()).encrypt_block((&mut block).into());
    block
}

pub(crate) fn cbc(key: &[u8; 16], iv: &[u8; 16], data: &[u8]) -> Vec<u8> {
    let mut chain = *iv;
    let mut sealed = Vec::new();
    for plain in data.chunks(16) {
        chain = block(key, std::array::from_fn(|i| plain.get(i).unwrap_or(&0) ^ chain[i]));
        sealed.extend(chain);
    }
    sealed
}

pub(crate) fn ctr(key: &[u8; 16], start: u128, data: &[u8]) -> Vec<u8> {
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
pub(crate) fn gcm(
    key: &[u8; 16],
    nonce: &[u8; 12],
    aad: &[u8],
    data: &[u8],
) -> (Vec<u8>, [u8; 16]) {
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
pub(crate) fn ccm(
    key: &[u8; 16],
    nonce: &[u8; 12],
    aad: &[u8],
    data: &[u8],
) -> (Vec<u8>, [u8; 16]) {
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
