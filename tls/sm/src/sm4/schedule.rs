//! The key schedule (GB/T 32907-2016 clause 7.3), over whatever does the S-box in constant time.

use super::KEY_SIZE;

const FK: [u32; 4] = [0xA3B1_BAC6, 0x56AA_3350, 0x677D_9197, 0xB270_22DC];

/// The 32 round keys of `key`, with `substitute` as the S-box on the four bytes of a word.
#[inline(always)]
pub(super) fn expand(key: &[u8; KEY_SIZE], substitute: impl Fn(u32) -> u32) -> [u32; 32] {
    let (words, _) = key.as_chunks::<4>();
    let mut k: [u32; 4] = std::array::from_fn(|i| u32::from_be_bytes(words[i]) ^ FK[i]);
    let mut rounds = [0; 32];
    for (i, round) in rounds.iter_mut().enumerate() {
        let s = substitute(k[1] ^ k[2] ^ k[3] ^ constant(i as u32));
        *round = k[0] ^ s ^ s.rotate_left(13) ^ s.rotate_left(23);
        k = [k[1], k[2], k[3], *round];
    }
    rounds
}

/// CK: the bytes 28i, 28i + 7, 28i + 14, 28i + 21, modulo 256.
#[inline(always)]
fn constant(i: u32) -> u32 {
    let byte = |j: u32| ((4 * i + j) * 7) as u8;
    u32::from_be_bytes([byte(0), byte(1), byte(2), byte(3)])
}
